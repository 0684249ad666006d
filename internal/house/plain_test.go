package house

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

func plainDecoders() []*Decoder {
	now := func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }
	return []*Decoder{
		{Required: RequiredFields, Allowed: AllFields, MaxRecords: 4, Now: now},
		{Required: MinimalFields, Allowed: MinimalFields, MaxRecords: 4, Now: now},
	}
}

const (
	fullHouse = `{"bedrooms": 3, "bathrooms": 2.5, "sqft_living": 2220, "sqft_lot": 6380, "floors": 1.5,
  "sqft_above": 1660, "sqft_basement": 560, "zipcode": "98115", "waterfront": 0, "view": 0, "condition": 4, "grade": 8, "yr_built": 1931,
  "yr_renovated": 0, "lat": 47.6974, "long": -122.313, "sqft_living15": 950, "sqft_lot15": 6380}`
	otherHouse = `{"zipcode":98178.0,"valuation_date":"20150527T000000","lat":-0.0,"grade":null,"sqft_lot":1e3,"sqft_basement":0,` +
		`"long":-122.31300000000000001,"sqft_above":1.18E+3,"floors":1,"sqft_living":1180,"bathrooms":1.00,"bedrooms":3.0}`
	minimalHouse = `{"bedrooms":3,"bathrooms":1,"sqft_living":900,"zipcode":"00501","valuation_date":null}`
)

// sameByBoth fails if plain takes a body that reader does not take, or takes
// it for other houses. It says whether plain takes it.
func sameByBoth(t *testing.T, d *Decoder, text string) bool {
	t.Helper()
	houses, ok := d.plainRecords(nil, []byte(text))
	if !ok {
		return false
	}
	careful, err := d.carefulRecords(nil, []byte(text))
	if err != nil || len(careful) != len(houses) {
		t.Fatalf("plain reads %d houses, reader %d, %v, of %q", len(houses), len(careful), err, text)
	}
	for i := range houses {
		for f := range houses[i].Values {
			a, b := houses[i].Values[f], careful[i].Values[f]
			if math.Float64bits(a) != math.Float64bits(b) && !(math.IsNaN(a) && math.IsNaN(b)) {
				t.Errorf("%v of house %d: plain reads %v, reader %v, of %q", Field(f), i, a, b, text)
			}
		}
		if houses[i].Date != careful[i].Date {
			t.Errorf("day of house %d: plain reads %v, reader %v, of %q", i, houses[i].Date, careful[i].Date, text)
		}
	}
	return true
}

func TestPlainTakesWhatProgramsWrite(t *testing.T) {
	full, minimal := plainDecoders()[0], plainDecoders()[1]
	for _, tt := range []struct {
		decoder *Decoder
		text    string
	}{
		{full, `{"records":[` + fullHouse + `]}`},
		{full, " {\r\n\t\"records\" : [ " + otherHouse + " , " + fullHouse + ",\n" + otherHouse + " ] } \n"},
		{minimal, `{"records":[` + minimalHouse + `,` + minimalHouse + `]}`},
	} {
		for range 2 { // the second time by the order of the first
			if !sameByBoth(t, tt.decoder, tt.text) {
				t.Errorf("plain does not take %s", tt.text)
			}
		}
	}
}

