package batch_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"housing/internal/batch"
	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/features"
	"housing/internal/house"
	"housing/internal/model/modeltest"
	"housing/internal/valuer"
)

// fullOptions have a model with intervals and comparables.
func fullOptions(t testing.TB) batch.Options {
	t.Helper()
	var data bytes.Buffer
	if err := bundle.Write(&data, bundletest.Full(t, "full-1", 1)); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Parse(data.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return batch.Options{Valuer: valuerOf(t, valuer.FromBundle(b)), Now: now, Full: true}
}

// TestFullValuationsInEveryFormat values houses into all three formats: they
// must say the same, and base price and effects sum to the price.
func TestFullValuationsInEveryFormat(t *testing.T) {
	o := fullOptions(t)
	var lines strings.Builder
	const n = 700 // more than a block
	for i, h := range modeltest.Houses(n) {
		if i%3 == 1 {
			h.Values[house.Lat], h.Values[house.Grade] = math.NaN(), math.NaN()
		}
		lines.Write(house.AppendJSON(nil, &h))
		lines.WriteByte('\n')
	}
	whole, _, err := value(t, lines.String(), batch.NDJSON, batch.NDJSON, o)
	if err != nil {
		t.Fatal(err)
	}
	var want []map[string]any
	for line := range strings.Lines(whole) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	}
	if len(want) != n {
		t.Fatalf("%d rows", len(want))
	}
	for i, row := range want {
		number := func(name string) float64 {
			v, ok := row[name].(float64)
			if !ok {
				t.Fatalf("row %d has the %s %v", i, name, row[name])
			}
			return v
		}
		sum := math.Round(100 * number("base_price"))
		for _, reason := range features.Reasons() {
			sum += math.Round(100 * number("effect_"+reason))
		}
		price := number("predicted_price")
		if sum != math.Round(100*price) || !(number("low") < price && price < number("high")) || number("interval") != 0.9 || number("confidence") > 100 {
			t.Errorf("row %d sums to %v cents: %v", i, sum, row)
		}
		if sold, ok := row["comparable_1_date"].(string); ok && sold >= row["valued_as_of"].(string) {
			t.Errorf("row %d, valued as of %v, is compared with a sale of %s", i, row["valued_as_of"], sold)
		}
	}

	same := func(format string, i int, name string, got any) {
		t.Helper()
		w := want[i][name]
		if w == nil {
			w = ""
		}
		if v, ok := w.(float64); ok {
			w = strconv.FormatFloat(v, 'f', -1, 64)
		}
		if got != w {
			t.Errorf("%s: row %d has the %s %v, NDJSON has %v", format, i, name, got, w)
		}
	}
	text := header + ",valuation_date\n"
	for _, row := range want {
		for _, name := range strings.Split(header, ",") {
			if name == "zipcode" {
				text += row[name].(string) + ","
				continue
			}
			text += strconv.FormatFloat(row[name].(float64), 'f', -1, 64) + ","
		}
		text += row["valuation_date"].(string) + "\n"
	}
	asCSV, _, err := value(t, text, batch.CSV, batch.CSV, o)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := value(t, text, batch.CSV, batch.NDJSON, o)
	if err != nil {
		t.Fatal(err)
	}
	want = want[:0]
	for line := range strings.Lines(again) {
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		want = append(want, row)
	}
	rows, err := csv.NewReader(strings.NewReader(asCSV)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, cells := range rows[1:] {
		for c, name := range rows[0] {
			same("CSV", i, name, cells[c])
		}
	}
	asParquet, _, err := value(t, text, batch.CSV, batch.Parquet, o)
	if err != nil {
		t.Fatal(err)
	}
	checkParquet(t, []byte(asParquet), n, func(i int, name, got string) { same("Parquet", i, name, got) })
	// A file of Parquet carries its own columns through.
	carried, _, err := valueParquet(t, parquetOf(t, []typical{typicalHouse(), typicalHouse()}), batch.Parquet, o)
	if err != nil {
		t.Fatal(err)
	}
	checkParquet(t, carried, 2, func(_ int, name, got string) {
		if name == "effect_location" && got == "" {
			t.Error("the effect of the location is missing")
		}
	})
}

// checkParquet reads all cells of added columns as they would stand in CSV.
func checkParquet(t *testing.T, data []byte, rows int, cell func(row int, name, text string)) {
	t.Helper()
	r := parquet.NewReader(bytes.NewReader(data))
	defer r.Close()
	names := columnsOf(t, data)
	seen, at := 0, 0
	buffer := make([]parquet.Row, 64)
	for {
		n, err := r.ReadRows(buffer)
		for _, row := range buffer[:n] {
			for _, v := range row {
				name, _, _ := strings.Cut(names[v.Column()], " ")
				if name != "predicted_price" && name != "low" && !strings.HasPrefix(name, "effect_") && !strings.HasPrefix(name, "comparable_") {
					continue
				}
				seen++
				switch {
				case v.IsNull():
					cell(at, name, "")
				case strings.HasPrefix(name, "comparable_") && strings.HasSuffix(name, "_date"):
					cell(at, name, house.Date(v.Int32()).String())
				default:
					cell(at, name, strconv.FormatFloat(v.Double(), 'f', -1, 64))
				}
			}
			at++
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if at != rows || seen != rows*(2+features.NumReasons()+25) {
		t.Errorf("%d rows with %d cells", at, seen)
	}
}

func TestAColumnThatWouldBeAddedIsRefused(t *testing.T) {
	o := fullOptions(t)
	for _, text := range []string{header + ",low\n" + row + ",1\n", header + ",effect_grade\n" + row + ",1\n"} {
		if _, _, err := value(t, text, batch.CSV, batch.CSV, o); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("got %v", err)
		}
	}
	if _, _, err := value(t, `{`+object+`,"base_price":1}`, batch.NDJSON, batch.NDJSON, o); err == nil || !strings.Contains(err.Error(), "member base_price is there already") {
		t.Errorf("got %v", err)
	}
}
