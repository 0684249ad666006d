package config

import (
	"encoding"
	"reflect"
	"testing"
)

// FuzzSettings lets each setting read any text: none may panic, and what is
// taken must be within its bounds and read the same again.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{"100/minute", "off", "1/second", "record", "10.0.0.0/8, ::1", "auto", "1.3", "https://app.example,https://b.example:8443", "*",
		"127.0.0.1:8000", "[::1]:80", ":0", "1MiB", "1000", "30s", "debug", "json", "", "\x00", "999999999999999999999h", "-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, setting := range []encoding.TextUnmarshaler{new(Rate), new(Cost), new(Networks), new(CacheMode), new(TLSVersion), new(Origins),
			new(Address), new(Bytes), new(Count), new(Period), new(Level), new(LogForm)} {
			if setting.UnmarshalText([]byte(text)) != nil {
				continue
			}
			switch s := setting.(type) {
			case *Rate:
				if s.Requests < 0 || s.Requests > 0 && s.Period <= 0 {
					t.Errorf("rate %q is %+v", text, *s)
				}
			case *Networks:
				for _, network := range s.Prefixes() {
					if !network.IsValid() {
						t.Errorf("networks %q hold %v", text, network)
					}
				}
			case *Origins:
				var again Origins
				if err := again.UnmarshalText([]byte(*s)); err != nil || again != *s {
					t.Errorf("origins %q are read as %q, and then %v", text, *s, err)
				}
			case *Address:
				_ = s.Loopback()
				_ = s.Local()
			case *Bytes:
				if *s < 1 || *s > maxBytes {
					t.Errorf("size %q is %d", text, *s)
				}
			case *Count:
				if *s < 1 {
					t.Errorf("count %q is %d", text, *s)
				}
			case *Period:
				if *s < 0 {
					t.Errorf("period %q is %d", text, *s)
				}
			}
			again := reflect.New(reflect.TypeOf(setting).Elem()).Interface().(encoding.TextUnmarshaler)
			if err := again.UnmarshalText([]byte(text)); err != nil || !reflect.DeepEqual(again, setting) {
				t.Errorf("%T: %q is read as %v and as %v, %v", setting, text, setting, again, err)
			}
		}
	})
}
