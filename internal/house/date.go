package house

import (
	"errors"
	"math"
	"time"
)

// Date is a day, counted from 1970-01-01 in UTC.
type Date int32

// NoDate stands for a day that was not stated.
const NoDate Date = math.MinInt32

const secondsPerDay = 24 * 60 * 60

// dateLayouts are the spellings of a day that are read: ISO 8601 long and
// short, and the short one with an idle time as county exports have it.
var dateLayouts = []string{time.DateOnly, "20060102", "20060102T150405", time.RFC3339, "2006-01-02T15:04:05", time.DateTime}

// Years that a day may be in.
const (
	minDateYear = 1900
	maxDateYear = 2199
)

const mustBeDay = "must be a day such as 2015-05-27 or 20150527T000000, from 1900 to 2199"

// ParseDate reads a day written as 2015-05-27, 20150527, 20150527T000000 or
// with an RFC 3339 time, which is dropped. Years run from 1900 to 2199.
func ParseDate(s string) (Date, error) {
	layouts := dateLayouts
	for i, layout := range layouts[:3] { // an error of time.Parse is dear, so guess by length
		if len(s) == len(layout) {
			layouts = layouts[i:][:1]
			break
		}
	}
	const hour = len("2006-01-02T")
	if len(s) > hour+2 && s[4] == '-' && (s[hour] == ' ' || s[hour+2] != ':') {
		layouts = nil // time.Parse would take hours of one digit and idle spaces
	}
	for _, layout := range layouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if t.Year() < minDateYear || t.Year() > maxDateYear {
			break
		}
		return DateOf(t), nil
	}
	return NoDate, errors.New(mustBeDay)
}

// DateOf returns the day that t falls on where t's clock stands.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay)
}

// Time returns midnight UTC of the day.
func (d Date) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// String returns the day as 2015-05-27, or "" for NoDate.
func (d Date) String() string {
	if d == NoDate {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}
