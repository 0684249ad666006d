package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"housing/internal/config"
)

// Exit codes.
const (
	success  = 0
	failure  = 1
	badUsage = 2
)

// commands holds every command by a field of its own.
type commands struct {
	Serve        serveCommand        `cmd:"" help:"Serve prices over HTTP."`
	Train        trainCommand        `cmd:"" help:"Train a model from sales."`
	Evaluate     evaluateCommand     `cmd:"" help:"Measure a model on sales that it has not seen."`
	Predict      predictCommand      `cmd:"" help:"Value a file of houses."`
	Model        modelCommand        `cmd:"" help:"Models in a registry: list, show, push, pull, verify, compare."`
	Rollout      rolloutCommand      `cmd:"" help:"Which version answers which request."`
	Demographics demographicsCommand `cmd:"" help:"Census figures in PostgreSQL."`
	Backup       backupCommand       `cmd:"" help:"Back up what must not be lost, and restore it."`
	Config       configCommand       `cmd:"" help:"Traffic plan, aliases and settings as one file."`
	Plan         planCommand         `cmd:"" help:"Say what a load needs: replicas, memory, cost."`
	Token        tokenCommand        `cmd:"" help:"Sign a token for testing."`
	Healthcheck  healthcheckCommand  `cmd:"" help:"Ask whether the service on this machine is healthy."`
	Version      versionCommand      `cmd:"" help:"Show versions: program, commit, Go, built-in model."`
}

// program is what a command has of the world around it.
type program struct {
	ctx            context.Context // ends when the program is told to stop
	getenv         config.Getenv
	files          config.Files // that settings were read from
	stdin          io.Reader
	stdout, stderr io.Writer
}

// Run runs the command that args name and returns the exit code: 0 for
// success, 1 for failure, 2 for bad usage. SIGINT and SIGTERM end the
// command's context; a second one ends the program at once.
func Run(ctx context.Context, args []string, getenv func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) (code int) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	root := newCommand("housing", "Values houses with a model trained on real sales.", reflect.ValueOf(new(commands)).Elem())
	if len(args) == 0 {
		if err := root.printHelp(stdout); err != nil {
			return exitCode(stderr, err)
		}
		return badUsage
	}
	p := &program{ctx: ctx, getenv: getenv, files: config.Files{}, stdin: stdin, stdout: stdout, stderr: stderr}
	named, args, err := root.find(args)
	if err == nil {
		err = named.read(args, getenv, p.files)
	}
	switch {
	case errors.Is(err, pflag.ErrHelp):
		err = named.printHelp(stdout)
	case err != nil:
		err = &usageError{err}
	default:
		err = named.runner().Run(p)
	}
	return exitCode(stderr, err)
}

// nothingWritten is what a command left that writes at its end or not at all.
const nothingWritten = "nothing was written"

// interrupted returns err, or, where the program was told to stop, an error
// that says so, and what the command left.
func interrupted(ctx context.Context, err error, left string) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("stopped: " + left)
	}
	return err
}

// usageError is a wrong use of the command line.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// exitCode prints err, if there is one, as one line and returns the exit code.
func exitCode(stderr io.Writer, err error) int {
	if err == nil {
		return success
	}
	var setting *config.Error
	if errors.As(err, &setting) {
		fmt.Fprintln(stderr, "housing:", setting)
		return badUsage
	}
	fmt.Fprintln(stderr, "housing:", err)
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(stderr, "housing: try \"housing --help\" or \"housing COMMAND --help\"")
		return badUsage
	}
	return failure
}

// isTerminal says whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