// TestPlainLeavesTheRest gives what reader must see: faults, and spellings
// that few programs write.
func TestPlainLeavesTheRest(t *testing.T) {
	full := plainDecoders()[0]
	with := func(old, replace string) string {
		return `{"records":[` + strings.Replace(fullHouse, old, replace, 1) + `]}`
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"a mark":              "\xef\xbb\xbf" + with("", ""),
		"no records":          `{"records":[]}`,
		"too many":            `{"records":[` + strings.Repeat(fullHouse+",", 4) + fullHouse + `]}`,
		"another member":      `{"rows":[` + fullHouse + `]}`,
		"records twice":       `{"records":[` + fullHouse + `],"records":[]}`,
		"more behind":         with("", "") + "{}",
		"cut":                 with("", "")[:60],
		"field twice":         with(`"view": 0`, `"view": 0,"view": 0`),
		"day twice":           with(`"view": 0`, `"valuation_date":null,"valuation_date":"2015-05-27"`),
		"field missing":       with(`"floors": 1.5,`, ""),
		"required null":       with(`1.5`, "null"),
		"stranger":            with("floors", "flaws"),
		"escaped name":        with("floors", `\u0066loors`),
		"escaped value":       with("98115", `9811\u0035`),
		"comma too many":      with("6380}", "6380,}"),
		"no comma":            with("3,", "3 "),
		"out of range":        with("2220", "12"),
		"half a bedroom":      with(`"bedrooms": 3`, `"bedrooms": 3.5`),
		"quoted number":       with("2220", `"2220"`),
		"leading zero":        with("2220", "02220"),
		"leading plus":        with("2220", "+2220"),
		"leading point":       with("2.5", ".5"),
		"no decimals":         with("2.5", "2."),
		"no exponent":         with("2220", "2220e"),
		"minus alone":         with("-122.313", "-"),
		"hexadecimal":         with("2220", "0x8AC"),
		"too large for float": with("2220", "1e999"),
		"NaN":                 with("2220", "NaN"),
		"nul":                 with(`"grade": 8`, `"grade": nul`),
		"no such day":         with(`"view": 0`, `"valuation_date":"2015-02-30"`),
		"form feed":           with(", ", ",\f"),
	} {
		if _, ok := full.plainRecords(nil, []byte(text)); ok {
			t.Errorf("%s: plain takes %s", name, text)
		}
	}
}

// TestPlainReadsAsReaderDoes changes bodies at random places.
func TestPlainReadsAsReaderDoes(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const letters = `0123456789.-+eE"{}[],: nul\` + "\t\n\x00\x1f\xc3\xff" + `zipcode`
	decoders := plainDecoders()
	bodies := []string{`{"records":[` + fullHouse + `]}`, `{"records":[` + otherHouse + `]}`, `{"records":[` + minimalHouse + `]}`}
	taken := 0
	const tries = 20_000
	for range tries {
		text := []byte(bodies[random.IntN(len(bodies))])
		for range 1 + random.IntN(2) {
			i, c := random.IntN(len(text)), letters[random.IntN(len(letters))]
			switch random.IntN(3) {
			case 0:
				text[i] = c
			case 1:
				text = append(text[:i], text[i+1:]...)
			default:
				text = append(text[:i], append([]byte{c}, text[i:]...)...)
			}
		}
		for _, d := range decoders {
			if sameByBoth(t, d, string(text)) {
				taken++
			}
		}
	}
	if taken < tries/100 {
		t.Errorf("plain took %d bodies of %d, too few to compare", taken, tries)
	}
	full := decoders[0]
	for range tries {
		number := strconv.FormatFloat((random.Float64()-0.5)*math.Pow10(random.IntN(8)), "fge"[random.IntN(3)], random.IntN(20)-1, 64)
		if !sameByBoth(t, full, `{"records":[`+strings.Replace(fullHouse, "-122.313", number, 1)+`]}`) && !strings.Contains(number, "e") {
			if v, _ := strconv.ParseFloat(number, 64); math.Abs(v) <= 180 {
				t.Errorf("plain does not take %s", number)
			}
		}
	}
}

func FuzzPlain(f *testing.F) {
	f.Add(`{"records":[` + fullHouse + `]}`)
	f.Add(" {\r\n\t\"records\" : [ " + otherHouse + " , " + fullHouse + " ] } \n")
	f.Add(`{"records":[` + minimalHouse + `,` + minimalHouse + `]}`)
	f.Add(`{"records":[{"lat":1e999,"lat":-1}]} x`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, d := range plainDecoders() {
			sameByBoth(t, d, text)
		}
	})
}
