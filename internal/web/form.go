package web

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/house"
)

// Names of the form's other inputs.
const (
	TokenInput   = "token"   // bearer token, where JavaScript sends none
	exampleInput = "example" // number of an example
)

// Form is the form of one house.
type Form struct {
	Groups  []Group
	Date    Input
	General []string // faults that no input has
}

// Group is some inputs that belong together.
type Group struct {
	Title  string
	Inputs []Input
}

// Input is one field of the form.
type Input struct {
	Name, Title, Unit, Help string
	Required                bool
	Keys                    string // of a keyboard on a screen, as inputmode takes them; "" for all
	Min, Max                string
	Length                  int      // at most, of a text; 0 is any
	Day                     bool     // a script makes it a choice of days
	Choices                 []Choice // of a list; nil is an input element
	Value                   string
	Fault                   string // what is wrong with it
}

// Choice is one entry of a list.
type Choice struct{ Value, Text string }

// groups are the fields in the order in which a person knows them.
var groups = []struct {
	title  string
	fields []house.Field
}{
	{"The house", []house.Field{house.SqftLiving, house.Bedrooms, house.Bathrooms, house.Floors, house.SqftAbove, house.SqftBasement, house.SqftLot, house.ZipcodeField}},
	{"Quality and age", []house.Field{house.Grade, house.Condition, house.YrBuilt, house.YrRenovated, house.View, house.Waterfront}},
	{"Place and neighbours", []house.Field{house.Lat, house.Long, house.SqftLiving15, house.SqftLot15}},
}

// choices are the fields with few values, in words. Grades and conditions are
// those of the King County Assessor's glossary of residential terms.
var choices = map[house.Field][]string{
	house.Waterfront: {"no", "yes"},
	house.View:       {"none", "fair", "average", "good", "excellent"},
	house.Condition:  {1: "poor, worn out", "fair, badly worn", "average", "good", "very good"},
	house.Grade: {1: "below building standards", "below building standards", "below building standards", "low", "low average", "lowest that meets the code",
		"average", "just above average", "better", "good", "very good, custom design", "excellent, custom", "mansion"},
}

// helps are of lists, where the field's own speaks of numbers.
var helps = map[house.Field]string{
	house.Waterfront: "Whether it stands at the water.",
	house.View:       "Quality of the view.",
	house.Condition:  "Condition of the building.",
	house.Grade:      "King County's grade of construction and design.",
}

// optionalGroup begins with a note that its fields may stay empty.
func (g *Group) optional() bool {
	return !slices.ContainsFunc(g.Inputs, func(i Input) bool { return i.Required })
}

// NewForm returns the form with what stands in values. Year is this year.
func NewForm(values url.Values, year int) *Form {
	f := &Form{}
	for _, g := range groups {
		group := Group{Title: g.title}
		for _, field := range g.fields {
			group.Inputs = append(group.Inputs, newInput(field, strings.TrimSpace(values.Get(field.String())), year))
		}
		f.Groups = append(f.Groups, group)
	}
	f.Date = Input{
		Name: house.DateField, Title: "As of", Day: true, Value: strings.TrimSpace(values.Get(house.DateField)),
		Help: "Day for which the price holds, as 2015-05-27. Empty: the newest sale that the model knows.",
	}
	return f
}

func newInput(field house.Field, value string, year int) Input {
	s := field.Spec()
	least, greatest := s.Range(year)
	i := Input{
		Name: s.Name, Title: s.Title, Unit: s.Unit, Help: s.Help, Required: s.Required, Value: value,
		Keys: "decimal", Min: plain(least), Max: plain(greatest),
	}
	if least < 0 {
		i.Keys = "" // not all others have a minus
	}
	switch s.Kind {
	case house.ZIP:
		i.Keys, i.Min, i.Max, i.Length = "numeric", "", "", 5
	case house.Year, house.YearOrZero:
		i.Unit = ""
		if s.Kind == house.YearOrZero {
			i.Min = "0"
		}
	}
	for n, text := range choices[field] {
		if text != "" {
			i.Choices = append(i.Choices, Choice{strconv.Itoa(n), strconv.Itoa(n) + " · " + text})
		}
	}
	if help, ok := helps[field]; ok {
		i.Help = help
	}
	if field == house.Waterfront {
		i.Choices = []Choice{{"0", "no"}, {"1", "yes"}}
	}
	if i.Choices != nil && value != "" {
		i.choose(value)
	}
	return i
}

