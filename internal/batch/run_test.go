package batch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"housing/internal/batch"
	"housing/internal/bundle"
	"housing/internal/bundle/bundletest"
	"housing/internal/demographics"
	"housing/internal/house"
	"housing/internal/model/modeltest"
	"housing/internal/telemetry"
	"housing/internal/valuer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is when the tests take place.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// pricer prices houses by a rule instead of a model.
type pricer func(h *house.House) float64

func (p pricer) Prices(dst []float64, houses []house.House, _ *demographics.Table) []float64 {
	dst = dst[:0]
	for i := range houses {
		dst = append(dst, p(&houses[i]))
	}
	return dst
}

// byArea prices the square foot at 100.25 dollars.
func byArea(h *house.House) float64 { return 100.25 * h.Values[house.SqftLiving] }

func valuerOf(t testing.TB, m valuer.Model) *valuer.Valuer {
	t.Helper()
	v := valuer.New(valuer.Options{Metrics: telemetry.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler)})
	if err := v.Use(m, 0); err != nil {
		t.Fatal(err)
	}
	return v
}

// options has a valuer that prices by the rule.
func options(t testing.TB, p pricer) batch.Options {
	t.Helper()
	manifest := bundle.Manifest{Version: "rule"}
	return batch.Options{
		Valuer:  valuerOf(t, valuer.Model{Pricer: p, Demographics: modeltest.Table(t), Manifest: manifest}),
		Workers: 3,
		Now:     now,
	}
}

// small has a valuer with a small model.
func small(t testing.TB) batch.Options {
	t.Helper()
	b, err := bundle.Parse(bundletest.Bytes(t, "small", 1))
	if err != nil {
		t.Fatal(err)
	}
	return batch.Options{Valuer: valuerOf(t, valuer.FromBundle(b)), Now: now}
}

// value values a text called houses.csv or houses.ndjson.
func value(t testing.TB, text string, from, to batch.Format, o batch.Options) (string, batch.Summary, error) {
	t.Helper()
	in := batch.Input{Reader: strings.NewReader(text), Name: "houses.csv", Format: from}
	if from == batch.NDJSON {
		in.Name = "houses.ndjson"
	}
	var out bytes.Buffer
	summary, err := batch.Run(t.Context(), &out, to, in, o)
	return out.String(), summary, err
}

const (
	header = "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode"
	row    = "3,1.0,1180,5650,1,1180,0,98001"
	object = `"bedrooms":3,"bathrooms":1.0,"sqft_living":1180,"sqft_lot":5650,"floors":1,"sqft_above":1180,"sqft_basement":0,"zipcode":"98001"`
)

func TestRowsAreCarriedThrough(t *testing.T) {
	for name, c := range map[string]struct {
		from, to batch.Format
		in, want string
	}{
		"csv": {batch.CSV, batch.CSV,
			header + "\n" + row + "\n",
			header + ",predicted_price\n" + row + ",118295\n"},
		"csv with dirt": {batch.CSV, batch.CSV,
			"\xef\xbb\xbfid, zipcode ,bedrooms,bathrooms,sqft_living,sqft_lot,\"floors\",sqft_above,sqft_basement,note\r\n" +
				"\"0071\",\"98001\", 3 ,1.00,1181,5650,\"1\",1180,0,\"a, \"\"b\"\"\"\r\n\r\n" +
				"x,98001.0,3,1,1180,5650,1,1180,0,\xff",
			"id,zipcode,bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,note,predicted_price\n" +
				"0071,98001,\" 3 \",1.00,1181,5650,1,1180,0,\"a, \"\"b\"\"\",118395.25\n" +
				"x,98001.0,3,1,1180,5650,1,1180,0,\xff,118295\n"},
		"csv to ndjson": {batch.CSV, batch.NDJSON,
			"id," + header + ",view,\"no\"\"te\",\n0071,3,1.00,1181,5650,+1,1180,0,501.0,,\"a\nb\",1e999\n",
			`{"id":"0071","bedrooms":3,"bathrooms":1.00,"sqft_living":1181,"sqft_lot":5650,"floors":"+1","sqft_above":1180,"sqft_basement":0,"zipcode":"00501","view":null,"no\"te":"a\nb","":"1e999","predicted_price":118395.25}` + "\n"},
		"ndjson": {batch.NDJSON, batch.NDJSON,
			"\xef\xbb\xbf{ " + object + ` , "tags": ["a", {"b":1}], "n": 1.50 }` + "\r\n\r\n  {" + object + "}  ",
			"{ " + object + ` , "tags": ["a", {"b":1}], "n": 1.50,"predicted_price":118295}` + "\n{" + object + `,"predicted_price":118295}` + "\n"},
		"ndjson to csv": {batch.NDJSON, batch.CSV,
			`{"note":"a, \"b\"",` + object + `,"new":true,"view":null}` + "\n" + `{"new":"\u00e9",` + object + "}\n",
			"note," + header + ",new,view,predicted_price\n" + "\"a, \"\"b\"\"\"," + row + ",true,,118295\n" + "," + row + ",é,,118295\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, summary, err := value(t, c.in, c.from, c.to, options(t, byArea))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			rows := strings.Count(c.want, "118")
			if summary.Houses == 0 || summary.Houses > rows || summary.ModelVersion != "rule" {
				t.Errorf("summary %+v", summary)
			}
		})
	}
}

