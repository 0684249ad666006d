// Package cli is the command line: one file a command, which reads its flags,
// builds what the command needs and prints.
//
// [Run] is the whole program but for os.Exit. A command is a struct of flags
// and arguments, by tags as [config.Flag] lists, with the methods
// Run(*program) error and Help() string; adding one is adding its file and its
// field in commands.
package cli
