package house

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// ReadPriced reads a CSV file of at most `most` houses, as [CSVReader] has
// them, with what each sold for in the column price: NaN where that is empty
// or there is no such column. Name is what errors call the file; an error of
// bad rows wraps an [*InvalidError].
func ReadPriced(r io.Reader, name string, year, most int) (houses []House, prices []float64, err error) {
	reader, err := NewCSVReader(r, name, RequiredFields, year)
	if err != nil {
		return nil, nil, err
	}
	column := slices.Index(reader.rows.header, "price")
	var faults InvalidError
	for {
		h, record, line, err := reader.Next()
		var invalid *InvalidError
		if err == io.EOF {
			break
		}
		if errors.As(err, &invalid) {
			faults.Merge(invalid)
		} else if err != nil {
			return nil, nil, err
		}
		price := math.NaN()
		if column >= 0 && record != nil && strings.TrimSpace(record[column]) != "" {
			var fault string
			if price, fault = parsePrice(record[column]); fault != "" {
				faults.Add(reader.rows.Fault(column, fault))
			}
		}
		if faults.Total > 0 {
			continue // read on for the faults alone
		}
		if len(houses) == most {
			return nil, nil, fmt.Errorf("%s:%d: must have at most %d houses", name, line, most)
		}
		houses, prices = append(houses, h), append(prices, price)
	}
	switch {
	case faults.Total > 0:
		return nil, nil, FileError(name, &faults)
	case len(houses) == 0:
		return nil, nil, fmt.Errorf("%s: has no houses", name)
	}
	return houses, prices, nil
}