func TestEveryFaultIsNamed(t *testing.T) {
	line := "{" + object + "}\n"
	for name, c := range map[string]struct {
		from, to batch.Format
		in, want string
	}{
		"a price column":   {batch.CSV, batch.CSV, header + ",predicted_price\n", "houses.csv:1: column predicted_price is there already: rename it or take it out"},
		"a column missing": {batch.CSV, batch.CSV, strings.TrimSuffix(header, ",zipcode") + "\n", "houses.csv:1: column zipcode is missing"},
		"no houses":        {batch.CSV, batch.CSV, header + "\n", "houses.csv: has no houses"},
		"nothing at all":   {batch.NDJSON, batch.CSV, "\n \n", "houses.ndjson: has no houses"},
		"one fault":        {batch.CSV, batch.CSV, header + "\n" + row + "\n-1" + row[1:] + "\n", "houses.csv:3: column bedrooms: must be at least 0, is -1"},
		"several":          {batch.CSV, batch.CSV, header + "\n-1" + row[1:] + "\n" + row + "\n1,2\n", "houses.csv has 2 faults:\n  houses.csv:2: column bedrooms: must be at least 0, is -1\n  houses.csv:4: has 2 cells where the header has 8"},
		"then broken":      {batch.CSV, batch.CSV, header + "\n-1" + row[1:] + "\n\"", "houses.csv has 2 faults:\n  houses.csv:2: column bedrooms: must be at least 0, is -1\n  houses.csv:3: not CSV: extraneous or missing \" in quoted-field"},
		"not UTF-8":        {batch.CSV, batch.NDJSON, header + ",a b\n" + row + ",\xff\n", `houses.csv:2: column "a b": is not UTF-8, so it cannot be written as JSON or Parquet: convert the file, or write .csv`},
		"name not UTF-8":   {batch.CSV, batch.NDJSON, header + ",\xff\n", "houses.csv:1: column 9: its name is not UTF-8, so it cannot be written as JSON or Parquet: convert the file, or write .csv"},
		"no names":         {batch.CSV, batch.NDJSON, header + ",,\n", "houses.csv:1: several columns have no name, so they cannot be members of a JSON object: name them, or write .csv"},
		"not JSON":         {batch.NDJSON, batch.NDJSON, line + "{]\n" + line, "houses.ndjson:2: not JSON at byte 1: invalid character ']' at start of value"},
		"a first line":     {batch.NDJSON, batch.NDJSON, "1\n" + strings.Replace(line, "1180", "1", 1), "houses.ndjson has 2 faults:\n  houses.ndjson:1: must be an object with the fields of a house, is 1\n  houses.ndjson:2: member sqft_living: must be at least 100, is 1"},
		"no columns":       {batch.NDJSON, batch.CSV, "[1]\n", "houses.ndjson:1: must be an object with the fields of a house"},
		"not JSON for CSV": {batch.NDJSON, batch.CSV, "{\"a\":1,\"a\":2}\n", `houses.ndjson:1: not JSON at byte 7: the name "a" stands twice in one object`},
		"a price member":   {batch.NDJSON, batch.NDJSON, "\n{" + object + `,"predicted_price":1}`, "houses.ndjson:2: member predicted_price is there already: rename it or take it out"},
		"a hidden one":     {batch.NDJSON, batch.NDJSON, line + "{" + object + `,"predicted\u005fprice":1}`, "houses.ndjson:2: member predicted_price: is there already: rename it or take it out"},
		"a new member":     {batch.NDJSON, batch.CSV, line + "{" + object + `,"b":1}`, "houses.ndjson:2: member b: is not in the first line, so there is no column for it: write .ndjson instead"},
		"nested":           {batch.NDJSON, batch.CSV, "{" + object + `,"b":[1]}`, "houses.ndjson:1: member b: is not a plain value, which a cell of a table cannot hold: write .ndjson instead"},
		"a long line":      {batch.NDJSON, batch.NDJSON, line + strings.Repeat(" ", 1<<20) + line, "houses.ndjson:2: must not have more than 1 MiB in a line"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := value(t, c.in, c.from, c.to, options(t, byArea))
			if err == nil {
				t.Fatal("no error, but ", out)
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(out, "118295") {
				t.Errorf("houses were written all the same: %s", out)
			}
		})
	}
}

