package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"housing/internal/house"
)

// maxLineBytes is how long a line may be.
const maxLineBytes = 1 << 20

// isThere is said of an input that has a column for the price.
const isThere = "is there already: rename it or take it out"

// jsonSpace is what JSON has as white space.
const jsonSpace = " \t\r\n"

var byteOrderMark = []byte("\xef\xbb\xbf")

// ndjsonInput reads houses from NDJSON. Blank lines are read past.
type ndjsonInput struct {
	reader  *bufio.Reader
	name    string
	decoder house.Decoder
	number  int            // of the line that was read last
	first   []byte         // the first line, if fill has not had it yet
	columns map[string]int // of the first line, by name; nil if NDJSON is written
}

// ndjsonPath is the way from NDJSON to the format.
func ndjsonPath(r io.Reader, name string, to Format, now time.Time, more []addition) (*path, error) {
	n := &ndjsonInput{
		reader:  bufio.NewReaderSize(r, maxLineBytes+1),
		name:    name,
		decoder: house.Decoder{Required: house.RequiredFields, Allowed: house.AllFields, Now: func() time.Time { return now }},
	}
	p := &path{fill: n.fill, parse: n.parse, encode: encodeLines, more: more}
	line, err := n.next()
	if err == io.EOF {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	n.first = bytes.Clone(line)
	header, err := columnsOf(n.first)
	for _, column := range header {
		if isAdded(column, more) {
			return nil, fmt.Errorf("%s: member %s %s", place(name, n.number), column, isThere)
		}
	}
	if to == NDJSON {
		return p, nil // if there was an error, parse says it, and what else there is
	}
	if err != nil {
		if _, plainer := n.decoder.Line(n.first); plainer != nil {
			err = plainer
		}
		return nil, fmt.Errorf("%s: %w", place(name, n.number), err)
	}
	n.columns = make(map[string]int, len(header))
	for i, column := range header {
		n.columns[column] = i
	}
	p.width = len(header)
	return p, p.writeCells(place(name, n.number), header, to)
}

// columnsOf returns the names of the members of an object.
func columnsOf(line []byte) ([]string, error) {
	var columns []string
	decoder := jsontext.NewDecoder(bytes.NewReader(line))
	err := members(decoder, func(name []byte) { columns = append(columns, string(name)) }, func(jsontext.Value) {})
	return columns, err
}

// members reads an object and calls name, then value, for each member. What
// they are given is good until they return.
func members(decoder *jsontext.Decoder, name func([]byte), value func(jsontext.Value)) error {
	if decoder.PeekKind() != jsontext.KindBeginObject {
		return errors.New("must be an object")
	}
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() != jsontext.KindEndObject {
		raw, err := decoder.ReadValue()
		if err != nil {
			return err
		}
		unquoted, err := unquote(raw)
		if err != nil {
			return err
		}
		name(unquoted)
		if raw, err = decoder.ReadValue(); err != nil {
			return err
		}
		value(raw)
	}
	_, err := decoder.ReadToken()
	return err
}

// unquote returns what a JSON string says.
func unquote(raw jsontext.Value) ([]byte, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	return jsontext.AppendUnquote(nil, raw)
}

// next returns the next line that is not blank, without white space around
// it, until the next call.
func (n *ndjsonInput) next() ([]byte, error) {
	for {
		line, err := n.reader.ReadSlice('\n')
		n.number++
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("%s: must not have more than 1 MiB in a line", place(n.name, n.number))
		case err != nil && err != io.EOF:
			return nil, fmt.Errorf("read %s: %w", n.name, err)
		}
		line = bytes.Trim(bytes.TrimPrefix(line, byteOrderMark), jsonSpace)
		if len(line) > 0 {
			return line, nil // an EOF comes again
		}
		if err == io.EOF {
			return nil, io.EOF
		}
	}
}

