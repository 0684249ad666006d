// Package rollout is the traffic plan: which version answers which caller.
//
// A [Plan] is a value, and [Plan.Choose] a pure function of it and the
// caller, so every replica with the same plan sends the same caller to the
// same version, also after a restart. The functions [Plan.Start], [Plan.Set],
// [Plan.Promote] and [Plan.Rollback] make one plan from another. [Parse] and
// [Plan.Text] are its JSON; [Of] takes the plan from what a registry says, and
// [Save] puts one there by compare-and-swap.
package rollout
