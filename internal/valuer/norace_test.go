//go:build !race

package valuer_test

const raceEnabled = false