func TestFaultsOfManyRowsAreCounted(t *testing.T) {
	const rows = 2000
	for _, c := range []struct {
		format  batch.Format
		in, one string
	}{
		{batch.CSV, header + "\n" + strings.Repeat("-1"+row[1:]+"\n", rows), "houses.csv:21: column bedrooms"},
		{batch.NDJSON, strings.Repeat("{"+strings.Replace(object, "3", "-1", 1)+"}\n", rows), "houses.ndjson:20: member bedrooms"},
	} {
		_, _, err := value(t, c.in, c.format, c.format, options(t, byArea))
		var invalid *house.InvalidError
		if !errors.As(err, &invalid) || invalid.Total != rows || len(invalid.Faults) != house.MaxFaults {
			t.Fatalf("got %v", err)
		}
		message := err.Error()
		if !strings.Contains(message, c.one) || !strings.HasSuffix(message, "\n  and 1980 more") || strings.Count(message, "\n") != 21 {
			t.Errorf("got %s", message)
		}
	}
}

func TestSummary(t *testing.T) {
	var csv strings.Builder
	fmt.Fprintf(&csv, "id,note,%s\n", header)
	for i := range 1500 {
		fmt.Fprintf(&csv, "1,2,%s%05d\n", strings.TrimSuffix(row, "98001"), 98000+i/100)
	}
	_, summary, err := value(t, csv.String(), batch.CSV, batch.CSV, options(t, byArea))
	want := batch.Summary{
		Houses: 1500, ModelVersion: "rule", Ignored: []string{"id", "note"},
		UnknownZipcodes: 1000, Zipcodes: []house.Zipcode{98005, 98006, 98007, 98008, 98009}, ZipcodesMore: true,
	}
	if diff := cmp.Diff(want, summary); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}

	var ndjson strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&ndjson, "{%s,\"date\":null,\"a %d\":1}\n", object, i/50)
	}
	_, summary, err = value(t, ndjson.String(), batch.NDJSON, batch.NDJSON, options(t, byArea))
	if err != nil || len(summary.Ignored) != 20 || !summary.IgnoredMore || summary.Names()[3] != `"a 3"` {
		t.Errorf("got %+v, %v", summary, err)
	}
}

// madeUp returns houses as CSV and as NDJSON.
func madeUp(n int) (houses []house.House, csv, ndjson string) {
	houses = modeltest.Houses(n)
	var lines []byte
	var table strings.Builder
	for _, s := range house.Fields() {
		table.WriteString(s.Name + ",")
	}
	table.WriteString("valuation_date\n")
	for i := range houses {
		for _, v := range houses[i].Values {
			fmt.Fprintf(&table, "%v,", v)
		}
		table.WriteString(houses[i].Date.String() + "\n")
		lines = append(house.AppendJSON(lines, &houses[i]), '\n')
	}
	return houses, table.String(), string(lines)
}

