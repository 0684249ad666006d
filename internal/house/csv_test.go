package house_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"housing/internal/house"
)

const csvHeader = "bedrooms,bathrooms,sqft_living,sqft_lot,floors,sqft_above,sqft_basement,zipcode"

// readCSV reads all houses and the faults of all rows.
func readCSV(text string) (houses []house.House, records [][]string, err error) {
	c, err := house.NewCSVReader(strings.NewReader(text), "houses.csv", house.RequiredFields, year)
	if err != nil {
		return nil, nil, err
	}
	var faults house.InvalidError
	for {
		h, record, _, err := c.Next()
		var invalid *house.InvalidError
		switch {
		case err == io.EOF && faults.Total > 0:
			return houses, records, &faults
		case err == io.EOF:
			return houses, records, nil
		case errors.As(err, &invalid):
			faults.Merge(invalid)
		case err != nil:
			return houses, records, err
		default:
			houses = append(houses, h)
			records = append(records, append([]string(nil), record...))
		}
	}
}

func TestCSVReadsDirtyFiles(t *testing.T) {
	text := "\xef\xbb\xbfid, zipcode ,bedrooms,bathrooms,sqft_living,sqft_lot,\"floors\",sqft_above,sqft_basement,grade,date,note\r\n" +
		"\"7129300520\",\"98178\",3,1.00,1180,5650,\"1\",1180,0,,20141013T000000,\"a, \"\"b\"\"\"\r\n" +
		"\r\n" +
		"x,98178.0, 3 ,1,1180,5650,1,1180,0,7,2014-10-13,"
	houses, records, err := readCSV(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(houses) != 2 {
		t.Fatalf("%d houses", len(houses))
	}
	for _, h := range houses {
		if h.Zipcode() != 98178 || h.Values[house.Bedrooms] != 3 || h.Date.String() != "2014-10-13" || !math.IsNaN(h.Values[house.Lat]) {
			t.Errorf("got %+v", h)
		}
	}
	if !math.IsNaN(houses[0].Values[house.Grade]) || houses[1].Values[house.Grade] != 7 {
		t.Errorf("grades %v and %v", houses[0].Values[house.Grade], houses[1].Values[house.Grade])
	}
	if records[0][0] != "7129300520" || records[0][11] != `a, "b"` {
		t.Errorf("carried through: %q", records[0])
	}
}

func TestCSVDayOfValuationWins(t *testing.T) {
	houses, _, err := readCSV(csvHeader + ",valuation_date,date\n3,1,1180,5650,1,1180,0,98178,2015-01-02,2014-01-01\n3,1,1180,5650,1,1180,0,98178,,2014-01-01\n")
	if err != nil || houses[0].Date.String() != "2015-01-02" || houses[1].Date.String() != "2014-01-01" {
		t.Errorf("got %v, %v", houses, err)
	}
}

func TestCSVNamesIgnoredColumns(t *testing.T) {
	c, err := house.NewCSVReader(strings.NewReader("id,price,date,"+csvHeader+",note\n"), "houses.csv", house.RequiredFields, year)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"id", "price", "note"}, c.Ignored()); diff != "" {
		t.Error(diff)
	}
}

