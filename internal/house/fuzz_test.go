package house_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"

	"housing/internal/house"
)

// checkHouse fails if the house has a value that the table forbids.
func checkHouse(t *testing.T, h house.House, required house.Set) {
	t.Helper()
	for _, s := range house.Fields() {
		v := h.Values[s.Field]
		if math.IsNaN(v) {
			if required.Has(s.Field) {
				t.Errorf("%s is required and unknown", s.Name)
			}
			continue
		}
		least, greatest := s.Range(year)
		if (v < least || v > greatest) && (s.Kind != house.YearOrZero || v != 0) {
			t.Errorf("%s = %v is out of range", s.Name, v)
		}
		if s.Kind != house.Number && v != math.Trunc(v) {
			t.Errorf("%s = %v is not whole", s.Name, v)
		}
	}
	if h.Date != house.NoDate {
		if y := h.Date.Time().Year(); y < 1900 || y > 2199 {
			t.Errorf("day %v is out of range", h.Date)
		}
	}
}

// checkError fails if the error is none that a reader of JSON may give.
func checkError(t *testing.T, text []byte, err error) {
	t.Helper()
	var syntax *house.SyntaxError
	var invalid *house.InvalidError
	switch {
	case errors.As(err, &syntax):
		if syntax.Offset < 0 || syntax.Offset > int64(len(text)) || syntax.Message == "" || strings.Contains(syntax.Message, "jsontext") {
			t.Errorf("%+v of %d bytes", syntax, len(text))
		}
	case errors.As(err, &invalid):
		if n := len(invalid.Faults); n == 0 || n > house.MaxFaults || n > invalid.Total {
			t.Errorf("%d faults of %d", n, invalid.Total)
		}
		for _, f := range invalid.Faults {
			if f.Message == "" || f.Value != nil && !f.Value.IsValid() {
				t.Errorf("fault %+v", f)
			}
		}
		if _, err := json.Marshal(invalid.Faults); err != nil {
			t.Error(err)
		}
	default:
		t.Errorf("error %v is of type %T", err, err)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(seattle))
	f.Add(body(seattle, only(`"grade":null`)))
	f.Add(body(only(`"gr\u0061de":7`), "{}", "null", `{"zipcode":98178.0,"valuation_date":"20150527T000000"}`))
	f.Add([]byte("\xef\xbb\xbf{\"records\":[{\"lat\":1e999,\"lat\":-1}]} x"))
	f.Add([]byte(`{"id":"7129300520","date":"20141013T000000","bedrooms":"3","sqft_living":" 1180 ","grade":"","zipcode":"98178.0"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		for _, d := range []*house.Decoder{fullDecoder(), minimalDecoder()} {
			houses, err := d.Records(nil, text)
			if err != nil {
				checkError(t, text, err)
			} else {
				if !json.Valid([]byte(strings.TrimPrefix(before, "\xef\xbb\xbf"))) {
					t.Error("read what is not JSON")
				}
				var records []string
				for _, h := range houses {
					checkHouse(t, h, d.Required)
					records = append(records, string(house.AppendJSON(nil, &h)))
				}
				again, err := d.Records(nil, body(records...))
				if err != nil || len(again) != len(houses) {
					t.Errorf("what was read cannot be read again: %v", err)
				}
			}
			if h, err := d.Line(text); err != nil {
				checkError(t, text, err)
			} else {
				checkHouse(t, h, d.Required)
			}
		}
		if string(text) != before {
			t.Error("the decoder changed what it read")
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add(csvHeader + "\n3,1.00,1180,5650,\"1\",1180,0,\"98178\"\n")
	f.Add("\xef\xbb\xbf" + csvHeader + ",grade,date\r\n3,1.00,1180,5650,1,1180,0,98178.0,,20141013T000000\r\n\r\n-1,NaN,0x1,1e999,\"\",,x,9\r\n")
	f.Add(csvHeader + "\n\"3,1\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := house.NewCSVReader(strings.NewReader(text), "houses.csv", house.RequiredFields, year)
		if err != nil {
			return
		}
		for last := 1; ; {
			h, record, line, err := c.Next()
			var invalid *house.InvalidError
			switch {
			case err == io.EOF:
				return
			case errors.As(err, &invalid):
				checkError(t, nil, err)
			case err != nil:
				if !strings.HasPrefix(err.Error(), "houses.csv:") {
					t.Errorf("error %v names no file and line", err)
				}
				return
			default:
				checkHouse(t, h, house.RequiredFields)
				if len(record) != len(c.Header()) {
					t.Errorf("%d cells, %d columns", len(record), len(c.Header()))
				}
			}
			if line <= last {
				t.Fatalf("line %d after line %d", line, last)
			}
			last = line
		}
	})
}

func FuzzSales(f *testing.F) {
	f.Add(salesHeader+saleRow(`"7129300520"`, `"20141013T000000"`, "221900"), false)
	f.Add(salesHeader+saleRow("1", "2014-01-01", "0")+"1,2\n"+saleRow("2", "2014-01-01", "1e6"), true)
	f.Fuzz(func(t *testing.T, text string, drop bool) {
		sales, err := house.ReadSales(strings.NewReader(text), "sales.csv", house.SalesOptions{Year: year, DropInvalid: drop})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "sales.csv") {
				t.Errorf("error %v does not name the file", err)
			}
			return
		}
		if len(sales.Sales) == 0 || !drop && sales.DroppedRows > 0 {
			t.Errorf("%d sales, %d dropped", len(sales.Sales), sales.DroppedRows)
		}
		for _, s := range sales.Sales {
			checkHouse(t, s.House, house.RequiredFields)
			if s.ID == "" || len(s.ID) > 64 || !(s.Price > 0 && s.Price <= house.MaxPrice) || s.House.Date == house.NoDate {
				t.Errorf("sale %+v", s)
			}
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"2015-05-27", "20150527", "20141013T000000", "2015-05-27T10:00:00Z", "2015-05-27T10:00:00.5+02:00", "2015-05-27 10:00:00", "2000-01-01  0:00:00", "2000-01-01T1:00:00", "2015-02-30", ""} {
		f.Add(s)
	}
	schema := house.Schema(0, 0, year)["properties"].(map[string]any)[house.DateField].(map[string]any)
	pattern := regexp.MustCompile("(?s)" + schema["pattern"].(string))
	f.Fuzz(func(t *testing.T, s string) {
		d, err := house.ParseDate(s)
		if err != nil {
			if d != house.NoDate {
				t.Errorf("%q: day %v beside an error", s, d)
			}
			return
		}
		if again, err := house.ParseDate(d.String()); err != nil || again != d {
			t.Errorf("%q is %v, and that is %v, %v", s, d, again, err)
		}
		if !pattern.MatchString(s) {
			t.Errorf("the schema's pattern does not match %q", s)
		}
	})
}
