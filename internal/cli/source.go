package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"housing/internal/bundle"
	"housing/internal/demographics"
	"housing/internal/house"
)

// readSource reads a file by read, which returns its rows, and takes its
// SHA-256 on the way.
func readSource(path string, read func(r io.Reader) (rows int, err error)) (bundle.Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return bundle.Source{}, err
	}
	hash := sha256.New()
	rows, err := read(io.TeeReader(f, hash))
	if err == nil {
		_, err = io.Copy(hash, f) // what read did not ask for
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return bundle.Source{}, err
	}
	return bundle.Source{Name: filepath.Base(path), SHA256: hex.EncodeToString(hash.Sum(nil)), Rows: rows}, nil
}

func readSales(path string, o house.SalesOptions) (sales *house.Sales, file bundle.Source, err error) {
	file, err = readSource(path, func(r io.Reader) (int, error) {
		if sales, err = house.ReadSales(r, path, o); err != nil {
			return 0, err
		}
		return len(sales.Sales), nil
	})
	return sales, file, err
}

func readTable(path string) (table *demographics.Table, file bundle.Source, err error) {
	file, err = readSource(path, func(r io.Reader) (int, error) {
		if table, err = demographics.Read(r, path); err != nil {
			return 0, err
		}
		return table.Len(), nil
	})
	return table, file, err
}

// openBundle opens the bundle in a file, or the built-in one for "".
func openBundle(path string) (*bundle.Bundle, error) {
	if path == "" {
		return bundle.Builtin()
	}
	return bundle.Open(path)
}

// printJSON prints v, indented.
func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
