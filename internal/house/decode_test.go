package house_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"housing/internal/house"
)

const year = 2026

func now() time.Time { return time.Date(year, 7, 1, 12, 0, 0, 0, time.UTC) }

func fullDecoder() *house.Decoder {
	return &house.Decoder{Required: house.RequiredFields, Allowed: house.AllFields, MaxRecords: 1000, Now: now}
}

func minimalDecoder() *house.Decoder {
	return &house.Decoder{Required: house.MinimalFields, Allowed: house.MinimalFields, MaxRecords: 1000, Now: now}
}

const seattle = `{"bedrooms": 3, "bathrooms": 2.5, "sqft_living": 2220, "sqft_lot": 6380, "floors": 1.5,
  "sqft_above": 1660, "sqft_basement": 560, "zipcode": "98115",
  "waterfront": 0, "view": 0, "condition": 4, "grade": 8, "yr_built": 1931, "yr_renovated": 0,
  "lat": 47.6974, "long": -122.313, "sqft_living15": 950, "sqft_lot15": 6380}`

// only returns a record of the required fields with replace in place of the
// member that begins with the same name, or at the end.
func only(replace string) string {
	members := []string{`"bedrooms":3`, `"bathrooms":2.5`, `"sqft_living":2220`, `"sqft_lot":6380`, `"floors":1.5`,
		`"sqft_above":1660`, `"sqft_basement":560`, `"zipcode":"98115"`}
	name, _, _ := strings.Cut(replace, ":")
	for i, m := range members {
		if strings.HasPrefix(m, name+":") {
			members[i] = replace
			return "{" + strings.Join(members, ",") + "}"
		}
	}
	return "{" + strings.Join(append(members, replace), ",") + "}"
}

func body(records ...string) []byte {
	return []byte(`{"records":[` + strings.Join(records, ",") + `]}`)
}

func TestRecordsReadsTheHouseOfTheContract(t *testing.T) {
	got, err := fullDecoder().Records(nil, body(seattle))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]house.House{house.Example()}, got, cmpopts.EquateNaNs()); diff != "" {
		t.Error(diff)
	}
}

func TestRecordsTakesWhatIsWellMeant(t *testing.T) {
	tests := map[string]struct {
		member string
		field  house.Field
		want   float64
	}{
		"whole number with a point":  {`"bedrooms":3.0`, house.Bedrooms, 3},
		"whole number, exponent":     {`"sqft_living":2e3`, house.SqftLiving, 2000},
		"zipcode as a number":        {`"zipcode":98178`, house.ZipcodeField, 98178},
		"zipcode as 98178.0":         {`"zipcode":98178.0`, house.ZipcodeField, 98178},
		"zipcode with leading zeros": {`"zipcode":"00501"`, house.ZipcodeField, 501},
		"zipcode with escapes":       {`"zipcode":"\u0039811\u0035"`, house.ZipcodeField, 98115},
		"name with escapes":          {`"gr\u0061de":7`, house.Grade, 7},
		"optional null is unknown":   {`"grade":null`, house.Grade, math.NaN()},
		"optional left out":          {`"view":0`, house.Grade, math.NaN()},
		"minus zero":                 {`"lat":-0.0`, house.Lat, 0},
		"never renovated":            {`"yr_renovated":0`, house.YrRenovated, 0},
		"built next year":            {`"yr_built":2027`, house.YrBuilt, 2027},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := fullDecoder().Records(nil, body(only(tt.member)))
			if err != nil {
				t.Fatal(err)
			}
			v := got[0].Values[tt.field]
			if v != tt.want && !(math.IsNaN(v) && math.IsNaN(tt.want)) || math.Signbit(v) && v == 0 {
				t.Errorf("%v = %v, want %v", tt.field, v, tt.want)
			}
		})
	}
}

func TestRecordsReadsTheDay(t *testing.T) {
	want, _ := house.ParseDate("2015-05-27")
	for _, member := range []string{`"valuation_date":"2015-05-27"`, `"valuation_date":"20150527T000000"`} {
		got, err := fullDecoder().Records(nil, body(only(member)))
		if err != nil || got[0].Date != want {
			t.Errorf("%s: day %v, %v", member, got, err)
		}
	}
	got, err := minimalDecoder().Records(nil, body(`{"bedrooms":3,"bathrooms":1,"sqft_living":900,"zipcode":98178,"valuation_date":null}`))
	if err != nil || got[0].Date != house.NoDate {
		t.Errorf("null: day %v, %v", got, err)
	}
}

