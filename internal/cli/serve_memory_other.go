//go:build !linux

package cli

// forgetStart does nothing where the pages of the start cannot be given back.
func forgetStart() {}
