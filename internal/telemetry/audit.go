package telemetry

import "log/slog"

// Change is a change of what the service answers by: its models, their
// names, the traffic plan, the demographics.
type Change struct {
	Who, What, Why string
	Where          string // what was changed, such as the registry's location; no password
	Before, After  any    // as they are written to the log; nil where there is nothing
}

// Audit writes the line that every change leaves in the log of the process
// that made it. The record that lasts lies beside what was changed.
func Audit(log *slog.Logger, c Change) {
	log.Info("audit", "who", c.Who, "what", c.What, "where", c.Where, "before", c.Before, "after", c.After, "why", c.Why)
}
