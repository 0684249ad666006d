// Package ratelimit says whether a client may ask once more.
//
// A [Limiter] keeps to a [Limit] by the generic cell rate algorithm (ITU-T
// I.371, the leaky bucket as a meter): of each client it keeps one number, the
// theoretical arrival time. A client may send a whole limit at once, and then
// as fast as it refills. Replicas that share a Redis share the count; while
// Redis is away each keeps its own, so that a client then has at most the
// limit at each of them.
package ratelimit
