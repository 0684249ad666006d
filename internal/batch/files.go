package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// Stdout is the name of the output that is not a file.
const Stdout = "-"

// Job is the valuing of one file into another.
type Job struct {
	// Bytes is how long the input is.
	Bytes int64

	in, out  string
	name     string // that errors call the input
	from, to Format
}

// Plan returns the job to value the file in into the file out, which may be
// [Stdout], once it has made sure that they can be. The error is a
// [*RefusedError] if the names themselves are wrong.
func Plan(in, out string) (*Job, error) {
	j := &Job{in: in, out: out, name: in}
	var err error
	if j.from, err = FormatOf(in); err != nil {
		return nil, err
	}
	j.to = j.from
	if out != Stdout {
		if j.to, err = FormatOf(out); err != nil {
			return nil, err
		}
	}
	input, err := os.Stat(in)
	if err != nil {
		return nil, err
	}
	if problem := irregular(input); problem != "" {
		return nil, &RefusedError{in, problem}
	}
	j.Bytes = input.Size()
	if out == Stdout {
		return j, nil
	}
	return j, j.checkOut(input)
}

// checkOut makes sure that there may be a file in the place of out.
func (j *Job) checkOut(input fs.FileInfo) error {
	output, err := os.Stat(j.out)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(j.out))
		return err
	}
	if err != nil {
		return err
	}
	if problem := irregular(output); problem != "" {
		return &RefusedError{j.out, problem}
	}
	if os.SameFile(input, output) {
		return &RefusedError{j.out, "is the file that is read: write to another"}
	}
	j.out, err = filepath.EvalSymlinks(j.out) // the link stays, what it leads to is replaced
	return err
}

func irregular(info fs.FileInfo) string {
	switch {
	case info.IsDir():
		return "is a folder, not a file"
	case !info.Mode().IsRegular():
		return "is not a regular file"
	}
	return ""
}

// Run does the job. Only when every house has been valued is the output put
// in the place of any old one, or written to stdout. See [Run].
func (j *Job) Run(ctx context.Context, stdout io.Writer, o Options) (Summary, error) {
	file, err := os.Open(j.in)
	if err != nil {
		return Summary{}, err
	}
	defer file.Close()
	in := Input{Reader: file, Name: j.name, Format: j.from, Size: j.Bytes}
	if j.out == Stdout {
		return j.toStdout(ctx, stdout, in, o)
	}
	pending, err := renameio.NewPendingFile(j.out, renameio.WithTempDir(filepath.Dir(j.out)),
		renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return Summary{}, fmt.Errorf("%s is not written: %w", j.out, err)
	}
	summary, err := Run(ctx, pending, j.to, in, o)
	if err == nil {
		err = pending.CloseAtomicallyReplace()
	}
	if err != nil {
		err = fmt.Errorf("%s is not written: %w", j.out, err)
	}
	return summary, errors.Join(err, pending.Cleanup())
}

// toStdout holds the output back in a temporary file until it is complete.
func (j *Job) toStdout(ctx context.Context, stdout io.Writer, in Input, o Options) (summary Summary, err error) {
	held, err := os.CreateTemp("", "housing-*")
	if err != nil {
		return Summary{}, err
	}
	defer func() { err = errors.Join(err, held.Close(), os.Remove(held.Name())) }()
	if summary, err = Run(ctx, held, j.to, in, o); err != nil {
		return summary, fmt.Errorf("nothing is written: %w", err)
	}
	if _, err := held.Seek(0, io.SeekStart); err != nil {
		return summary, err
	}
	_, err = io.Copy(stdout, stoppable{ctx, held})
	return summary, err
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}
