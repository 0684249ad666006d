// Command subject is the product's side of the measurements in bench: it
// makes the data and forests that all are measured on, and measures its own
// engines and training when bench.py asks for it.
//
//	subject forest DIR TREES LEAVES   make DIR/forest.json and DIR/rows.f32
//	subject predict DIR               answer lines "ENGINE ROWS THREADS SECONDS" with ns a row
//	subject data DIR NAME             make DIR/{train,test}.{f32,f64} of a data set
//	subject train DIR ROUNDS LEAVES   learn from DIR on two threads, and answer with times and error
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "subject:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: subject forest|predict|data|train DIR and more")
	}
	dir := args[1]
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	switch {
	case args[0] == "forest" && len(args) == 4:
		trees, leaves, err := twoNumbers(args[2:])
		if err != nil {
			return err
		}
		return makeForest(dir, trees, leaves)
	case args[0] == "predict" && len(args) == 2:
		return predict(dir, bufio.NewScanner(os.Stdin), os.Stdout)
	case args[0] == "data" && len(args) == 3:
		return makeData(dir, args[2])
	case args[0] == "train" && len(args) == 4:
		rounds, leaves, err := twoNumbers(args[2:])
		if err != nil {
			return err
		}
		return train(dir, rounds, leaves)
	}
	return fmt.Errorf("no such command: %q", args)
}

func twoNumbers(args []string) (a, b int, err error) {
	if a, err = strconv.Atoi(args[0]); err != nil {
		return 0, 0, err
	}
	b, err = strconv.Atoi(args[1])
	return a, b, err
}

func writeJSON(dir, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), b, 0o600)
}
