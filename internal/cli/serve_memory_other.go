//go:build !linux

package cli

// forgetPages does nothing where pages of the program cannot be given back.
func forgetPages() {}
