package cli

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"text/tabwriter"

	"housing/internal/registry"
	"housing/internal/telemetry"
)

// auditLog returns the log of a command that changes what is served.
func (p *program) auditLog() *slog.Logger {
	format := telemetry.JSON
	if isTerminal(p.stderr) {
		format = telemetry.Text
	}
	return telemetry.NewLogger(p.stderr, slog.LevelInfo, format)
}

// who returns the person or machine that runs the program, for histories.
func who() string {
	name := fmt.Sprintf("uid %d", os.Getuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// printHistory prints changes, newest first.
func printHistory(out io.Writer, history []registry.Change, asJSON bool) error {
	if asJSON {
		return printJSON(out, map[string]any{"history": history})
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHEN\tWHO\tWHAT\tBEFORE\tAFTER\tWHY")
	for _, h := range history {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", h.When.Format(historyTime), h.Who, h.What, orDash(string(h.From)), orDash(string(h.To)), orDash(h.Why))
	}
	return w.Flush()
}

// historyTime is how histories show times, all in UTC.
const historyTime = "2006-01-02 15:04:05"
