package batch

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"housing/internal/house"
)

// readRows is how many rows are asked for at a time.
const readRows = 64

// parquetInput reads houses from Parquet.
type parquetInput struct {
	name    string
	names   []string // of the columns
	columns *house.Columns
	cell    []func(parquet.Value) house.Cell // by column
	groups  []parquet.RowGroup               // that are still to be read
	rows    parquet.Rows                     // of the group that is being read
	buffer  [readRows]parquet.Row
	read    int // rows
}

// parquetPath is the way from Parquet to the format.
func parquetPath(in Input, to Format, year int, more []addition) (*path, error) {
	at, ok := in.Reader.(io.ReaderAt)
	if !ok {
		return nil, errors.New("batch: Parquet is read from an io.ReaderAt")
	}
	file, err := openParquet(at, in.Size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.Name, err)
	}
	p := &parquetInput{name: in.Name, groups: file.RowGroups()}
	leaves := file.Root().Columns()
	for _, leaf := range leaves {
		p.names = append(p.names, leaf.Name())
	}
	if err := checkNames(p.names, more); err != nil {
		return nil, fmt.Errorf("%s: %w", in.Name, err)
	}
	p.columns = house.NewColumns(p.names, house.RequiredFields, year)
	if err := p.columns.Missing(); err != nil {
		return nil, fmt.Errorf("%s: %w", in.Name, err)
	}
	for i, leaf := range leaves {
		cell, err := cellsOf(leaf.Type())
		if err != nil && p.columns.Used(i) {
			return nil, fmt.Errorf("%s: column %s %w", in.Name, clip(leaf.Name()), err)
		}
		p.cell = append(p.cell, cell)
	}
	way := &path{fill: p.fill, parse: p.parse, width: len(leaves), more: more, close: p.close}
	for _, name := range p.columns.Ignored() {
		way.ignored.add(name, listedNames)
	}
	if to == Parquet {
		way.table, way.encode = carriedTable(leaves, more), encodeCarried
		return way, nil
	}
	for i, cell := range p.cell {
		if cell == nil {
			return nil, fmt.Errorf("%s: column %s cannot be written as text: leave it out, or write .parquet", in.Name, clip(p.names[i]))
		}
	}
	if err := way.writeCells(p.name, p.names, to); err != nil {
		return nil, err
	}
	way.parse = func(b *block) {
		p.parse(b)
		p.text(b, to)
	}
	return way, nil
}

// fill copies rows until the block is full.
func (p *parquetInput) fill(b *block) (err error) {
	defer func() {
		if err != nil && err != io.EOF {
			err = fmt.Errorf("%s: %w", p.name, err)
		}
	}()
	defer recovered(&err)
	b.first = p.read + 1
	for !b.full() {
		if p.rows == nil {
			if len(p.groups) == 0 {
				return io.EOF
			}
			p.rows, p.groups = p.groups[0].Rows(), p.groups[1:]
		}
		n, err := p.rows.ReadRows(p.buffer[:min(readRows, blockRows-b.read)])
		for _, row := range p.buffer[:n] {
			if len(row) != b.width {
				return fmt.Errorf("row %d %s", p.read+1, notParquet)
			}
			b.copyRow(row)
			p.read++
		}
		switch {
		case err == io.EOF:
			if err := p.close(); err != nil {
				return err
			}
		case err != nil:
			return err
		case n == 0:
			return errors.New(notParquet)
		}
	}
	return nil
}

// close lets go of the row group that is being read.
func (p *parquetInput) close() (err error) {
	defer recovered(&err)
	rows := p.rows
	p.rows = nil
	if rows == nil {
		return nil
	}
	return rows.Close()
}

// copyRow copies a row, with room for the price behind it. Bytes go to text,
// which values point into: where it grows, those before keep the old one.
func (b *block) copyRow(row parquet.Row) {
	b.read++
	for _, v := range row {
		if kind := v.Kind(); !v.IsNull() && (kind == parquet.ByteArray || kind == parquet.FixedLenByteArray) {
			start := len(b.text)
			b.text = append(b.text, v.ByteArray()...)
			bytes := b.text[start:len(b.text):len(b.text)]
			b.size += len(bytes)
			copied := parquet.ByteArrayValue(bytes)
			if kind == parquet.FixedLenByteArray {
				copied = parquet.FixedLenByteArrayValue(bytes)
			}
			v = copied.Level(v.RepetitionLevel(), v.DefinitionLevel(), v.Column())
		}
		b.size += 8
		b.values = append(b.values, v)
	}
	b.values = append(b.values, parquet.Value{})
}

// row returns the values of a row, the price last.
func (b *block) row(i int) parquet.Row {
	stride := b.width + 1
	return parquet.Row(b.values[i*stride:][:stride])
}

