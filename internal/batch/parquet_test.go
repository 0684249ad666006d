package batch_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"housing/internal/batch"
	"housing/internal/house"
)

// parquetOf writes rows as a Parquet file, with a row group after each of the
// given numbers of rows.
func parquetOf[T any](t testing.TB, rows []T, groups ...int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b)
	for _, n := range groups {
		if _, err := w.Write(rows[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		rows = rows[n:]
	}
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// valueParquet values a Parquet file.
func valueParquet(t testing.TB, data []byte, to batch.Format, o batch.Options) ([]byte, batch.Summary, error) {
	t.Helper()
	in := batch.Input{Reader: bytes.NewReader(data), Name: "houses.parquet", Format: batch.Parquet, Size: int64(len(data))}
	var out bytes.Buffer
	summary, err := batch.Run(t.Context(), &out, to, in, o)
	return out.Bytes(), summary, err
}

// columnsOf returns names and types of the columns of a Parquet file.
func columnsOf(t testing.TB, data []byte) []string {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for _, c := range file.Root().Columns() {
		need := "required"
		if c.Optional() {
			need = "optional"
		}
		columns = append(columns, fmt.Sprintf("%s %s %s", c.Name(), need, c.Type()))
	}
	return columns
}

// typical is a house as most tools write one.
type typical struct {
	ID          string   `parquet:"id"`
	Bedrooms    int64    `parquet:"bedrooms"`
	Bathrooms   float64  `parquet:"bathrooms"`
	SqftLiving  int32    `parquet:"sqft_living"`
	SqftLot     float32  `parquet:"sqft_lot"`
	Floors      float64  `parquet:"floors"`
	SqftAbove   uint32   `parquet:"sqft_above"`
	SqftBase    int64    `parquet:"sqft_basement"`
	Zipcode     string   `parquet:"zipcode"`
	Waterfront  *bool    `parquet:"waterfront,optional"`
	Lat         *float64 `parquet:"lat,optional"`
	Date        int32    `parquet:"valuation_date,date"`
	Interesting bool     `parquet:"interesting"`
}

func typicalHouse() typical {
	yes, lat := true, 47.5
	return typical{ID: "0071", Bedrooms: 3, Bathrooms: 1, SqftLiving: 1180, SqftLot: 5650, Floors: 1, SqftAbove: 1180, Zipcode: "00501",
		Waterfront: &yes, Lat: &lat, Date: 16582, Interesting: true}
}

func TestParquetIsCarriedThrough(t *testing.T) {
	first, second := typicalHouse(), typicalHouse()
	second.ID, second.SqftLiving, second.Waterfront, second.Lat = "x", 1181, nil, nil
	o := options(t, byArea)
	out, summary, err := valueParquet(t, parquetOf(t, []typical{first, second}, 1), batch.Parquet, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parquet.Read[typical](bytes.NewReader(out), int64(len(out)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]typical{first, second}, got); diff != "" {
		t.Errorf("want, got:\n%s", diff)
	}
	type price struct {
		Price float64 `parquet:"predicted_price"`
	}
	prices, err := parquet.Read[price](bytes.NewReader(out), int64(len(out)))
	if diff := cmp.Diff([]price{{118295}, {118395.25}}, prices); err != nil || diff != "" {
		t.Errorf("%v; prices, want, got:\n%s", err, diff)
	}
	want := columnsOf(t, parquetOf(t, []typical{first}))
	if diff := cmp.Diff(append(want, "predicted_price required DOUBLE"), columnsOf(t, out)); diff != "" {
		t.Errorf("columns, want, got:\n%s", diff)
	}
	if summary.Houses != 2 || !cmp.Equal(summary.Ignored, []string{"id", "interesting"}) {
		t.Errorf("summary %+v", summary)
	}
}

func TestParquetAndTextAgree(t *testing.T) {
	data := parquetOf(t, []typical{typicalHouse()})
	o := options(t, byArea)
	wantCSV := "id,bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode,waterfront,lat,valuation_date,interesting,predicted_price\n" +
		"0071,3,1,1180,5650,1,1180,0,00501,1,47.5,2015-05-27,1,118295\n"
	wantJSON := `{"id":"0071","bedrooms":3,"bathrooms":1,"sqft_living":1180,"sqft_lot":5650,"floors":1,"sqft_above":1180,"sqft_basement":0,"zipcode":"00501","waterfront":1,"lat":47.5,"valuation_date":"2015-05-27","interesting":1,"predicted_price":118295}` + "\n"
	for to, want := range map[batch.Format]string{batch.CSV: wantCSV, batch.NDJSON: wantJSON} {
		if out, _, err := valueParquet(t, data, to, o); err != nil || string(out) != want {
			t.Errorf("to format %d: %v\n got %s\nwant %s", to, err, out, want)
		}
	}
	// And back: what has a column of the field table gets its type.
	csv := strings.ReplaceAll(strings.ReplaceAll(wantCSV, ",predicted_price", ""), ",118295", "")
	json := strings.ReplaceAll(wantJSON, `,"predicted_price":118295`, "")
	types := []string{"id optional STRING", "bedrooms optional INT(32,true)", "bathrooms optional DOUBLE", "sqft_living optional DOUBLE", "sqft_lot optional DOUBLE",
		"floors optional DOUBLE", "sqft_above optional DOUBLE", "sqft_basement optional DOUBLE", "zipcode optional STRING", "waterfront optional INT(32,true)",
		"lat optional DOUBLE", "valuation_date optional DATE", "interesting optional STRING", "predicted_price required DOUBLE"}
	for from, text := range map[batch.Format]string{batch.CSV: csv, batch.NDJSON: json} {
		out, _, err := value(t, text, from, batch.Parquet, o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(types, columnsOf(t, []byte(out))); diff != "" {
			t.Errorf("columns of format %d, want, got:\n%s", from, diff)
		}
		var rows strings.Builder
		file, err := parquet.OpenFile(strings.NewReader(out), int64(len(out)))
		if err != nil {
			t.Fatal(err)
		}
		buffer := make([]parquet.Row, 2)
		n, err := file.RowGroups()[0].Rows().ReadRows(buffer)
		if n != 1 || err != nil && err != io.EOF {
			t.Fatalf("%d rows, %v", n, err)
		}
		for _, v := range buffer[0] {
			fmt.Fprintf(&rows, "%v,", v)
		}
		if got, want := rows.String(), "0071,3,1,1180,5650,1,1180,0,00501,1,47.5,16582,1,118295,"; got != want {
			t.Errorf("format %d: got %s, want %s", from, got, want)
		}
	}
}

func TestWorkersDoNotChangeParquet(t *testing.T) {
	var rows []typical
	for i := range 3000 {
		h := typicalHouse()
		h.ID, h.SqftLiving = fmt.Sprint(i), int32(500+i)
		rows = append(rows, h)
	}
	o := small(t)
	data := parquetOf(t, rows, 700, 1300)
	var want []byte
	for _, workers := range []int{1, 2, 7} {
		o.Workers = workers
		got, summary, err := valueParquet(t, data, batch.Parquet, o)
		if err != nil || summary.Houses != len(rows) {
			t.Fatalf("%d workers: %d houses, %v", workers, summary.Houses, err)
		}
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d workers: other bytes", workers)
		}
	}
}

func TestTypesOfParquet(t *testing.T) {
	type required struct {
		Bedrooms   float32 `parquet:"bedrooms"`
		Bathrooms  int64   `parquet:"bathrooms,decimal(2:12)"`
		SqftLiving float64 `parquet:"sqft_living"`
		SqftLot    string  `parquet:"sqft_lot"`
		Floors     float64 `parquet:"floors"`
		SqftAbove  float64 `parquet:"sqft_above"`
		SqftBase   float64 `parquet:"sqft_basement"`
		Zipcode    int64   `parquet:"zipcode"`
	}
	h := required{3, 250, 1180, " 5650 ", 1, 1180, math.Copysign(0, -1), 98001}
	var seen house.House
	o := options(t, func(h *house.House) float64 { seen = *h; return 1 })
	value := func(t *testing.T, data []byte) error {
		t.Helper()
		_, _, err := valueParquet(t, data, batch.Parquet, o)
		return err
	}
	t.Run("numbers", func(t *testing.T) {
		if err := value(t, parquetOf(t, []required{h})); err != nil {
			t.Fatal(err)
		}
		want := house.Unknown()
		for f, v := range map[house.Field]float64{house.Bedrooms: 3, house.Bathrooms: 2.5, house.SqftLiving: 1180, house.SqftLot: 5650, house.Floors: 1,
			house.SqftAbove: 1180, house.SqftBasement: 0, house.ZipcodeField: 98001} {
			want.Values[f] = v
		}
		if diff := cmp.Diff(want, seen, cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b })); diff != "" {
			t.Errorf("want, got:\n%s", diff)
		}
	})
	t.Run("days", func(t *testing.T) {
		type dated struct {
			required
			Date int64 `parquet:"valuation_date,timestamp(microsecond)"`
		}
		for micros, want := range map[int64]string{1432684800000000: "2015-05-27", 1432771199999999: "2015-05-27", -1: "1969-12-31"} {
			if err := value(t, parquetOf(t, []dated{{h, micros}})); err != nil || seen.Date.String() != want {
				t.Errorf("%d: %s, %v; want %s", micros, seen.Date, err, want)
			}
		}
		type number struct {
			required
			Date int32 `parquet:"date"`
		}
		if err := value(t, parquetOf(t, []number{{h, 20150527}})); err != nil || seen.Date.String() != "2015-05-27" {
			t.Errorf("%s, %v", seen.Date, err)
		}
	})
	type faulty struct {
		required
		Grade int32 `parquet:"grade,date"`
	}
	type nested struct {
		required
		Rooms []int32 `parquet:"rooms"`
	}
	type listed struct {
		required
		Lat [16]byte `parquet:"lat,uuid"`
	}
	type priced struct {
		required
		Price float64 `parquet:"predicted_price"`
	}
	tooSmall, unknown := h, h
	tooSmall.SqftLiving, unknown.SqftLiving = 12, math.NaN()
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"out of range": {parquetOf(t, []required{h, tooSmall}), "houses.parquet: row 2: column sqft_living: must be at least 100, is 12"},
		"NaN":          {parquetOf(t, []required{unknown}), "houses.parquet: row 1: column sqft_living: is required"},
		"a day":        {parquetOf(t, []faulty{{h, 5}}), "houses.parquet: row 1: column grade: must be a whole number"},
		"a list":       {parquetOf(t, []nested{{h, []int32{1}}}), "houses.parquet: column rooms is a list or a group"},
		"bytes":        {parquetOf(t, []listed{{required: h}}), "houses.parquet: column lat has values of type UUID, which are neither"},
		"a price":      {parquetOf(t, []priced{{h, 1}}), "houses.parquet: column predicted_price is there already"},
		"no columns":   {parquetOf(t, []struct{ Zipcode string }{{"98001"}}), "houses.parquet: columns bedrooms, bathrooms,"},
		"no rows":      {parquetOf(t, []required{}), "houses.parquet: has no houses"},
		"text":         {[]byte("bedrooms,bathrooms\n1,2\n"), "houses.parquet: is not a Parquet file, or damaged"},
		"nothing":      {nil, "houses.parquet: is not a Parquet file, or damaged: it is too short"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := value(t, c.data); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s…", err, c.want)
			}
		})
	}
}

// FuzzParquet holds that no file panics, and that what is written can be read
// again with the same prices.
func FuzzParquet(f *testing.F) {
	yes := typicalHouse()
	f.Add(parquetOf(f, []typical{yes, yes}, 1))
	no := typicalHouse()
	no.Lat, no.Waterfront, no.SqftLiving = nil, nil, 1
	f.Add(parquetOf(f, []typical{yes, no}))
	f.Add([]byte("PAR1PAR1"))
	o := options(f, byArea)
	o.Workers = 1
	f.Fuzz(func(t *testing.T, data []byte) {
		out, summary, err := valueParquet(t, data, batch.Parquet, o)
		if err != nil {
			return
		}
		file, err := parquet.OpenFile(bytes.NewReader(out), int64(len(out)))
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if file.NumRows() != int64(summary.Houses) {
			t.Fatalf("%d rows of %d houses", file.NumRows(), summary.Houses)
		}
	})
}
