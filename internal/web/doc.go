// Package web holds the pages that people look at, and their style sheets and
// scripts, embedded.
//
//   - [HousePage] values one house: a form from the table of fields, and the
//     answer with its interval, reasons, comparables and the request to copy.
//     It is whole without JavaScript.
//   - [FilePage], [ModelPage] and [OperationsPage] are shells that a script
//     fills from the public API, so that whatever they can do a client of the
//     API can do.
//
// Pages are templ components (*.templ, from which `make generate` writes Go):
// what is put into them is escaped by where it stands. Of their own they hold the
// style sheet and the lines that read their script, in the head; their content
// security policy, [Policy], lets in these two by digest, and files of this service.
package web
