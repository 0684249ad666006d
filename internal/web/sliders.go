package web

import (
	"math"

	"housing/internal/house"
)

// slider moves one field of a house that was valued.
type slider struct {
	Name, Title, Shown    string
	Min, Max, Step, Value string
}

// sliders returns those of the fields that an owner can do something about,
// and of the living space.
func (a *Answer) sliders() []slider {
	living := a.House.Values[house.SqftLiving]
	day := a.Date.Time().Year()
	renovated, shown := a.House.Values[house.YrRenovated], ""
	if !(renovated > 0) {
		renovated, shown = float64(day-61), "never"
	}
	s := []slider{
		newSlider(house.SqftLiving, living, max(100, math.Round(living*0.5/50)*50), math.Round(living*1.8/50)*50, "10"),
		newSlider(house.Grade, a.House.Values[house.Grade], 1, 13, "1"),
		newSlider(house.Condition, a.House.Values[house.Condition], 1, 5, "1"),
		newSlider(house.YrRenovated, renovated, float64(day-61), float64(day), "1"),
	}
	if shown != "" {
		s[3].Shown = shown
	}
	return s
}

func newSlider(f house.Field, value, least, most float64, step string) slider {
	s := slider{Name: f.String(), Title: f.Spec().Title, Min: plain(least), Max: plain(most), Step: step, Shown: "not known"}
	if value != value {
		value = math.Round((least + most) / 2)
	} else if s.Shown = plain(value); f == house.SqftLiving {
		s.Shown = count(value) + " sq ft"
	}
	s.Value = plain(min(max(value, least), most))
	return s
}