func TestCSVNamesEveryFault(t *testing.T) {
	row := "3,1,1180,5650,1,1180,0,98178\n"
	tests := map[string]struct{ text, want string }{
		"empty file":       {"", "houses.csv: is empty, must begin with a header"},
		"columns missing":  {"bedrooms,bathrooms,sqft_living,floors,sqft_above,sqft_basement\n", "houses.csv:1: columns sqft_lot, zipcode are missing"},
		"column missing":   {strings.TrimSuffix(csvHeader, ",zipcode") + "\n", "houses.csv:1: column zipcode is missing"},
		"semicolons":       {strings.ReplaceAll(csvHeader, ",", ";"), `houses.csv:1: columns bedrooms, bathrooms, sqft_living, sqft_lot, floors, sqft_above, sqft_basement, zipcode are missing (columns must be parted by commas, not ";")`},
		"column twice":     {csvHeader + ",bedrooms\n", "houses.csv:1: column bedrooms stands twice"},
		"text in a number": {csvHeader + "\n" + row + "3,1,abc,5650,1,1180,0,98178\n", `houses.csv:3: column sqft_living: must be a number, is "abc"`},
		"quote in a cell":  {csvHeader + "\n-1,,1180,5650,1,1180,0,981\"\"78\n", `houses.csv:2: not CSV: bare " in non-quoted-field`},
		"all of a row":     {csvHeader + "\n-1,,1180,5650,1,1180,0,9817x\n", `houses.csv:2: column bedrooms: must be at least 0, is -1; houses.csv:2: column bathrooms: is required; houses.csv:2: column zipcode: must be a string of five digits or a whole number, is "9817x"`},
		"of several rows":  {csvHeader + "\n1.5,1,1180,5650,1,1180,0,98178\n" + row + "3,1,1,5650,1,1180,0,98178\n", `houses.csv:2: column bedrooms: must be a whole number, is 1.5; houses.csv:4: column sqft_living: must be at least 100, is 1`},
		"NaN":              {csvHeader + "\nNaN,1,1180,5650,1,1180,0,98178\n", `houses.csv:2: column bedrooms: must be a whole number, is "NaN"`},
		"infinite":         {csvHeader + "\n3,Inf,1180,1e999,1,1180,0,98178\n", `houses.csv:2: column bathrooms: must be a number, is "Inf"; houses.csv:2: column sqft_lot: must be at most 10000000, is 1e999`},
		"hexadecimal":      {csvHeader + "\n0x3,1,1180,5650,1,1180,0,98178\n", `houses.csv:2: column bedrooms: must be a whole number, is "0x3"`},
		"too few cells":    {csvHeader + "\n3,1\n", "houses.csv:2: has 2 cells where the header has 8"},
		"too many cells":   {csvHeader + "\n" + strings.TrimSpace(row) + ",1\n", "houses.csv:2: has 9 cells where the header has 8"},
		"open quote":       {csvHeader + "\n\"3,1\n", `houses.csv:2: not CSV: extraneous or missing " in quoted-field`},
		"no such day":      {csvHeader + ",date\n3,1,1180,5650,1,1180,0,98178,2014-13-01\n", `houses.csv:2: column date: must be a day such as 2015-05-27 or 20150527T000000, from 1900 to 2199, is "2014-13-01"`},
		"row too long":     {csvHeader + "\n\"" + strings.Repeat("9", 2<<20), "houses.csv:2: must not have more than 1 MiB in a row; is a quote left open?"},
		"too many columns": {strings.Repeat(",", 1000) + "\n", "houses.csv:1: must have at most 1000 columns, has 1001"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := readCSV(tt.text)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCSVReadsManyLongRows(t *testing.T) {
	row := `3,1,1180,5650,1,1180,0,98178,"` + strings.Repeat("x", 1<<19) + "\"\n"
	houses, _, err := readCSV(csvHeader + ",note\n" + strings.Repeat(row, 5))
	if err != nil || len(houses) != 5 {
		t.Errorf("%d houses, %v", len(houses), err)
	}
}

const salesHeader = "id,date,price," + csvHeader + "\n"

func saleRow(id, date, price string) string {
	return fmt.Sprintf("%s,%s,%s,3,1,1180,5650,1,1180,0,98178\n", id, date, price)
}

func TestReadSales(t *testing.T) {
	text := salesHeader + saleRow(`"7129300520"`, `"20141013T000000"`, "221900") + saleRow("7129300520", "2015-01-02", "1e6")
	sales, err := house.ReadSales(strings.NewReader(text), "sales.csv", house.SalesOptions{Year: year})
	if err != nil {
		t.Fatal(err)
	}
	if len(sales.Sales) != 2 || len(sales.Ignored) != 0 {
		t.Fatalf("got %+v", sales)
	}
	if s := sales.Sales[1]; s.ID != "7129300520" || s.Price != 1e6 || s.House.Date.String() != "2015-01-02" || s.House.Values[house.SqftLot] != 5650 {
		t.Errorf("got %+v", s)
	}
}

func TestReadSalesNamesEveryFault(t *testing.T) {
	var many strings.Builder
	for range 25 {
		many.WriteString(saleRow("1", "2014-01-01", "0"))
	}
	listed := "sales.csv has 25 faults:"
	for line := range 20 {
		listed += fmt.Sprintf("\n  sales.csv:%d: column price: must be more than 0, is 0", line+2)
	}
	tests := map[string]struct{ text, want string }{
		"no id and price":  {"date," + csvHeader + "\n", "sales.csv:1: columns id, price are missing"},
		"no rows":          {salesHeader, "sales.csv: has a header and no sales"},
		"text in a number": {salesHeader + saleRow("1", "2014-01-01", "a lot"), `sales.csv:2: column price: must be a number, is "a lot"`},
		"too dear":         {salesHeader + saleRow("1", "2014-01-01", "1000000001"), `sales.csv:2: column price: must be at most 1000000000, is 1000000001`},
		"all empty":        {salesHeader + saleRow("", "", ""), "sales.csv has 3 faults:\n  sales.csv:2: column id: is required\n  sales.csv:2: column price: is required\n  sales.csv:2: column date: is required"},
		"id too long":      {salesHeader + saleRow(strings.Repeat("1", 101), "2014-01-01", "1"), `sales.csv:2: column id: must be at most 64 bytes long`},
		"many":             {salesHeader + many.String(), listed + "\n  and 5 more"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := house.ReadSales(strings.NewReader(tt.text), "sales.csv", house.SalesOptions{Year: year})
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReadSalesDropsInvalidRows(t *testing.T) {
	text := salesHeader + saleRow("1", "2014-01-01", "1") + "1,2\n" + saleRow("2", "", "-1") + saleRow("3", "2014-01-01", "3")
	sales, err := house.ReadSales(strings.NewReader(text), "sales.csv", house.SalesOptions{Year: year, DropInvalid: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(sales.Sales) != 2 || sales.Sales[1].ID != "3" || sales.DroppedRows != 2 || len(sales.Dropped) != 3 {
		t.Errorf("got %+v", sales)
	}
	_, err = house.ReadSales(strings.NewReader(salesHeader+saleRow("1", "2014-01-01", "0")), "sales.csv", house.SalesOptions{Year: year, DropInvalid: true})
	if want := "sales.csv: no row is a valid sale: sales.csv:2: column price: must be more than 0, is 0"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestReadSalesOfKingCounty(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "king_county_sales.csv"))
	if err != nil {
		t.Skip("the sales of King County are not here: ", err)
	}
	defer f.Close()
	sales, err := house.ReadSales(f, "king_county_sales.csv", house.SalesOptions{Year: year})
	if err != nil {
		t.Fatal(err)
	}
	if len(sales.Sales) != 18_348 || len(sales.Ignored) != 0 {
		t.Errorf("%d sales, ignored %v", len(sales.Sales), sales.Ignored)
	}
}

func BenchmarkReadSales(b *testing.B) {
	text := salesHeader + strings.Repeat(saleRow(`"7129300520"`, `"20141013T000000"`, "221900"), 1000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := house.ReadSales(strings.NewReader(text), "sales.csv", house.SalesOptions{Year: year}); err != nil {
			b.Fatal(err)
		}
	}
}
