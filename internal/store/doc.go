// Package store connects to the systems outside that the service can do
// without: PostgreSQL and Redis.
//
// A connection never stops the service. It is opened without asking the
// other side, fails fast, recovers by itself, and says how it is by a
// [Dependency], which health, metrics and log read.
package store
