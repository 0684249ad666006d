package database

import (
	"slices"

	"housing/internal/demographics"
	"housing/internal/house"
)

// Diff says how one table differs from the one before it. Zipcodes ascend.
type Diff struct {
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Changed   []Change `json:"changed"`
	Unchanged int      `json:"unchanged"`
}

// Change is an area whose figures differ.
type Change struct {
	Zipcode string   `json:"zipcode"`
	Columns []string `json:"columns"`
}

// Compare returns how after differs from before, which may be nil.
func Compare(before, after *demographics.Table) Diff {
	d := Diff{Added: []string{}, Removed: []string{}, Changed: []Change{}}
	columns := demographics.Columns()
	var old []house.Zipcode
	if before != nil {
		old = before.Zipcodes()
	}
	for _, z := range after.Zipcodes() {
		if _, known := slices.BinarySearch(old, z); !known {
			d.Added = append(d.Added, z.String())
			continue
		}
		was, _ := before.Lookup(z)
		is, _ := after.Lookup(z)
		var differ []string
		for i := range columns {
			if was[i] != is[i] {
				differ = append(differ, columns[i].Name)
			}
		}
		if differ == nil {
			d.Unchanged++
		} else {
			d.Changed = append(d.Changed, Change{z.String(), differ})
		}
	}
	kept := after.Zipcodes()
	for _, z := range old {
		if _, kept := slices.BinarySearch(kept, z); !kept {
			d.Removed = append(d.Removed, z.String())
		}
	}
	return d
}

// Empty says whether nothing differs.
func (d *Diff) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// sizes returns how many rows there were before and are after.
func (d *Diff) sizes() (before, after int) {
	kept := len(d.Changed) + d.Unchanged
	return kept + len(d.Removed), kept + len(d.Added)
}

// share returns which part of the rows before were removed or changed.
func (d *Diff) share() float64 {
	before, _ := d.sizes()
	if before == 0 {
		return 0
	}
	return float64(len(d.Removed)+len(d.Changed)) / float64(before)
}
