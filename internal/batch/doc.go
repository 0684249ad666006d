// Package batch values a file of houses: CSV or NDJSON in, the same rows out
// with the price of each, predicted_price, in dollars and cents as the last
// column.
//
// [Plan] checks the names of the files, [Job.Run] does the work and puts the
// output in its place once it is complete, so no file is ever half-written.
// [Run] is the same between a reader and a writer:
//
//	reader  one goroutine   cuts the input into blocks of rows
//	workers one for a CPU   parse, value with the valuer, encode
//	writer  the caller      writes blocks in the order of the input
//
// Blocks are few and used again, so memory does not grow with the file. Rows
// with faults do not stop the reading: all of them are reported as one error,
// and nothing is written.
package batch
