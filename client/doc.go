// Package client asks a housing service for prices, from Go.
//
// [New] makes a [Client] for the address of a service; its methods are the
// endpoints. It needs nothing but the standard library.
//
//	c, err := client.New("http://127.0.0.1:8000", client.Options{})
//	answer, err := c.Predict(ctx, []client.House{{Bedrooms: 3, …, Zipcode: "98115", Grade: new(8.0)}})
//
// # Retries
//
// A call that may be repeated without harm is: prices, valuations, outcomes
// and whatever is only read. It is repeated when the service says to come
// again (429, 503), when a proxy before it has none to ask (502, 504), and
// when the connection fails, up to [Options.Attempts] times and within
// [Options.Patience], whichever ends first. Between attempts it waits twice as
// long each time, with chance in it so that many clients do not come back at
// once (Brooker 2015, "Exponential Backoff And Jitter"), and never less than
// Retry-After asks for. Where that is longer than the patience that is left,
// the call ends at once and says so. [Client.SetRollout] is asked once.
//
// All attempts of a call carry the same X-Request-ID: by it a service with a
// journal keeps a prediction once, whichever replicas were asked, and answers
// with the same prediction ID. Each call has a new one; two calls must never
// share theirs.
//
// # Errors
//
// What the service says is an [*Error], with the faults of each field; what
// kept the call from an answer is wrapped, so that errors.Is finds a deadline
// of the context.
package client
