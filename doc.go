// Package housing holds the tests of the project as a whole. The program is
// cmd/housing, its rooms are the packages of internal/, and docs/architecture.md
// shows how they stand.
package housing