// choose sets the value of a list, in which 8.0 is 8: pandas writes whole
// numbers so. What is not in the list cannot be shown, and is a fault.
func (i *Input) choose(value string) {
	if v, err := strconv.ParseFloat(value, 64); err == nil {
		i.Value = plain(v)
	}
	if !slices.ContainsFunc(i.Choices, func(c Choice) bool { return c.Value == i.Value }) {
		i.Fault = fmt.Sprintf("must be one of its list, is %q", value)
	}
}

// input returns the input of a name, nil if there is none.
func (f *Form) input(name string) *Input {
	for g := range f.Groups {
		for i := range f.Groups[g].Inputs {
			if in := &f.Groups[g].Inputs[i]; in.Name == name {
				return in
			}
		}
	}
	if name == f.Date.Name {
		return &f.Date
	}
	return nil
}

// recordLocation begins the places of faults in the one record of a form.
const recordLocation = "body.records[0]."

// Fault puts what is wrong beside the inputs that it is about.
func (f *Form) Fault(faults []house.Fault) {
	for _, fault := range faults {
		name, ofRecord := strings.CutPrefix(fault.Location, recordLocation)
		if in := f.input(name); ofRecord && in != nil {
			in.Fault = fault.Message
			continue
		}
		f.General = append(f.General, fault.String())
	}
}

// Faulty returns the inputs with a fault, in order.
func (f *Form) Faulty() []*Input {
	var faulty []*Input
	for g := range f.Groups {
		for i := range f.Groups[g].Inputs {
			if in := &f.Groups[g].Inputs[i]; in.Fault != "" {
				faulty = append(faulty, in)
			}
		}
	}
	if f.Date.Fault != "" {
		faulty = append(faulty, &f.Date)
	}
	return faulty
}

// grouped is a number as the page writes it, with commas between thousands.
var grouped = regexp.MustCompile(`^[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$`)

// Body returns the request of the API that a form stands for. What is empty is
// left out; what should be a number and is none goes as a string, so that the
// reader of requests says what is wrong with it.
func Body(values url.Values) []byte {
	b := []byte(`{"records":[{`)
	member := func(name string, text string, number bool) {
		if text == "" {
			return
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		if number && grouped.MatchString(text) {
			text = strings.ReplaceAll(text, ",", "")
		}
		b = append(append(append(b, '"'), name...), `":`...)
		if v, err := strconv.ParseFloat(text, 64); number && err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
			b = jsontext.AppendFloat(b, v, 64)
			return
		}
		b, _ = jsontext.AppendQuote(b, text) // its error is broken UTF-8, mended
	}
	for _, s := range house.Fields() {
		member(s.Name, strings.TrimSpace(values.Get(s.Name)), s.Kind != house.ZIP)
	}
	member(house.DateField, strings.TrimSpace(values.Get(house.DateField)), false)
	return append(b, "}]}"...)
}

// plain writes a number without exponent, "" for one that is no bound.
func plain(v float64) string {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// between says which values an input takes.
func (i *Input) between() string {
	if i.Name == house.YrRenovated.String() {
		return "0, or " + plain(house.YrRenovated.Spec().Min) + " to " + i.Max
	}
	least, _ := strconv.ParseFloat(i.Min, 64)
	most, _ := strconv.ParseFloat(i.Max, 64)
	if house.YrBuilt.String() == i.Name {
		return i.Min + " to " + i.Max
	}
	return count(least) + " to " + count(most)
}
