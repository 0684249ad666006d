// Package valuer values houses with the model that is running: the one call
// that HTTP, batch files and the command line make.
//
// A [Valuer] holds the running [Model] behind an atomic pointer, so that
// reading it takes no lock and a swap is one store. [Valuer.Value] runs at
// most Workers predictions at once; those past it wait in a bounded queue,
// and past that the error is [ErrOverloaded]. Predictions run on the caller's
// goroutine, so there is none to start or stop. A model that panics or gives
// a price that is no number is an error, never an answer.
package valuer
