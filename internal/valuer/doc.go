// Package valuer values houses with the models that are running: the one call
// that HTTP, batch files and the command line make.
//
// A [Valuer] holds the running models behind an atomic pointer, so that
// reading it takes no lock and a swap is one store. A [Choice] says which of
// them answers a call; that one is counted as in use until the call has ended,
// and a model that was dropped is released by the last call that used it. A
// model that fails too often is sent back: another one answers in its place.
// [Valuer.Value] runs at most Workers predictions at once; those past it wait in a bounded queue,
// and past that the error is [ErrOverloaded]. A few houses, which take less
// time than to wait, need no worker where no fewer than processors are allowed. Predictions run on the caller's
// goroutine, so there is none to start or stop. A model that panics or gives
// a price that is no number is an error, never an answer.
package valuer
