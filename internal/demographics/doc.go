// Package demographics holds census figures of areas by zipcode.
//
// A [Table] is read from a CSV file ([Read]) or made of rows that a model was
// trained with ([NewTable]), and never changes once made; so reading it needs
// no lock. [Table.Lookup] gives the [Area] of a zipcode, and for a zipcode
// that the table does not know the median of every column. What the columns
// mean stands in one table, [Columns].
package demographics
