package cli

import (
	"bytes"
	"encoding/csv"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"housing/internal/house"
	"housing/internal/model/modeltest"
)

func TestTrainScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/train",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sales":   writeSales,
			"figures": writeFigures,
		},
	})
}

// writeSales writes made-up sales: sales FILE ROWS [without=COLUMN] [leak] [ROW:COLUMN=VALUE …],
// where a row is a number from 1 or * for all. With leak there is a column
// price_per_sqft, computed from the price.
func writeSales(ts *testscript.TestScript, _ bool, args []string) {
	rows, err := strconv.Atoi(args[1])
	ts.Check(err)
	table := [][]string{{"id", "date", "price"}}
	for _, s := range house.Fields() {
		table[0] = append(table[0], s.Name)
	}
	for _, s := range modeltest.Sales(rows) {
		row := []string{s.ID, s.House.Date.String(), strconv.FormatFloat(s.Price, 'f', 2, 64)}
		for _, v := range s.House.Values {
			row = append(row, strconv.FormatFloat(v, 'f', -1, 64))
		}
		table = append(table, row)
	}
	for _, change := range args[2:] {
		if change == "leak" {
			table[0] = append(table[0], "price_per_sqft")
			for i, s := range modeltest.Sales(rows) {
				table[i+1] = append(table[i+1], strconv.FormatFloat(s.Price/s.House.Values[house.SqftLiving], 'f', 2, 64))
			}
			continue
		}
		if column, ok := strings.CutPrefix(change, "without="); ok {
			at := slices.Index(table[0], column)
			for i := range table {
				table[i] = slices.Delete(table[i], at, at+1)
			}
			continue
		}
		where, value, _ := strings.Cut(change, "=")
		row, column, _ := strings.Cut(where, ":")
		for i := range table[1:] {
			if row == "*" || row == strconv.Itoa(i+1) {
				table[i+1][slices.Index(table[0], column)] = value
			}
		}
	}
	var out bytes.Buffer
	ts.Check(csv.NewWriter(&out).WriteAll(table))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o644))
}

// writeFigures writes the figures of half of the areas of the sales.
func writeFigures(ts *testscript.TestScript, _ bool, args []string) {
	table, err := modeltest.NewTable()
	ts.Check(err)
	var out bytes.Buffer
	ts.Check(table.Write(&out))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), out.Bytes(), 0o644))
}
