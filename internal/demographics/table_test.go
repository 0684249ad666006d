package demographics_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"housing/internal/demographics"
	"housing/internal/house"
)

// area returns an area with v in every column.
func area(v float32) (a demographics.Area) {
	for c := range a {
		a[c] = v
	}
	return a
}

func TestLookupGivesTheAreaOrTheMedians(t *testing.T) {
	table, err := demographics.NewTable([]house.Zipcode{98178, 501, 98001, 98040},
		[]demographics.Area{area(4), area(1), area(10), area(3)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]house.Zipcode{501, 98001, 98040, 98178}, table.Zipcodes()); diff != "" {
		t.Error(diff)
	}
	for z, want := range map[house.Zipcode]float32{98178: 4, 501: 1, 98001: 10, 98040: 3} {
		if got, known := table.Lookup(z); !known || *got != area(want) {
			t.Errorf("%v: %v, %v", z, got, known)
		}
	}
	for _, z := range []house.Zipcode{0, 502, 98000, 99999} {
		if got, known := table.Lookup(z); known || *got != area(3.5) {
			t.Errorf("unknown %v: %v, %v", z, got, known)
		}
	}
	if table.Len() != 4 || table.Medians() != area(3.5) {
		t.Errorf("%d areas, medians %v", table.Len(), table.Medians())
	}
}

func TestMediansOfAnOddCountAreTheMiddle(t *testing.T) {
	table, err := demographics.NewTable([]house.Zipcode{1, 2, 3}, []demographics.Area{area(9), area(1), area(2)})
	if err != nil || table.Medians() != area(2) {
		t.Errorf("got %v, %v", table.Medians(), err)
	}
}

func TestTableNeverChanges(t *testing.T) {
	zipcodes, areas := []house.Zipcode{2, 1}, []demographics.Area{area(2), area(1)}
	table, err := demographics.NewTable(zipcodes, areas)
	if err != nil {
		t.Fatal(err)
	}
	zipcodes[0], areas[0] = 9, area(9)
	table.Zipcodes()[0], table.Areas()[0] = 9, area(9)
	if got, known := table.Lookup(2); !known || *got != area(2) || table.Zipcodes()[0] != 1 || table.Areas()[0] != area(1) {
		t.Errorf("%v, %v", got, known)
	}
}

func TestDigestNamesTheContents(t *testing.T) {
	digest := func(zipcodes []house.Zipcode, areas ...demographics.Area) [32]byte {
		table, err := demographics.NewTable(zipcodes, areas)
		if err != nil {
			t.Fatal(err)
		}
		return table.Digest()
	}
	one := digest([]house.Zipcode{1, 2}, area(0), area(2))
	if one != digest([]house.Zipcode{2, 1}, area(2), area(float32(math.Copysign(0, -1)))) {
		t.Error("order and the sign of zero change the digest")
	}
	if one == digest([]house.Zipcode{1, 2}, area(0), area(3)) || one == digest([]house.Zipcode{1, 3}, area(0), area(2)) {
		t.Error("another table has the same digest")
	}
}

