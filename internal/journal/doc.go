// Package journal keeps what was predicted and what it then sold for, and says
// from both how close each version comes.
//
// [Journal.Record] notes a prediction aside: it copies it to the spool, which
// is memory that is mapped to files, so that what was answered outlives the
// process being killed, and returns within microseconds whatever PostgreSQL
// does. [Journal.Run] brings what is in the spool to PostgreSQL, in batches;
// one that may have arrived is brought again and counts once. When PostgreSQL
// is away for so long that the spool is full, predictions are no longer
// noted, and counted.
//
//	Record -> spool: segments of this process in JOURNAL_DIR
//	            \-> Run: ship -> table predictions (a partition a month)
//	Outcomes ---------------> table outcomes
//	Arms <------------------- both, joined
//
// No field of a house is kept: price, version, role, time and the keyed hash
// of the user are enough to measure with, and a house is personal data of
// whoever lives there.
package journal
