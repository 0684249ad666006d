package capacity

import (
	"bytes"
	_ "embed" // for the table of prices
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// Prices is a table of what is rented, with the day on which it was written.
type Prices struct {
	Date       string  `json:"date"`         // YYYY-MM-DD
	Region     string  `json:"region"`       // what the prices are for
	Machines   []Price `json:"machines"`     // that a replica may have for itself
	Redis      []Price `json:"redis"`        // a node
	Databases  []Price `json:"databases"`    // PostgreSQL: a primary or a replica to read from
	EachRegion []Price `json:"each_region"`  // once in each region
	Storage    Price   `json:"database_gib"` // of a database, for each GiB
	DNS        Price   `json:"dns"`          // once, where there are several regions
}

// Price is one row of the table.
type Price struct {
	Type      string  `json:"type"`
	Cores     int     `json:"cores,omitempty"`
	MemoryMiB float64 `json:"memory_mib,omitempty"`
	// Sustained is the share of its cores that a machine may use all the time; 0
	// is all of them.
	Sustained float64 `json:"sustained,omitempty"`
	Month     float64 `json:"month"`  // US dollars
	Source    string  `json:"source"` // who says so, and when
}

//go:embed prices.json
var builtin []byte

// BuiltinPrices returns the table of this program.
func BuiltinPrices() Prices {
	p, err := ReadPrices(bytes.NewReader(builtin))
	if err != nil {
		panic(err) // a test reads it
	}
	return p
}

// maxPrices bounds how large a table may be, in bytes.
const maxPrices = 1 << 20

// ReadPrices reads a table in the form of prices.json. It knows no other
// fields, and its errors name the row.
func ReadPrices(r io.Reader) (p Prices, err error) {
	limited := &io.LimitedReader{R: r, N: maxPrices + 1}
	decoder := json.NewDecoder(limited)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return Prices{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Prices{}, errors.New("something stands after the table")
	}
	if limited.N == 0 {
		return Prices{}, fmt.Errorf("more than %d bytes", maxPrices)
	}
	return p, p.check()
}

func (p *Prices) check() error {
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
		return fmt.Errorf("date: %q is not a day: want YYYY-MM-DD", p.Date)
	}
	for _, list := range []struct {
		name   string
		rows   []Price
		memory bool
	}{{"machines", p.Machines, true}, {"redis", p.Redis, true}, {"databases", p.Databases, true}, {"each_region", p.EachRegion, false}, {"database_gib", []Price{p.Storage}, false}, {"dns", []Price{p.DNS}, false}} {
		if len(list.rows) == 0 && list.memory {
			return fmt.Errorf("%s: no rows", list.name)
		}
		for i, row := range list.rows {
			if err := row.check(list.memory); err != nil {
				return fmt.Errorf("%s[%d] (%s): %w", list.name, i, row.Type, err)
			}
			if list.name == "machines" && (row.Cores < 1 || row.Cores > maxCores) {
				return fmt.Errorf("machines[%d] (%s): cores: want 1 to %d", i, row.Type, maxCores)
			}
		}
	}
	return nil
}

func (p *Price) check(memory bool) error {
	switch {
	case p.Type == "":
		return errors.New("type: is missing")
	case p.Source == "":
		return errors.New("source: is missing: say who gives the price, and when")
	case !(p.Month >= 0 && p.Month < 1e6):
		return errors.New("month: want dollars from 0 to below 1,000,000")
	case memory && !(p.MemoryMiB >= 1 && p.MemoryMiB < 1e9):
		return errors.New("memory_mib: want 1 or more")
	case !(p.Sustained >= 0 && p.Sustained <= 1):
		return errors.New("sustained: want 0 to 1")
	}
	return nil
}

// sustained returns the share of its cores that a machine may always use.
func (p *Price) sustained() float64 {
	if p.Sustained == 0 {
		return 1
	}
	return p.Sustained
}

// cheapest returns the cheapest row with at least so much memory, or, where
// there is none, the largest, and how many of it hold as much.
func cheapest(rows []Price, memoryMiB float64) (row Price, count int) {
	best := -1
	for i, r := range rows {
		if r.MemoryMiB >= memoryMiB && (best < 0 || r.Month < rows[best].Month) {
			best = i
		}
	}
	if best >= 0 {
		return rows[best], 1
	}
	row = slices.MaxFunc(rows, func(a, b Price) int {
		switch {
		case a.MemoryMiB < b.MemoryMiB:
			return -1
		case a.MemoryMiB > b.MemoryMiB:
			return 1
		}
		return 0
	})
	return row, int(math.Ceil(memoryMiB / row.MemoryMiB))
}