// TestRecordsNamesEveryFault gives what stands in a request and what its
// writer is told.
func TestRecordsNamesEveryFault(t *testing.T) {
	long := strings.Repeat("9", 101)
	tests := map[string]struct {
		body string
		want []string
	}{
		"an array":              {`[]`, []string{`body: must be an object with the member records`}},
		"null":                  {`null`, []string{`body: must be an object with the member records, is null`}},
		"a word":                {`"houses"`, []string{`body: must be an object with the member records, is "houses"`}},
		"records missing":       {`{}`, []string{`body.records: is required`}},
		"records null":          {`{"records":null}`, []string{`body.records: must be an array of houses, is null`}},
		"records an object":     {`{"records":{}}`, []string{`body.records: must be an array of houses`}},
		"records empty":         {`{"records":[]}`, []string{`body.records: must have at least 1 record`}},
		"another member":        {`{"rows":1,"records":[` + seattle + `]}`, []string{`body.rows: is not a member of the body, which is only records, is 1`}},
		"record null":           {`{"records":[null]}`, []string{`body.records[0]: must be an object with the fields of a house, is null`}},
		"record an array":       {`{"records":[[1]]}`, []string{`body.records[0]: must be an object with the fields of a house`}},
		"field missing":         {string(body(seattle, strings.Replace(only(`"view":0`), `"sqft_living":2220,`, "", 1))), []string{`body.records[1].sqft_living: is required`}},
		"required null":         {string(body(only(`"sqft_living":null`))), []string{`body.records[0].sqft_living: is required, is null`}},
		"misspelt":              {string(body(only(`"sqft_livin":1`))), []string{`body.records[0].sqft_livin: is not a field of a house, did you mean sqft_living?, is 1`}},
		"in another style":      {string(body(only(`"YearBuilt":{"a":1}`))), []string{`body.records[0].YearBuilt: is not a field of a house, did you mean yr_built?`}},
		"no such field":         {string(body(only(`"colour":"red"`))), []string{`body.records[0].colour: is not a field of a house, is "red"`}},
		"quoted number":         {string(body(only(`"bedrooms":"3"`))), []string{`body.records[0].bedrooms: must be a whole number, is "3"`}},
		"quoted price":          {string(body(only(`"bathrooms":"2.5"`))), []string{`body.records[0].bathrooms: must be a number, is "2.5"`}},
		"true":                  {string(body(only(`"waterfront":true`))), []string{`body.records[0].waterfront: must be a whole number, is true`}},
		"list":                  {string(body(only(`"grade":[7]`))), []string{`body.records[0].grade: must be a whole number`}},
		"half a bedroom":        {string(body(only(`"bedrooms":2.5`))), []string{`body.records[0].bedrooms: must be a whole number, is 2.5`}},
		"too small":             {string(body(only(`"sqft_living":12`))), []string{`body.records[0].sqft_living: must be at least 100, is 12`}},
		"too large":             {string(body(only(`"sqft_living":50001`))), []string{`body.records[0].sqft_living: must be at most 50000, is 50001`}},
		"1e999":                 {string(body(only(`"sqft_lot":1e999`))), []string{`body.records[0].sqft_lot: must be at most 10000000, is 1e999`}},
		"-1e999":                {string(body(only(`"long":-1e999`))), []string{`body.records[0].long: must be at least -180, is -1e999`}},
		"value too long":        {string(body(only(`"lat":` + long))), []string{`body.records[0].lat: must be at most 90`}},
		"built in two years":    {string(body(only(`"yr_built":2028`))), []string{`body.records[0].yr_built: must be at most 2027, is 2028`}},
		"renovated too early":   {string(body(only(`"yr_renovated":1799`))), []string{`body.records[0].yr_renovated: must be 0 or from 1800 to 2027, is 1799`}},
		"renovated 0.5":         {string(body(only(`"yr_renovated":0.5`))), []string{`body.records[0].yr_renovated: must be a whole number, is 0.5`}},
		"zipcode of four":       {string(body(only(`"zipcode":"9811"`))), []string{`body.records[0].zipcode: must be a string of five digits or a whole number, is "9811"`}},
		"zipcode of letters":    {string(body(only(`"zipcode":"9811x"`))), []string{`body.records[0].zipcode: must be a string of five digits or a whole number, is "9811x"`}},
		"zipcode empty":         {string(body(only(`"zipcode":""`))), []string{`body.records[0].zipcode: must be a string of five digits or a whole number, is ""`}},
		"zipcode 1.5":           {string(body(only(`"zipcode":1.5`))), []string{`body.records[0].zipcode: must be a string of five digits or a whole number, is 1.5`}},
		"zipcode 100000":        {string(body(only(`"zipcode":100000`))), []string{`body.records[0].zipcode: must be at most 99999, is 100000`}},
		"no such day":           {string(body(only(`"valuation_date":"2015-02-30"`))), []string{`body.records[0].valuation_date: must be a day such as 2015-05-27 or 20150527T000000, from 1900 to 2199, is "2015-02-30"`}},
		"day as a number":       {string(body(only(`"valuation_date":20150527`))), []string{`body.records[0].valuation_date: must be a day such as 2015-05-27 or 20150527T000000, from 1900 to 2199, is 20150527`}},
		"all at once, in order": {`{"records":[{"bedrooms":-1,"zipcode":"x","grade":14}],"extra":[]}`, []string{`body.records[0].bedrooms: must be at least 0, is -1`, `body.records[0].zipcode: must be a string of five digits or a whole number, is "x"`, `body.records[0].grade: must be at most 13, is 14`, `body.records[0].bathrooms: is required`, `body.records[0].sqft_living: is required`, `body.records[0].sqft_lot: is required`, `body.records[0].floors: is required`, `body.records[0].sqft_above: is required`, `body.records[0].sqft_basement: is required`, `body.extra: is not a member of the body, which is only records`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			houses, err := fullDecoder().Records(nil, []byte(tt.body))
			var invalid *house.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("error %v, want an InvalidError", err)
			}
			if diff := cmp.Diff(tt.want, lines(invalid)); diff != "" {
				t.Error(diff)
			}
			if len(houses) != 0 {
				t.Errorf("%d houses beside the error", len(houses))
			}
		})
	}
}

