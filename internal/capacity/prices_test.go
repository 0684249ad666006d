package capacity

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestTheBuiltinPricesAreThoseOfTheGuide(t *testing.T) {
	p := BuiltinPrices()
	// What the deployment guide sums to $170 a month.
	sum := 3*p.Machines[0].Month + 3*p.Redis[0].Month + p.Databases[0].Month + p.EachRegion[0].Month + p.EachRegion[1].Month
	if sum < 169.9 || sum > 170.1 {
		t.Errorf("the guide's setup costs $%v a month, want 170", sum)
	}
}

func TestReadPrices(t *testing.T) {
	for says, change := range map[string]func(string) string{
		"":              func(s string) string { return s },
		"not a day":     func(s string) string { return strings.Replace(s, `"date": "20`, `"date": "x`, 1) },
		"unknown field": func(s string) string { return strings.Replace(s, `"date"`, `"day"`, 1) },
		"machines: no rows": func(s string) string {
			return strings.Replace(s, `"machines": [`, `"machines": [], "each_region": [`, 1)
		},
		"machines[0] (t3.medium): month": func(s string) string { return strings.Replace(s, "31.67", "-1", 1) },
		"machines[0] (): type":           func(s string) string { return strings.Replace(s, "t3.medium", "", 1) },
		"cores: want 1 to":               func(s string) string { return strings.Replace(s, `"cores": 2`, `"cores": 0`, 1) },
		"something stands after":         func(s string) string { return s + "{}" },
		"unexpected EOF":                 func(s string) string { return s[:len(s)/2] },
	} {
		_, err := ReadPrices(strings.NewReader(change(string(builtin))))
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

// FuzzReadPrices holds that a table that is read can be planned with, and
// written and read again.
func FuzzReadPrices(f *testing.F) {
	f.Add(builtin)
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ReadPrices(bytes.NewReader(text))
		if err != nil {
			return
		}
		if plan, err := Make(demand(nil), steady, p); err == nil && !(plan.Month >= 0) {
			t.Errorf("$%v a month", plan.Month)
		}
		written, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadPrices(bytes.NewReader(written))
		if err != nil {
			t.Fatalf("%v: %s", err, written)
		}
		if len(p.EachRegion) == 0 {
			p.EachRegion, again.EachRegion = nil, nil
		}
		if !reflect.DeepEqual(p, again) {
			t.Errorf("%+v became %+v", p, again)
		}
	})
}
