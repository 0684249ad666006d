// Package house knows what a house is: its fields, in one table, with name,
// unit, range and kind.
//
// Everything that reads or describes a house derives from that table
// ([Fields]): JSON and CSV reading, validation messages, the OpenAPI schema,
// the help of the command line. A [House] is a small value, an array of
// numbers with NaN where a field is unknown; it does no I/O and never
// changes once read.
//
// Requests and NDJSON lines are read by a [Decoder], files of houses by a
// [CSVReader], files of sales by [ReadSales]. All of them check a value by the
// same rules and say the same of it, and report every [Fault] with its place.
// [Schema] describes what a Decoder takes.
package house
