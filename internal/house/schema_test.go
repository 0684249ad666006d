package house_test

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"testing"

	"housing/internal/house"
)

// admits is as much of JSON Schema as house.Schema uses.
func admits(schema map[string]any, v any) bool {
	if choices, ok := schema["oneOf"].([]any); ok {
		fitting := 0
		for _, c := range choices {
			if admits(c.(map[string]any), v) {
				fitting++
			}
		}
		return fitting == 1
	}
	types, _ := schema["type"].([]string)
	if one, ok := schema["type"].(string); ok {
		types = []string{one}
	}
	switch v := v.(type) {
	case nil:
		return slices.Contains(types, "null")
	case string:
		pattern, hasPattern := schema["pattern"].(string)
		return slices.Contains(types, "string") && (!hasPattern || regexp.MustCompile(pattern).MatchString(v))
	case float64:
		if c, ok := schema["const"].(float64); ok && v != c {
			return false
		}
		if least, ok := schema["minimum"].(float64); ok && v < least {
			return false
		}
		if greatest, ok := schema["maximum"].(float64); ok && v > greatest {
			return false
		}
		return slices.Contains(types, "number") || slices.Contains(types, "integer") && v == math.Trunc(v)
	case map[string]any:
		if !slices.Contains(types, "object") {
			return false
		}
		properties := schema["properties"].(map[string]any)
		for _, name := range schema["required"].([]string) {
			if _, ok := v[name]; !ok {
				return false
			}
		}
		for name, value := range v {
			property, ok := properties[name].(map[string]any)
			if !ok || !admits(property, value) {
				return false
			}
		}
		return true
	}
	return false
}

// TestSchemaIsWhatTheDecoderEnforces tries values about every boundary of
// every field in both.
func TestSchemaIsWhatTheDecoderEnforces(t *testing.T) {
	tests := map[string]struct {
		decoder *house.Decoder
		base    string
	}{
		"full":    {fullDecoder(), seattle},
		"minimal": {minimalDecoder(), `{"bedrooms":3,"bathrooms":1,"sqft_living":900,"zipcode":98178}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			schema := house.Schema(tt.decoder.Required, tt.decoder.Allowed, year)
			tried := 0
			try := func(field string, values ...any) {
				for _, v := range values {
					var record map[string]any
					if err := json.Unmarshal([]byte(tt.base), &record); err != nil {
						t.Fatal(err)
					}
					record[field] = v
					if v == "left out" {
						delete(record, field)
					}
					text, err := json.Marshal(record)
					if err != nil {
						t.Fatal(err)
					}
					_, err = tt.decoder.Records(nil, body(string(text)))
					if admitted := admits(schema, record); admitted != (err == nil) {
						t.Errorf("%s = %v: the schema says %v, the decoder %v", field, v, admitted, err)
					}
					tried++
				}
			}
			for _, s := range house.Fields() {
				least, greatest := s.Range(year)
				for _, edge := range []float64{least, greatest, 0} {
					try(s.Name, edge, edge-1, edge+1, edge-0.5, edge+0.5, math.Nextafter(edge, -1e9), math.Nextafter(edge, 1e9))
				}
				try(s.Name, "left out", nil, true, "3", "", []any{}, map[string]any{"a": 1.0}, s.Example, -1e300, 1e300)
			}
			try("zipcode", "98115", "00501", "9811", "981150", "98115.0", " 98115", "９８１１５", 98115.0, 501.0)
			try("valuation_date", "left out", nil, "2015-05-27", "20150527", "20150527T000000", "2015-05-27T10:00:00Z", "2015-05-27T10:00:00+02:00",
				"2015-05-27 10:00:00", "1899-12-31", "1900-01-01", "2199-12-31", "2200-01-01", "May 27", "", 20150527.0, true)
			try("colour", "red", nil)
			if tried < 500 {
				t.Errorf("only %d values tried", tried)
			}
		})
	}
}

func TestExampleIsValid(t *testing.T) {
	h := house.Example()
	got, err := fullDecoder().Records(nil, body(string(house.AppendJSON(nil, &h))))
	if err != nil || got[0] != h {
		t.Errorf("got %v, %v", got, err)
	}
}

func ExampleDecoder_Records() {
	d := house.Decoder{Required: house.MinimalFields, Allowed: house.MinimalFields}
	houses, err := d.Records(nil, []byte(`{"records": [{"bedrooms": 3, "bathrooms": 2.5, "sqft_living": 2220, "zipcode": "98115"}]}`))
	fmt.Println(len(houses), houses[0].Zipcode(), err)

	_, err = d.Records(houses, []byte(`{"records": [{"bedrooms": 3, "bathroms": 2.5, "sqft_living": 12, "zipcode": "98115"}]}`))
	for _, f := range err.(*house.InvalidError).Faults {
		fmt.Println(f)
	}
	// Output:
	// 1 98115 <nil>
	// body.records[0].bathroms: is not a field of a house, did you mean bathrooms?, is 2.5
	// body.records[0].sqft_living: must be at least 100, is 12
	// body.records[0].bathrooms: is required
}

func ExampleAppendJSON() {
	h := house.Unknown()
	h.Values[house.Bedrooms], h.Values[house.ZipcodeField] = 3, 501
	fmt.Println(string(house.AppendJSON(nil, &h)))
	// Output: {"bedrooms":3,"zipcode":"00501"}
}