func lines(e *house.InvalidError) []string {
	var out []string
	for _, f := range e.Faults {
		out = append(out, f.String())
	}
	return out
}

func TestMinimalTakesOnlyTheFour(t *testing.T) {
	_, err := minimalDecoder().Records(nil, body(`{"bedrooms":3,"bathrooms":1,"sqft_living":900,"zipcode":98178,"grade":7,"gradee":8}`))
	want := `body.records[0].grade: is not taken here, where a house has only bedrooms, bathrooms, sqft_living, zipcode and valuation_date, is 7; ` +
		`body.records[0].gradee: is not a field of a house, is 8`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}

func TestRecordsCountsRecords(t *testing.T) {
	d := fullDecoder()
	thousand := make([]string, 1000)
	for i := range thousand {
		thousand[i] = seattle
	}
	if got, err := d.Records(nil, body(thousand...)); err != nil || len(got) != 1000 {
		t.Fatalf("1000 records: %d, %v", len(got), err)
	}
	thousand[7] = "{}"
	_, err := d.Records(nil, body(append(thousand, seattle)...))
	if want := "body.records: must have at most 1000 records"; err == nil || err.Error() != want {
		t.Errorf("1001 records: %v", err)
	}
}

func TestRecordsTellsACutBodyFromTooManyRecords(t *testing.T) {
	d := fullDecoder()
	d.MaxRecords = 1
	for _, text := range []string{`{"records":[{}`, `{"records":[{},`, `{"records":[{}}`, `{"records":[{},{`} {
		_, err := d.Records(nil, []byte(text))
		var syntax *house.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDecoderServesManyAtOnce(t *testing.T) {
	d := fullDecoder()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 50 {
				good, bad := body(seattle), body(only(fmt.Sprintf(`"gr\u0061de":%d`, 14+i)))
				if houses, err := d.Records(nil, good); err != nil || houses[0] != house.Example() {
					t.Errorf("got %v, %v", houses, err)
				}
				want := fmt.Sprintf("body.records[0].grade: must be at most 13, is %d", 14+i)
				if _, err := d.Records(nil, bad); err == nil || err.Error() != want {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	group.Wait()
}

func TestRecordsKeepsTheFirstHundredFaults(t *testing.T) {
	many := make([]string, 30)
	for i := range many {
		many[i] = "{}"
	}
	_, err := fullDecoder().Records(nil, body(many...))
	var invalid *house.InvalidError
	if !errors.As(err, &invalid) || len(invalid.Faults) != house.MaxFaults || invalid.Total != 240 {
		t.Fatalf("got %v", err)
	}
	if want := "; and 237 more"; !strings.HasSuffix(err.Error(), want) {
		t.Errorf("message %q does not end in %q", err, want)
	}
}

func TestRecordsSaysWhatIsNotJSON(t *testing.T) {
	deep := func(n int) string {
		return `{"records":[{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}]}`
	}
	tests := map[string]struct {
		body   string
		offset int64
		want   string
	}{
		"empty":                   {"", 0, "the body is empty"},
		"blank":                   {" \r\n", 0, "the body is empty"},
		"a mark alone":            {"\xef\xbb\xbf", 0, "the body is empty"},
		"a word":                  {"houses", 0, "invalid character 'h' at start of value"},
		"NaN":                     {string(body(only(`"grade":NaN`))), 154, "invalid character 'N' at start of value"},
		"Infinity after a mark":   {"\xef\xbb\xbf" + `{"records":[{"grade":Infinity}]}`, 24, "invalid character 'I' at start of value"},
		"cut":                     {`{"records":[{"grade":7`, 22, "it ends too early"},
		"one comma too many":      {`{"records":[{"grade":7,}]}`, 22, "invalid character ',' at start of value"},
		"leading zero":            {`{"records":[{"grade":07}]}`, 22, "invalid character '7' after object value (expecting ',' or '}')"},
		"name twice":              {`{"records":[{"grade":7,"grade":7}]}`, 23, `the name "grade" stands twice in one object`},
		"name twice, spelt apart": {`{"records":[{"grade":7,"gr\u0061de":7}]}`, 23, `the name "grade" stands twice in one object`},
		"stranger twice":          {`{"a":1,"a":2}`, 7, `the name "a" stands twice in one object`},
		"records twice":           {`{"records":[` + seattle + `],"records":[]}`, 338, `the name "records" stands twice in one object`},
		"invalid UTF-8":           {"{\"records\":[{\"zipcode\":\"\xff\"}]}", 24, "invalid UTF-8"},
		"UTF-16":                  {"\xff\xfe{\x00}\x00", 0, "invalid character '\\xff' at start of value"},
		"two bodies":              {string(body(seattle)) + " {}", 339, "there is more after the end of the JSON"},
		"10,000 deep":             {deep(10_000), 10_014, "exceeded max depth"},
		"1,000,000 deep":          {strings.Repeat("[", 1_000_000), 10_000, "exceeded max depth"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := fullDecoder().Records(nil, []byte(tt.body))
			want := &house.SyntaxError{Offset: tt.offset, Message: tt.want}
			var syntax *house.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("error %v, want a SyntaxError", err)
			}
			if diff := cmp.Diff(want, syntax); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRecordsAllocatesNothingForGoodHouses(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	d, b, dst := fullDecoder(), body(seattle, only(`"view":0`)), make([]house.House, 0, 2)
	allocs := testing.AllocsPerRun(200, func() {
		if _, err := d.Records(dst, b); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations, want none", allocs)
	}
}

func TestLineReadsDirtyFiles(t *testing.T) {
	line := `{"id":"7129300520","date":"20141013T000000","bedrooms":"3","bathrooms":" 1.00 ","sqft_living":1180,"sqft_lot":"5650",
		"floors":"1","sqft_above":1180,"sqft_basement":0,"zipcode":"98178.0","grade":"","view":null,"note":{"a":[1]}}`
	h, err := fullDecoder().Line([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if h.Zipcode() != 98178 || h.Values[house.Floors] != 1 || !math.IsNaN(h.Values[house.Grade]) || h.Date.String() != "2014-10-13" {
		t.Errorf("got %+v", h)
	}
	later := strings.Replace(line, `"note"`, `"valuation_date":"2015-01-02","note"`, 1)
	if h, err = fullDecoder().Line([]byte(later)); err != nil || h.Date.String() != "2015-01-02" {
		t.Errorf("valuation_date: %v, %v", h.Date, err)
	}
	_, err = fullDecoder().Line([]byte(strings.Replace(line, `"3"`, `"three"`, 1)))
	if want := `bedrooms: must be a whole number, is "three"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = fullDecoder().Line([]byte(strings.Replace(line, `"3"`, `""`, 1)))
	if want := `bedrooms: is required, is ""`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, bad := range []string{"", "[]", "{", line + line} {
		if _, err := fullDecoder().Line([]byte(bad)); err == nil {
			t.Errorf("%.20q was read", bad)
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			text := body(repeat(seattle, n)...)
			d, dst := fullDecoder(), []house.House(nil)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, err = d.Records(dst, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func repeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}
