package house_test

import (
	"testing"
	"time"

	"housing/internal/house"
)

func TestParseDate(t *testing.T) {
	for text, want := range map[string]string{
		"2015-05-27":                  "2015-05-27",
		"20150527":                    "2015-05-27",
		"20141013T000000":             "2014-10-13",
		"2015-05-27T23:59:59Z":        "2015-05-27",
		"2015-05-27T23:59:59.9-08:00": "2015-05-27",
		"2015-05-27T10:00:00":         "2015-05-27",
		"2015-05-27 10:00:00":         "2015-05-27",
		"1900-01-01":                  "1900-01-01",
		"2199-12-31":                  "2199-12-31",
		"2016-02-29":                  "2016-02-29",
	} {
		if d, err := house.ParseDate(text); err != nil || d.String() != want {
			t.Errorf("%q is %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "2015", "2015-5-27", "27.05.2015", "05/27/2015", "2015-02-29", "2015-13-01", "1899-12-31", "2200-01-01",
		"2000-01-01  0:00:00", "2000-01-01T1:00:00", "2015-05-27T25:00:00Z", "20141013T250000", " 2015-05-27", "2015-05-27x"} {
		if d, err := house.ParseDate(text); err == nil || d != house.NoDate {
			t.Errorf("%q is %v, %v", text, d, err)
		}
	}
}

func TestDateOfIsTheDayOnTheClock(t *testing.T) {
	west := time.FixedZone("west", -8*60*60)
	if d := house.DateOf(time.Date(2015, 5, 27, 23, 0, 0, 0, west)); d.String() != "2015-05-27" {
		t.Errorf("got %v", d)
	}
	if d := house.DateOf(time.Date(1969, 12, 31, 1, 0, 0, 0, time.UTC)); d != -1 {
		t.Errorf("the day before the first is %d", d)
	}
	if s := house.NoDate.String(); s != "" {
		t.Errorf("no day is %q", s)
	}
}