func TestPricesAreThoseOfTheValuerInOrder(t *testing.T) {
	o := small(t)
	houses, csv, ndjson := madeUp(2500)
	answer, err := o.Valuer.Value(t.Context(), nil, houses, valuer.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 7} {
		o.Workers = workers
		for from, text := range map[batch.Format]string{batch.CSV: csv, batch.NDJSON: ndjson} {
			for _, to := range []batch.Format{batch.CSV, batch.NDJSON} {
				out, _, err := value(t, text, from, to, o)
				if err != nil {
					t.Fatal(err)
				}
				lines := strings.Split(strings.TrimSpace(out), "\n")
				if to == batch.CSV {
					lines = lines[1:]
				}
				if len(lines) != len(houses) {
					t.Fatalf("%d lines for %d houses", len(lines), len(houses))
				}
				for i, line := range lines {
					_, price, _ := strings.Cut(line, `"predicted_price":`)
					if to == batch.CSV {
						price = line[strings.LastIndex(line, ",")+1:]
					}
					if want := fmt.Sprintf("%.2f", answer.Prices[i]); !equalCents(strings.TrimSuffix(price, "}"), want) {
						t.Fatalf("house %d is valued at %s, want %s", i, price, want)
					}
				}
			}
		}
	}
}

// equalCents says whether the shortest form of a price is the long one.
func equalCents(short, long string) bool {
	return short == strings.TrimSuffix(strings.TrimSuffix(long, "0"), ".0")
}

func TestRoundTripsGiveTheSamePrices(t *testing.T) {
	o := small(t)
	_, csv, _ := madeUp(600)
	want, _, err := value(t, csv, batch.CSV, batch.CSV, o)
	if err != nil {
		t.Fatal(err)
	}
	ndjson, _, err := value(t, csv, batch.CSV, batch.NDJSON, o)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := value(t, strings.ReplaceAll(ndjson, "predicted_price", "before"), batch.NDJSON, batch.CSV, o)
	if err != nil {
		t.Fatal(err)
	}
	wanted := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n")[:600] {
		if i == 0 {
			continue // the header
		}
		price := line[strings.LastIndex(line, ","):]
		if line != wanted[i]+price || !strings.HasSuffix(wanted[i], price) {
			t.Fatalf("line %d is %s\nwant    %s", i+1, line, wanted[i])
		}
	}
}

func TestUnseenHouses(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "unseen_houses.csv"))
	if err != nil {
		t.Skip("the unseen houses are not here: ", err)
	}
	o := small(t)
	csv, summary, err := value(t, string(text), batch.CSV, batch.CSV, o)
	if err != nil || summary.Houses != 100 || summary.Ignored != nil {
		t.Fatalf("%+v, %v", summary, err)
	}
	before, after := strings.Split(string(text), "\n"), strings.Split(csv, "\n")
	for i := range before {
		if !strings.HasPrefix(after[i], strings.TrimSpace(before[i])) {
			t.Errorf("line %d is %s\nwas     %s", i+1, after[i], before[i])
		}
	}
	ndjson, _, err := value(t, string(text), batch.CSV, batch.NDJSON, o)
	if err != nil || strings.Count(ndjson, "\n") != 100 {
		t.Errorf("%v: %s", err, ndjson)
	}
}

func TestTheEndOfTheContextStopsIt(t *testing.T) {
	_, csv, ndjson := madeUp(5000)
	for from, text := range map[batch.Format]string{batch.CSV: csv, batch.NDJSON: ndjson} {
		ctx, cancel := context.WithCancel(t.Context())
		var priced atomic.Int64
		o := options(t, func(h *house.House) float64 {
			if priced.Add(1) == 1000 {
				cancel()
			}
			return byArea(h)
		})
		_, err := batch.Run(ctx, io.Discard, from, batch.Input{Reader: strings.NewReader(text), Name: "houses", Format: from}, o)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}

func TestAFaultyModelIsAnError(t *testing.T) {
	_, _, ndjson := madeUp(3000)
	_, _, err := value(t, ndjson, batch.NDJSON, batch.NDJSON, options(t, func(h *house.House) float64 { return math.NaN() }))
	if !errors.Is(err, valuer.ErrModel) || !strings.HasPrefix(err.Error(), "value houses.ndjson: ") {
		t.Errorf("got %v", err)
	}
	o := options(t, byArea)
	o.Valuer = valuer.New(valuer.Options{Metrics: telemetry.NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler)})
	if _, _, err := value(t, ndjson, batch.NDJSON, batch.NDJSON, o); !errors.Is(err, valuer.ErrNoModel) {
		t.Errorf("without a model: %v", err)
	}
}

