package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"housing/internal/demographics"
	"housing/internal/features"
	"housing/internal/gbdt"
	"housing/internal/house"
)

// noise makes rows of numbers, some of them rounded and one in twenty
// unknown, and labels that depend on a dozen of the columns.
func noise(rows, cols int, seed uint64) (gbdt.Matrix, []float64) {
	random := rand.New(rand.NewPCG(seed, 10))
	x, label := gbdt.NewMatrix(rows, cols), make([]float64, rows)
	for i := range rows {
		row := x.Row(i)
		for c := range row {
			row[c] = float32(random.NormFloat64())
			if c%3 == 0 {
				row[c] = float32(math.Round(2 * float64(row[c])))
			}
		}
		v := func(c int) float64 { return float64(row[c]) }
		label[i] = v(0) + v(1)*v(2) + math.Sin(2*v(3)) + math.Abs(v(4))*v(5) + 0.3*random.NormFloat64()
		for c := 6; c < cols; c++ {
			label[i] += 0.1 * v(c) * float64(c%5-2)
		}
		for c := range row {
			if random.IntN(20) == 0 {
				row[c] = float32(math.NaN())
			}
		}
	}
	return x, label
}

// makeData writes a data set in two parts: to learn from and to be measured
// on. It is "million" or the folder of the King County sales.
func makeData(dir, name string) error {
	if name == "million" {
		x, label := noise(1_000_000, 40, 3)
		test, testLabel := noise(50_000, 40, 4)
		return writeParts(dir, x, label, test, testLabel)
	}
	x, label, err := salesMatrix(name)
	if err != nil {
		return err
	}
	order := rand.New(rand.NewPCG(5, 5)).Perm(x.Rows)
	pick := func(rows []int) (gbdt.Matrix, []float64) {
		labels := make([]float64, len(rows))
		for i, r := range rows {
			labels[i] = label[r]
		}
		return x.Select(rows), labels
	}
	cut := x.Rows * 4 / 5
	learned, learnedLabel := pick(order[:cut])
	test, testLabel := pick(order[cut:])
	return writeParts(dir, learned, learnedLabel, test, testLabel)
}

func writeParts(dir string, x gbdt.Matrix, label []float64, test gbdt.Matrix, testLabel []float64) error {
	for _, part := range []struct {
		name  string
		x     gbdt.Matrix
		label []float64
	}{{"train", x, label}, {"test", test, testLabel}} {
		if err := writeNumbers(dir, part.name+".f32", part.x.Data); err != nil {
			return err
		}
		if err := writeNumbers(dir, part.name+".f64", part.label); err != nil {
			return err
		}
	}
	return nil
}

// salesMatrix returns the rows and log prices of the sales in a folder.
func salesMatrix(folder string) (gbdt.Matrix, []float64, error) {
	sales, err := readSales(folder + "/king_county_sales.csv")
	if err != nil {
		return gbdt.Matrix{}, nil, err
	}
	file, err := os.Open(folder + "/zipcode_demographics.csv")
	if err != nil {
		return gbdt.Matrix{}, nil, err
	}
	defer file.Close()
	table, err := demographics.Read(file, file.Name())
	if err != nil {
		return gbdt.Matrix{}, nil, err
	}
	houses := make([]house.House, len(sales))
	for i := range sales {
		houses[i] = sales[i].House
	}
	encoder, err := features.Fit(houses, 1)
	if err != nil {
		return gbdt.Matrix{}, nil, err
	}
	x, label := gbdt.NewMatrix(len(sales), features.NumColumns()), make([]float64, len(sales))
	for i := range sales {
		area, _ := table.Lookup(houses[i].Zipcode())
		encoder.Row(x.Row(i), &houses[i], area)
		label[i] = math.Log(sales[i].Price)
	}
	return x, label, nil
}

// trained is what train answers.
type trained struct {
	Seconds    float64 `json:"seconds"`     // by the clock
	CPUSeconds float64 `json:"cpu_seconds"` // of all threads
	RMSE       float64 `json:"rmse"`        // on the part that was not learned from
}

// train learns with the settings that bench.py gives the peers too.
func train(dir string, rounds, leaves int) error {
	part := func(name string) (gbdt.Dataset, error) {
		data, err := readNumbers[float32](dir, name+".f32")
		if err != nil {
			return gbdt.Dataset{}, err
		}
		label, err := readNumbers[float64](dir, name+".f64")
		return gbdt.Dataset{X: gbdt.Matrix{Data: data, Rows: len(label), Cols: len(data) / len(label)}, Label: label}, err
	}
	learn, err := part("train")
	if err != nil {
		return err
	}
	test, err := part("test")
	if err != nil {
		return err
	}
	p := gbdt.DefaultParams()
	p.Rounds, p.MaxLeaves, p.LearningRate, p.L2, p.MinChildWeight, p.Threads = rounds, leaves, 0.1, 1, 1, 2
	began, cpu := time.Now(), processTime()
	learned, err := gbdt.Train(context.Background(), learn, nil, gbdt.Squared{}, p, nil)
	if err != nil {
		return err
	}
	t := trained{Seconds: time.Since(began).Seconds(), CPUSeconds: (processTime() - cpu).Seconds()}
	predicted := make([]float64, test.X.Rows)
	gbdt.NewEngine(learned.Forest).PredictParallel(predicted, test.X, 2)
	for i, v := range predicted {
		t.RMSE += (v - test.Label[i]) * (v - test.Label[i]) / float64(len(predicted))
	}
	t.RMSE = math.Sqrt(t.RMSE)
	return json.NewEncoder(os.Stdout).Encode(t)
}

func processTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(fmt.Sprintf("clock: %v", err))
	}
	return time.Duration(t.Nano())
}

// readSales returns the sales of a file that can be priced.
func readSales(path string) ([]house.Sale, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sales, err := house.ReadSales(file, path, house.SalesOptions{})
	if err != nil {
		return nil, err
	}
	return sales.Sales, nil
}