// fill reads lines until the block is full.
func (n *ndjsonInput) fill(b *block) error {
	for !b.full() {
		line := n.first
		if n.first = nil; line == nil {
			var err error
			if line, err = n.next(); err != nil {
				return err
			}
		}
		b.read++
		b.size += len(line)
		b.text = append(b.text, line...)
		b.ends = append(b.ends, len(b.text))
		b.lines = append(b.lines, n.number)
	}
	return nil
}

// parse reads the lines of the block as houses, and as cells unless NDJSON is
// written.
func (n *ndjsonInput) parse(b *block) {
	for i := range b.lines {
		line := b.line(i)
		h, err := n.decoder.Line(line)
		if err != nil {
			n.fault(b, b.lines[i], err)
		}
		if line[0] == '{' && !isSyntax(err) {
			n.members(b, i)
		}
		b.houses = append(b.houses, h)
	}
}

func isSyntax(err error) bool {
	var syntax *house.SyntaxError
	return errors.As(err, &syntax)
}

// fault adds why a line is no house.
func (n *ndjsonInput) fault(b *block, line int, err error) {
	var invalid *house.InvalidError
	if !errors.As(err, &invalid) {
		b.faults.Add(house.Fault{Location: place(n.name, line), Message: err.Error()})
		return
	}
	for _, f := range invalid.Faults {
		if f.Location == "" {
			f.Location = place(n.name, line)
		} else {
			f.Location = place(n.name, line) + ": member " + f.Location
		}
		b.faults.Add(f)
	}
	b.faults.Total += invalid.Total - len(invalid.Faults)
}

// members looks at the members of a row, and puts them in its cells unless
// NDJSON is written.
func (n *ndjsonInput) members(b *block, row int) {
	var cells []string
	if n.columns != nil {
		b.cells = append(b.cells, make([]string, b.width)...)
		cells = b.cells[len(b.cells)-b.width:]
	}
	var column int
	var known bool
	fault := func(name, message string) {
		b.faults.Add(house.Fault{Location: place(n.name, b.lines[row]) + ": member " + clip(name), Message: message})
	}
	b.source.Reset(b.line(row))
	b.json.Reset(&b.source)
	err := members(b.json, func(name []byte) {
		if isAdded(string(name), b.more) {
			fault(string(name), isThere)
		} else if !isRead(string(name)) {
			b.ignored.add(string(name), listedNames)
		}
		column, known = n.columns[string(name)]
		if n.columns != nil && !known {
			fault(string(name), "is not in the first line, so there is no column for it: write .ndjson instead")
		}
	}, func(value jsontext.Value) {
		if !known {
			return
		}
		var ok bool
		if cells[column], ok = cellOf(value); !ok {
			for name, i := range n.columns {
				if i == column {
					fault(name, "is not a plain value, which a cell of a table cannot hold: write .ndjson instead")
				}
			}
		}
	})
	if err != nil { // the decoder has read the line before
		b.faults.Add(house.Fault{Location: place(n.name, b.lines[row]), Message: err.Error()})
	}
}

// isRead says whether a member says something of a house.
func isRead(name string) bool {
	_, ok := house.Lookup(name)
	return ok || name == house.DateField || name == "date"
}

// cellOf returns a JSON value as a cell of CSV: empty for null, a string as
// what it says, numbers and booleans as they are written.
func cellOf(value jsontext.Value) (cell string, ok bool) {
	switch value.Kind() {
	case jsontext.KindNull:
		return "", true
	case jsontext.KindString:
		text, err := unquote(value)
		return string(text), err == nil
	case jsontext.KindBeginObject, jsontext.KindBeginArray:
		return "", false
	}
	return string(value), true
}

// encodeLines writes the lines of the block with their prices.
func encodeLines(b *block) {
	out := b.out.AvailableBuffer()
	for i := range b.prices {
		line := bytes.TrimRight(bytes.TrimSuffix(b.line(i), []byte("}")), jsonSpace)
		out = append(append(out, line...), ',')
		out = b.appendPrice(out, i)
	}
	b.out.Write(out)
}
