// Package database keeps the demographics of a fleet in PostgreSQL.
//
// [Import] brings a table in, checked and in one transaction; [Load] reads
// it whole, which is quick as it is small; [Watcher] keeps a running service
// at the newest one. No request ever asks the database.
package database
