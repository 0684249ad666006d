package batch

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"

	"housing/internal/buildinfo"
	"housing/internal/house"
)

// Bounds of a row group. It is in memory until it is written.
const (
	groupRows  = 128 << 10
	groupBytes = 64 << 20
)

// dictionaryBytes is how large the dictionary of a column may be before its
// values are written plainly.
const dictionaryBytes = 1 << 20

// table is the schema of what is written to Parquet.
type table struct {
	parquet.Group // says all but the fields, which it would sort
	fields        []parquet.Field
}

// Fields returns the columns in their order.
func (t *table) Fields() []parquet.Field { return t.fields }

// column is a column of a table.
type column struct {
	parquet.Node
	name string
}

// Name returns the name.
func (c column) Name() string { return c.name }

// Value is of rows that are Go values, which ours are not.
func (c column) Value(row reflect.Value) reflect.Value { return row.FieldByName(c.name) }

// add adds a column.
func (t *table) add(name string, node parquet.Node) {
	t.fields = append(t.fields, column{parquet.Compressed(node, &parquet.Snappy), name})
}

// addPrice adds the columns of the price and of what is added to it.
func (t *table) addPrice(more []addition) {
	t.add(PriceColumn, parquet.Leaf(parquet.DoubleType))
	for i := range more {
		t.add(more[i].name, more[i].node())
	}
}

// carriedTable has the columns of another file, and the price.
func carriedTable(leaves []*parquet.Column, more []addition) *table {
	t := &table{}
	for _, leaf := range leaves {
		node := parquet.Leaf(leaf.Type())
		if leaf.Type().Kind() != parquet.Boolean { // of which a dictionary is none the smaller
			node = parquet.Encoded(node, &parquet.RLEDictionary)
		}
		if leaf.Optional() {
			node = parquet.Optional(node)
		}
		t.add(leaf.Name(), node)
	}
	t.addPrice(more)
	return t
}

// encodeCarried puts the price behind the row that was read, which has room
// for it alone.
func encodeCarried(b *block) {
	for i := range b.prices {
		row := b.row(i)
		b.rows = append(b.rows, parquet.Row(b.appendValues(row[:b.width:b.width+1], i, b.width)))
	}
}

// cellTable has columns for cells of text: fields by their kinds, days, and
// text; an empty cell is null.
func cellTable(names []string, more []addition) (*table, func(*block)) {
	t := &table{}
	columns := house.NewColumns(names, 0, 0)
	value := make([]func(b *block, row int, cell string) parquet.Value, len(names))
	for i, name := range names {
		node := parquet.String()
		value[i] = func(_ *block, _ int, cell string) parquet.Value { return parquet.ByteArrayValue([]byte(cell)) }
		field, ok := columns.Field(i)
		switch {
		case columns.IsDay(i):
			node, value[i] = parquet.Date(), func(_ *block, _ int, cell string) parquet.Value {
				day, _ := house.ParseDate(strings.TrimSpace(cell)) // it was read before
				return parquet.Int32Value(int32(day))
			}
		case !ok:
		case field == house.ZipcodeField:
			value[i] = func(b *block, row int, _ string) parquet.Value {
				return parquet.ByteArrayValue([]byte(b.houses[row].Zipcode().String()))
			}
		case field.Spec().Kind == house.Number:
			node, value[i] = parquet.Leaf(parquet.DoubleType), func(b *block, row int, _ string) parquet.Value {
				return parquet.DoubleValue(b.houses[row].Values[field])
			}
		default:
			node, value[i] = parquet.Int(32), func(b *block, row int, _ string) parquet.Value {
				return parquet.Int32Value(int32(b.houses[row].Values[field]))
			}
		}
		t.add(name, parquet.Optional(parquet.Encoded(node, &parquet.RLEDictionary)))
	}
	t.addPrice(more)
	return t, func(b *block) {
		for i := range b.prices {
			start := len(b.values)
			for column, cell := range b.cells[i*b.width:][:b.width] {
				v := parquet.NullValue().Level(0, 0, column)
				if strings.TrimSpace(cell) != "" {
					v = value[column](b, i, cell).Level(0, 1, column)
				}
				b.values = append(b.values, v)
			}
			b.values = b.appendValues(b.values, i, b.width)
			b.rows = append(b.rows, parquet.Row(b.values[start:len(b.values):len(b.values)]))
		}
	}
}

// checkNames makes sure that columns can be columns of Parquet.
func checkNames(names []string, more []addition) error {
	for i, name := range names {
		switch {
		case isAdded(name, more):
			return fmt.Errorf("column %s %s", name, isThere)
		case name == "" || strings.Contains(name, ","):
			return fmt.Errorf("column %d: its name is %q, and a column of Parquet must have one, without a comma", i+1, name)
		case slices.Index(names, name) < i:
			return fmt.Errorf("column %s stands twice", clip(name))
		}
	}
	return nil
}

// parquetWriter writes rows in row groups. The same rows make the same bytes.
type parquetWriter struct {
	writer  *parquet.GenericWriter[any]
	rows    int
	flushed int64
}

func newParquetWriter(w io.Writer, t *table) *parquetWriter {
	return &parquetWriter{writer: parquet.NewGenericWriter[any](w, parquet.NewSchema("house", t),
		parquet.CreatedBy("housing", buildinfo.Version, ""), parquet.DictionaryMaxBytes(dictionaryBytes))}
}

// write writes the rows of a block.
func (p *parquetWriter) write(b *block) (err error) {
	defer recovered(&err)
	if _, err := p.writer.WriteRows(b.rows); err != nil {
		return err
	}
	p.rows += len(b.rows)
	if p.rows < groupRows && p.writer.Size()-p.flushed < groupBytes {
		return nil
	}
	if err := p.writer.Flush(); err != nil {
		return err
	}
	p.rows, p.flushed = 0, p.writer.Size()
	return nil
}

// close writes the footer.
func (p *parquetWriter) close() (err error) {
	defer recovered(&err)
	return p.writer.Close()
}

// valueOf returns a cell for a message.
func valueOf(c house.Cell) []byte {
	const longest = 100
	text := textOf(c)
	if text == "" || len(text) > longest {
		return nil
	}
	return appendJSON(nil, text)
}