// endless repeats a line and counts what was read of it.
type endless struct {
	line string
	at   int
	read atomic.Int64
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.line[e.at]
		e.at = (e.at + 1) % len(e.line)
	}
	e.read.Add(int64(len(p)))
	return len(p), nil
}

// stuck is a writer that waits, then fails.
type stuck struct {
	release chan struct{}
}

var errFull = errors.New("no space left")

func (s *stuck) Write(p []byte) (int, error) {
	if len(p) == 0 { // there is no header
		return 0, nil
	}
	<-s.release
	return 0, errFull
}

func TestASlowWriterBoundsWhatIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &endless{line: "{" + object + "}\n"}
		out := &stuck{release: make(chan struct{})}
		done := make(chan error)
		o := options(t, byArea)
		go func() {
			_, err := batch.Run(t.Context(), out, batch.NDJSON, batch.Input{Reader: in, Name: "endless", Format: batch.NDJSON}, o)
			done <- err
		}()
		synctest.Wait()
		most := int64(7*512*len(in.line) + 2<<20) // 2 x 3 workers + 1 blocks and the buffer of the reader
		if n := in.read.Load(); n == 0 || n > most {
			t.Errorf("%d bytes were read, want at most %d", n, most)
		}
		close(out.release)
		if err := <-done; !errors.Is(err, errFull) {
			t.Errorf("got %v", err)
		}
	})
}

func TestProgressAddsUp(t *testing.T) {
	_, csv, _ := madeUp(3000)
	o := options(t, byArea)
	var houses int
	var read int64
	o.Progress = func(n int, bytes int64) { houses, read = houses+n, read+bytes }
	if _, _, err := value(t, csv, batch.CSV, batch.NDJSON, o); err != nil {
		t.Fatal(err)
	}
	if houses != 3000 || read != int64(len(csv)) {
		t.Errorf("%d houses and %d bytes, want 3000 and %d", houses, read, len(csv))
	}
}

// FuzzRun holds that whatever the input, there is an error or a price for
// each of its rows, in a form that can be read again.
func FuzzRun(f *testing.F) {
	f.Add(header+"\n"+row+"\n", true)
	f.Add("{"+object+"}\n", false)
	f.Add("{"+object+`,"a":null,"b":"\n"}`+"\n{"+object+"}", false)
	o := options(f, byArea)
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		from := batch.NDJSON
		if isCSV {
			from = batch.CSV
		}
		for _, to := range []batch.Format{batch.CSV, batch.NDJSON} {
			out, summary, err := value(t, text, from, to, o)
			if err != nil {
				continue
			}
			if to == batch.CSV && !isCSV || !utf8.ValidString(out) || strings.Contains(text, "price") || strings.Contains(text, "\ufeff") {
				continue // names that CSV trims, text that JSON cannot hold, names that clash
			}
			again, second, err := value(t, strings.ReplaceAll(out, batch.PriceColumn, "price"), to, batch.NDJSON, o)
			if err != nil || second.Houses != summary.Houses {
				t.Errorf("%d houses, then %d, %v:\n%s\n%s", summary.Houses, second.Houses, err, out, again)
			}
		}
	})
}

// BenchmarkRun values 100,000 houses with the built-in model.
func BenchmarkRun(b *testing.B) {
	const rows = 100_000
	m, err := bundle.Builtin()
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	_, csv, ndjson := madeUp(rows)
	for _, c := range []struct {
		name     string
		from, to batch.Format
		text     string
		o        batch.Options
	}{
		{"built-in/csv", batch.CSV, batch.CSV, csv, batch.Options{Valuer: valuerOf(b, valuer.FromBundle(m))}},
		{"no-model/csv", batch.CSV, batch.CSV, csv, options(b, byArea)},
		{"no-model/csv-ndjson", batch.CSV, batch.NDJSON, csv, options(b, byArea)},
		{"no-model/ndjson", batch.NDJSON, batch.NDJSON, ndjson, options(b, byArea)},
		{"no-model/ndjson-csv", batch.NDJSON, batch.CSV, ndjson, options(b, byArea)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.text)))
			b.ReportAllocs()
			for b.Loop() {
				in := batch.Input{Reader: strings.NewReader(c.text), Name: "houses", Format: c.from}
				if _, err := batch.Run(b.Context(), io.Discard, c.to, in, c.o); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(rows*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