func TestNewTableRefuses(t *testing.T) {
	nan, inf := area(1), area(1)
	nan[0], inf[1] = float32(math.NaN()), float32(math.Inf(1))
	tests := map[string]struct {
		zipcodes []house.Zipcode
		areas    []demographics.Area
		want     string
	}{
		"no pairs":         {[]house.Zipcode{1}, nil, "demographics: 1 zipcodes for 0 areas"},
		"nothing":          {nil, nil, "demographics: no areas"},
		"too much":         {make([]house.Zipcode, 100_001), make([]demographics.Area, 100_001), "demographics: 100001 areas, must be at most 100000"},
		"a zipcode twice":  {[]house.Zipcode{7, 1, 7}, []demographics.Area{area(1), area(1), area(1)}, "demographics: zipcode 00007 stands twice"},
		"no such zipcode":  {[]house.Zipcode{100_000}, []demographics.Area{area(1)}, "demographics: zipcode 100000 must be at most 99999"},
		"NaN":              {[]house.Zipcode{1}, []demographics.Area{nan}, "demographics: zipcode 00001: column ppltn_qty: must be a number, is NaN"},
		"infinite":         {[]house.Zipcode{1}, []demographics.Area{inf}, "demographics: zipcode 00001: column urbn_ppltn_qty: must be at most 1000000000, is +Inf"},
		"negative":         {[]house.Zipcode{1}, []demographics.Area{area(-1)}, "demographics: zipcode 00001: column ppltn_qty: must be at least 0, is -1"},
		"over 100 percent": {[]house.Zipcode{1}, []demographics.Area{area(101)}, "demographics: zipcode 00001: column per_urbn: must be at most 100, is 101"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := demographics.NewTable(tt.zipcodes, tt.areas); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// row returns a row of the CSV with v in every column, in the order of header.
func row(zipcode, v string) string {
	return strings.Repeat(v+",", demographics.NumColumns) + zipcode + "\n"
}

func header() string {
	var names []string
	for _, c := range demographics.Columns() {
		names = append(names, c.Name)
	}
	return strings.Join(append(names, "zipcode"), ",") + "\n"
}

func TestReadTakesDirtyFiles(t *testing.T) {
	text := "\xef\xbb\xbfnote,zipcode," + strings.TrimSuffix(header(), ",zipcode\n") + "\r\n" +
		"x,\"98178\"" + strings.Repeat(",\" 1.5 \"", demographics.NumColumns) + "\r\n\r\n" +
		"y,98001.0" + strings.Repeat(",-0", demographics.NumColumns) + "\r\n"
	table, err := demographics.Read(strings.NewReader(text), "zips.csv")
	if err != nil {
		t.Fatal(err)
	}
	want, err := demographics.NewTable([]house.Zipcode{98001, 98178}, []demographics.Area{area(0), area(1.5)})
	if err != nil || table.Digest() != want.Digest() {
		t.Errorf("got %v, %v", table, err)
	}
}

func TestReadNamesEveryFault(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":            {"", "zips.csv: is empty, must begin with a header"},
		"no rows":          {header(), "zips.csv: has a header and no areas"},
		"column missing":   {strings.Replace(header(), "per_hsd,", "", 1), "zips.csv:1: column per_hsd is missing"},
		"no zipcode":       {strings.Replace(header(), ",zipcode", "", 1), "zips.csv:1: column zipcode is missing"},
		"column twice":     {"zipcode," + header(), "zips.csv:1: column zipcode stands twice"},
		"zipcode twice":    {header() + row("98178", "1") + row("98001", "1") + row("98178.0", "2"), "zips.csv:4: column zipcode: stands on line 2 already, is 98178.0"},
		"bad zipcode":      {header() + row("9817x", "1"), `zips.csv:2: column zipcode: must be a string of five digits or a whole number, is "9817x"`},
		"no such zipcode":  {header() + row("100000", "1"), `zips.csv:2: column zipcode: must be at most 99999, is 100000`},
		"zipcode empty":    {header() + row("", "1"), `zips.csv:2: column zipcode: is required`},
		"text in a number": {header() + strings.Replace(row("98178", "1"), "1,", "many,", 1), `zips.csv:2: column ppltn_qty: must be a number, is "many"`},
		"empty cell":       {header() + strings.Replace(row("98178", "1"), "1,", ",", 1), `zips.csv:2: column ppltn_qty: is required`},
		"NaN":              {header() + strings.Replace(row("98178", "1"), "1,", "nan,", 1), `zips.csv:2: column ppltn_qty: must be a number, is "nan"`},
		"negative":         {header() + strings.Replace(row("98178", "1"), "1,", "-0.5,", 1), `zips.csv:2: column ppltn_qty: must be at least 0, is -0.5`},
		"1e999":            {header() + strings.Replace(row("98178", "1"), "1,", "1e999,", 1), `zips.csv:2: column ppltn_qty: must be at most 1000000000, is 1e999`},
		"over 100 percent": {header() + strings.Replace(row("98178", "1"), ",1,98178", ",100.5,98178", 1), `zips.csv:2: column per_prfsnl: must be at most 100, is 100.5`},
		"too few cells":    {header() + "1,2\n", "zips.csv:2: has 2 cells where the header has 27"},
		"of several rows":  {header() + row("x", "1") + "1\n" + row("98178", "1"), `zips.csv:2: column zipcode: must be a string of five digits or a whole number, is "x"; zips.csv:3: has 1 cells where the header has 27`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := demographics.Read(strings.NewReader(tt.text), "zips.csv")
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestReadAndWriteTheZipcodesOfKingCounty(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "zipcode_demographics.csv"))
	if err != nil {
		t.Skip("the zipcodes of King County are not here: ", err)
	}
	table, err := demographics.Read(bytes.NewReader(text), "zipcode_demographics.csv")
	if err != nil {
		t.Fatal(err)
	}
	if a, known := table.Lookup(98042); table.Len() != 70 || !known || a[0] != 38249 || a[25] != 4 {
		t.Errorf("%d areas, 98042 is %v", table.Len(), a)
	}
	if got := strings.Join(strings.SplitN(string(text), "\n", 2)[:1], "") + "\n"; got != header() {
		t.Errorf("the columns are %s", got)
	}
	checkRoundTrip(t, table)
}

func checkRoundTrip(t *testing.T, table *demographics.Table) {
	t.Helper()
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := demographics.Read(&b, "again.csv")
	if err != nil || again.Digest() != table.Digest() || !slices.Equal(again.Areas(), table.Areas()) {
		t.Errorf("a table that was written is another when read: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(header() + row("98178", "1") + row("98001.0", "33.333333"))
	f.Add("\xef\xbb\xbf" + header() + row("\"98178\"", "\"1e2\"") + row("98178", "-1") + "1,2\r\n")
	f.Add(header() + row("501", "16777217") + "\"")
	f.Fuzz(func(t *testing.T, text string) {
		table, err := demographics.Read(strings.NewReader(text), "zips.csv")
		if err != nil {
			if !strings.HasPrefix(err.Error(), "zips.csv:") {
				t.Errorf("error %v does not name the file", err)
			}
			return
		}
		checkRoundTrip(t, table)
		for _, a := range append(table.Areas(), table.Medians()) {
			for c, v := range a {
				if !(v >= 0 && float64(v) <= demographics.Columns()[c].Max) {
					t.Errorf("%s = %v", demographics.Columns()[c].Name, v)
				}
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	zipcodes, areas := make([]house.Zipcode, 40_000), make([]demographics.Area, 40_000)
	for i := range zipcodes {
		zipcodes[i] = house.Zipcode(2 * i)
	}
	table, err := demographics.NewTable(zipcodes, areas)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	z := house.Zipcode(0)
	for b.Loop() {
		table.Lookup(z)
		z = (z + 12_345) % 80_000
	}
}

func Example() {
	file := strings.NewReader(header() + row("98115", "30") + row("98178", "20"))
	table, err := demographics.Read(file, "zipcode_demographics.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	area, known := table.Lookup(98115)
	fmt.Println(area[0], demographics.Columns()[0].Unit, known)
	area, known = table.Lookup(10001)
	fmt.Println(area[0], demographics.Columns()[0].Unit, known)
	// Output:
	// 30 people true
	// 25 people false
}
