package web

import (
	"math"
	"strconv"

	"housing/internal/house"
)

// The picture of the map, in its own units.
const (
	mapWidth, mapHeight = 480, 320
	mapMargin           = 28
)

// chart is a map without tiles: the house and its comparables, north up.
type chart struct {
	Points   []point
	X, Y     float64 // of the house
	Bar      float64 // length of the scale
	BarLabel string
}

type point struct {
	Number string
	X, Y   float64
}

// kilometresPerDegree of latitude.
const kilometresPerDegree = 111.2

// comparablesMap draws the comparables whose place is known around the house;
// nil where nothing can be drawn.
func (a *Answer) comparablesMap() *chart {
	lat, long := a.House.Values[house.Lat], a.House.Values[house.Long]
	if lat != lat || long != long {
		return nil
	}
	type place struct {
		number int
		x, y   float64 // kilometres east and north of the house
	}
	var places []place
	var reach float64
	for i := range a.Comparables {
		h := &a.Comparables[i].House
		y := (h.Values[house.Lat] - lat) * kilometresPerDegree
		x := (h.Values[house.Long] - long) * kilometresPerDegree * math.Cos(lat*math.Pi/180)
		if x != x || y != y {
			continue
		}
		places = append(places, place{i + 1, x, y})
		// The height is less than the width.
		reach = max(reach, math.Abs(y), math.Abs(x)*(mapHeight-2*mapMargin)/(mapWidth-2*mapMargin))
	}
	if len(places) == 0 {
		return nil
	}
	scale := (mapHeight/2 - mapMargin) / max(reach, 0.1)
	c := &chart{X: mapWidth / 2, Y: mapHeight / 2}
	for _, p := range places {
		c.Points = append(c.Points, point{strconv.Itoa(p.number), c.X + p.x*scale, c.Y - p.y*scale})
	}
	kilometres := scaleLength(80 / scale)
	c.Bar, c.BarLabel = kilometres*scale, plain(kilometres)+" km"
	return c
}

// scaleLength returns the greatest of 1, 2 and 5 times a power of ten that is
// at most v.
func scaleLength(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{5, 2} {
		if step*power <= v {
			return step * power
		}
	}
	return power
}

func coordinate(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
