package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"housing/internal/gbdt"
)

// forestFile is a forest for those who know nothing of ours: a node is its
// column, its threshold (a row goes left that is less), whether unknown goes
// left, and its children, ^i for leaf i.
type forestFile struct {
	Base    float64   `json:"base"`
	Columns int       `json:"columns"`
	Roots   []int32   `json:"roots"`
	Nodes   [][5]any  `json:"nodes"`
	Leaves  []float32 `json:"leaves"`
}

const (
	columns   = 46
	batchRows = 20_000
)

// makeForest learns a forest leaf by leaf from made-up rows, of which one
// value in twenty is unknown, and writes it with rows to predict.
func makeForest(dir string, trees, leaves int) error {
	x, label := noise(8_000, columns, 1)
	p := gbdt.DefaultParams()
	p.Rounds, p.MaxLeaves, p.LearningRate, p.MinChildWeight, p.Threads = trees, leaves, 0.03, 5, runtime.NumCPU()
	learned, err := gbdt.Train(context.Background(), gbdt.Dataset{X: x, Label: label}, nil, gbdt.Squared{}, p, nil)
	if err != nil {
		return err
	}
	f := learned.Forest
	file := forestFile{Base: f.Base, Columns: f.Columns, Roots: f.Roots, Leaves: f.Leaves}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		threshold := min(n.Threshold, math.MaxFloat32) // no row is infinite
		file.Nodes = append(file.Nodes, [5]any{n.Column(), threshold, n.UnknownLeft(), n.Left, n.Right})
	}
	if err := writeJSON(dir, "forest.json", file); err != nil {
		return err
	}
	rows, _ := noise(batchRows, columns, 2)
	return writeNumbers(dir, "rows.f32", rows.Data)
}

func readForest(dir string) (*gbdt.Forest, error) {
	b, err := os.ReadFile(filepath.Join(dir, "forest.json"))
	if err != nil {
		return nil, err
	}
	var file forestFile
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, err
	}
	f := &gbdt.Forest{Base: file.Base, Columns: file.Columns, Roots: file.Roots, Leaves: file.Leaves,
		LeafCover: make([]float32, len(file.Leaves))}
	for _, n := range file.Nodes {
		feature := uint32(n[0].(float64))
		if n[2].(bool) {
			feature |= 1 << 31
		}
		f.Nodes = append(f.Nodes, gbdt.Node{Threshold: float32(n[1].(float64)), Feature: feature, Left: int32(n[3].(float64)), Right: int32(n[4].(float64))})
	}
	return f, f.Check()
}

// predict answers questions for the time that an engine takes, and writes
// what the plain walk predicts to DIR/expected.f64 first.
func predict(dir string, in *bufio.Scanner, out io.Writer) error {
	f, err := readForest(dir)
	if err != nil {
		return err
	}
	data, err := readNumbers[float32](dir, "rows.f32")
	if err != nil {
		return err
	}
	x := gbdt.Matrix{Data: data, Rows: len(data) / f.Columns, Cols: f.Columns}
	expected := make([]float64, x.Rows)
	for i := range expected {
		expected[i] = f.Predict(x.Row(i))
	}
	if err := writeNumbers(dir, "expected.f64", expected); err != nil {
		return err
	}
	engines := map[string]*gbdt.Engine{}
	fmt.Fprintln(out, gbdt.EngineNames())
	for in.Scan() {
		var name string
		var rows, threads int
		var seconds float64
		if _, err := fmt.Sscan(in.Text(), &name, &rows, &threads, &seconds); err != nil {
			return err
		}
		if engines[name] == nil {
			if engines[name], err = gbdt.NewEngineNamed(f, name); err != nil {
				return err
			}
		}
		ns, err := measure(engines[name], x, expected, rows, threads, seconds)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(out, "%.2f\n", ns)
	}
	return in.Err()
}

// measure returns the least time a row of several tries: CPU time of the
// thread where there is one, else time by the clock.
func measure(e *gbdt.Engine, x gbdt.Matrix, expected []float64, rows, threads int, seconds float64) (float64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := cpuTime
	if threads > 1 {
		now = func() time.Duration { return time.Duration(time.Now().UnixNano()) }
	}
	got := make([]float64, x.Rows)
	perTry := min(x.Rows, max(rows, 400)) / rows * rows // rows of a try
	least := math.Inf(1)
	start := time.Now()
	for at, tries := 0, 0; tries < 3 || time.Since(start).Seconds() < seconds; tries++ {
		if at+perTry > x.Rows {
			at = 0
		}
		began := now()
		for i := at; i < at+perTry; i += rows {
			switch block := (gbdt.Matrix{Data: x.Data[i*x.Cols : (i+rows)*x.Cols], Rows: rows, Cols: x.Cols}); {
			case rows == 1:
				got[i] = e.Predict(block.Data)
			case threads > 1:
				e.PredictParallel(got[i:i+rows], block, threads)
			default:
				e.PredictRows(got[i:i+rows], block)
			}
		}
		least = min(least, float64((now()-began).Nanoseconds())/float64(perTry))
		for i := at; i < at+perTry; i++ {
			if got[i] != expected[i] {
				return 0, fmt.Errorf("row %d: %v, the plain walk says %v", i, got[i], expected[i])
			}
		}
		at += perTry
	}
	return least, nil
}

func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

func writeNumbers[T float32 | float64](dir, name string, v []T) error {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), b, 0o600)
}

func readNumbers[T float32 | float64](dir, name string) ([]T, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	var one T
	v := make([]T, len(b)/binary.Size(one))
	_, err = binary.Decode(b, binary.LittleEndian, v)
	return v, err
}
