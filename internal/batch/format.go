package batch

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Format is how a file of houses is written.
type Format int

// The formats, which are told by the file's name.
const (
	CSV     Format = iota + 1 // .csv, with a header
	NDJSON                    // .ndjson or .jsonl, one JSON object a line
	Parquet                   // .parquet, with plain columns
)

// PriceColumn is the name of the column or member that is added.
const PriceColumn = "predicted_price"

// RefusedError says why files cannot be worked on at all, as it is a wrong
// use of the command line.
type RefusedError struct {
	File    string // as it was named
	Problem string
}

// Error returns the problem with the name of the file.
func (e *RefusedError) Error() string { return e.File + ": " + e.Problem }

// FormatOf returns the format of the file with the given name, or a
// [*RefusedError].
func FormatOf(name string) (Format, error) {
	switch extension := strings.ToLower(filepath.Ext(name)); extension {
	case ".csv":
		return CSV, nil
	case ".ndjson", ".jsonl":
		return NDJSON, nil
	case ".parquet":
		return Parquet, nil
	case "":
		return 0, &RefusedError{name, "has no format in its name; " + formats}
	default:
		return 0, &RefusedError{name, fmt.Sprintf("%s files are not read or written; %s", extension, formats)}
	}
}

const formats = "read and written are CSV (.csv), NDJSON (.ndjson, .jsonl) and Parquet (.parquet)"