// parse makes houses of the rows.
func (p *parquetInput) parse(b *block) {
	for i := range b.read {
		row := b.row(i)
		b.houses = append(b.houses, p.columns.House(
			func(column int) house.Cell { return p.at(row, column) },
			func(column int, message string) {
				f := house.Fault{Location: rowPlace(p.name, b.first+i) + ": column " + clip(p.names[column]), Message: message}
				f.Value = valueOf(p.at(row, column))
				b.faults.Add(f)
			}))
	}
}

func (p *parquetInput) at(row parquet.Row, column int) house.Cell {
	if row[column].IsNull() {
		return house.Cell{}
	}
	return p.cell[column](row[column])
}

// text makes cells of the rows.
func (p *parquetInput) text(b *block, to Format) {
	for i := range b.read {
		row := b.row(i)
		for column := range b.width {
			b.cells = append(b.cells, textOf(p.at(row, column)))
		}
		if to == NDJSON {
			checkUTF8(b, b.cells[i*b.width:], rowPlace(p.name, b.first+i), p.names)
		}
	}
}

// rowPlace names a row of a file that has no lines.
func rowPlace(name string, row int) string { return name + ": row " + strconv.Itoa(row) }

// textOf returns a cell as it stands in CSV.
func textOf(c house.Cell) string {
	switch {
	case c.Kind == house.TextCell:
		return c.Text
	case c.Kind == house.DayCell:
		return c.Day.String()
	case math.IsNaN(c.Number):
		return ""
	}
	return strconv.FormatFloat(c.Number, 'f', -1, 64)
}

// Days between the beginnings of Julian time and of ours.
const julian1970 = 2440588

// cellsOf returns what reads the values of a type, or what must be done to a
// column of a type that cannot be read.
func cellsOf(t parquet.Type) (func(parquet.Value) house.Cell, error) {
	logical := t.LogicalType()
	number := func(of func(parquet.Value) float64) (func(parquet.Value) house.Cell, error) {
		return func(v parquet.Value) house.Cell { return house.Cell{Kind: house.NumberCell, Number: of(v)} }, nil
	}
	day := func(of func(parquet.Value) int64) (func(parquet.Value) house.Cell, error) {
		return func(v parquet.Value) house.Cell {
			return house.Cell{Kind: house.DayCell, Day: house.Date(max(math.MinInt32+1, min(math.MaxInt32, of(v))))}
		}, nil
	}
	whole := func(v parquet.Value) int64 { return v.Int64() }
	if t.Kind() == parquet.Int32 {
		whole = func(v parquet.Value) int64 { return int64(v.Int32()) }
	}
	switch kind := t.Kind(); kind {
	case parquet.Boolean:
		return number(func(v parquet.Value) float64 {
			if v.Boolean() {
				return 1
			}
			return 0
		})
	case parquet.Float:
		return number(func(v parquet.Value) float64 { return float64(v.Float()) })
	case parquet.Double:
		return number(parquet.Value.Double)
	case parquet.Int96: // the timestamps of old, whose last third is a Julian day
		return day(func(v parquet.Value) int64 { return int64(v.Int96()[2]) - julian1970 })
	case parquet.Int32, parquet.Int64:
		if logical == nil {
			return number(func(v parquet.Value) float64 { return float64(whole(v)) })
		}
		switch l := logical.Value.(type) {
		case *format.DateType:
			return day(whole)
		case *format.TimestampType:
			return day(dayOf(l.Unit, whole))
		case *format.DecimalType:
			scale := math.Pow10(int(l.Scale))
			return number(func(v parquet.Value) float64 { return float64(whole(v)) / scale })
		case *format.IntType:
			if !l.IsSigned && kind == parquet.Int32 {
				return number(func(v parquet.Value) float64 { return float64(uint32(v.Int32())) })
			}
			if !l.IsSigned {
				return number(func(v parquet.Value) float64 { return float64(uint64(v.Int64())) })
			}
			return number(func(v parquet.Value) float64 { return float64(whole(v)) })
		}
	case parquet.ByteArray:
		if logical == nil || isText(logical.Value) {
			return func(v parquet.Value) house.Cell { return house.Cell{Text: string(v.ByteArray())} }, nil
		}
	}
	return nil, fmt.Errorf("has values of type %s, which are neither numbers nor text nor days: write it as DOUBLE, STRING or DATE", t)
}

func isText(logical any) bool {
	switch logical.(type) {
	case *format.StringType, *format.EnumType, *format.JsonType, nil:
		return true
	}
	return false
}

// dayOf returns the day in UTC of a timestamp.
func dayOf(unit format.TimeUnit, whole func(parquet.Value) int64) func(parquet.Value) int64 {
	perDay := int64(24 * time.Hour / time.Millisecond)
	switch unit.Value.(type) {
	case *format.MicroSeconds:
		perDay *= 1e3
	case *format.NanoSeconds:
		perDay *= 1e6
	}
	return func(v parquet.Value) int64 {
		days := whole(v) / perDay
		if whole(v)%perDay < 0 {
			days--
		}
		return days
	}
}
