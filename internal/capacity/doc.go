// Package capacity says how many replicas a load needs, how long its requests
// will take, and what that costs a month.
//
// [Measured] is what a request takes of a core. [Queue] makes latency of it,
// as an M/G/c queue: requests that come by themselves, some cores, one line.
// [Make] looks for the least replicas with which a [Demand] is met, on the
// cheapest machines of some [Prices], and returns a [Plan].
package capacity
