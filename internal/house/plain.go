package house

import (
	"slices"
	"sync"
)

// plain reads a body as programs write it: in a single pass by the field
// table, with names in their plain spelling and good values, and nothing else.
// It gives up at the first byte that it does not expect, be that a fault or
// merely unusual; [reader], which knows all of JSON and names every fault,
// then reads the body from its beginning. What plain takes reader would take
// alike: see FuzzPlain.
type plain struct {
	*Decoder
	text []byte
	at   int // the next byte
	year int // the present one
	// next guesses the field after another one: that which came the last
	// time, as programs write the members of a record in the same order.
	next [NumFields]Field
}

var plains = sync.Pool{New: func() any { return new(plain) }}

// plainRecords appends the houses of a body to dst, and says whether it could;
// if not, what it appended means nothing.
func (d *Decoder) plainRecords(dst []House, body []byte) ([]House, bool) {
	p := plains.Get().(*plain)
	p.Decoder, p.text, p.at, p.year = d, body, 0, d.presentYear()
	dst, ok := p.body(dst)
	p.Decoder, p.text = nil, nil
	plains.Put(p)
	return dst, ok
}

// WrittenBytes is about how many bytes a house of all fields has as JSON.
const WrittenBytes = 320

// body reads the whole body.
func (p *plain) body(dst []House) ([]House, bool) {
	if !p.take('{') {
		return dst, false
	}
	if name, ok := p.name(); !ok || string(name) != "records" || !p.take('[') {
		return dst, false
	}
	dst = slices.Grow(dst, min(p.most(), len(p.text)/WrittenBytes+1))
	for range p.most() {
		dst = append(dst, unknown)
		if !p.record(&dst[len(dst)-1]) {
			return dst, false
		}
		if p.take(',') {
			continue
		}
		return dst, p.take(']') && p.take('}') && p.ends()
	}
	return dst, false
}

// record reads a house, all of it unknown so far.
func (p *plain) record(h *House) bool {
	if !p.take('{') {
		return false
	}
	var seen Set
	dated := false
	last := Field(NumFields - 1)
	for {
		name, ok := p.name()
		if !ok {
			return false
		}
		field, known := p.next[last], true
		if string(name) != fields[field].Name {
			field, known = Lookup(string(name))
		}
		switch {
		case known && p.Allowed.Has(field) && !seen.Has(field):
			seen |= 1 << field
			p.next[last], last = field, field
			ok = p.value(h, field)
		case !known && string(name) == DateField && !dated:
			dated = true
			ok = p.date(h)
		default:
			return false
		}
		switch {
		case !ok:
			return false
		case p.take(','):
		default:
			return p.take('}') && p.Required&^seen == 0
		}
	}
}

// value reads the value of a field into h.
func (p *plain) value(h *House, f Field) bool {
	s := &fields[f]
	var v float64
	switch p.space(); {
	case p.at == len(p.text):
		return false
	case p.text[p.at] == 'n':
		return p.word("null") && !p.Required.Has(f)
	case p.text[p.at] == '"':
		if s.Kind != ZIP {
			return false
		}
		text, ok := p.quoted()
		if !ok || !isZipcode(text) {
			return false
		}
		v, _ = parseNumber(text)
	default:
		var ok bool
		if v, ok = p.number(); !ok || s.check(v, p.year) != "" {
			return false
		}
	}
	h.Values[f] = v
	return true
}

// date reads the value of valuation_date into h.
func (p *plain) date(h *House) bool {
	if p.space(); p.at < len(p.text) && p.text[p.at] == 'n' {
		return p.word("null")
	}
	text, ok := p.quoted()
	if !ok {
		return false
	}
	day, err := ParseDate(string(text))
	h.Date = day
	return err == nil
}

// powers are those of ten that a float64 holds exactly, as many as a number
// has digits here.
var powers = [maxDigits + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// maxDigits is how many digits make a whole number that a float64 holds
// exactly, whichever they are.
const maxDigits = 15

// number reads a number of the grammar of JSON. One of few digits is a whole
// number over a power of ten, both exact, so that their quotient is the
// nearest there is (Clinger 1990); others are left to strconv.
func (p *plain) number() (v float64, ok bool) {
	start := p.at
	negative := p.text[p.at] == '-'
	if negative {
		p.at++
	}
	mantissa, whole := p.digits(0)
	if whole == 0 || whole > 1 && p.text[p.at-whole] == '0' {
		return 0, false
	}
	decimals := 0
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if mantissa, decimals = p.digits(mantissa); decimals == 0 {
			return 0, false
		}
	}
	exponent := false
	if p.at < len(p.text) && p.text[p.at]|0x20 == 'e' {
		exponent = true
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if _, n := p.digits(0); n == 0 {
			return 0, false
		}
	}
	if exponent || whole+decimals > maxDigits {
		return parseNumber(p.text[start:p.at])
	}
	v = float64(mantissa) / powers[decimals]
	if negative && v != 0 {
		v = -v
	}
	return v, true
}

// digits reads digits on to a number, which more than 19 make meaningless, and
// says how many.
func (p *plain) digits(mantissa uint64) (uint64, int) {
	i := p.at
	for ; i < len(p.text) && p.text[i]-'0' <= 9; i++ {
		mantissa = mantissa*10 + uint64(p.text[i]-'0')
	}
	n := i - p.at
	p.at = i
	return mantissa, n
}

// name reads the name of a member and the colon behind it. A name with
// escapes, or one that is not UTF-8, is no name of ours.
func (p *plain) name() ([]byte, bool) {
	name, ok := p.quoted()
	return name, ok && p.take(':')
}

// quoted reads a string and returns what stands between its quotes, unread:
// it is good only if it is compared with text that needs no escapes.
func (p *plain) quoted() ([]byte, bool) {
	if !p.take('"') {
		return nil, false
	}
	for i := p.at; i < len(p.text); i++ {
		if p.text[i] == '"' {
			text := p.text[p.at:i]
			p.at = i + 1
			return text, true
		}
	}
	return nil, false
}

// word reads a word.
func (p *plain) word(w string) bool {
	if len(p.text)-p.at < len(w) || string(p.text[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

// take reads a byte behind space, and says whether it stood there.
func (p *plain) take(c byte) bool {
	if p.at < len(p.text) && p.text[p.at] == c {
		p.at++
		return true
	}
	return p.takeSpaced(c)
}

func (p *plain) takeSpaced(c byte) bool {
	p.space()
	if p.at == len(p.text) || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

// space reads past space.
func (p *plain) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\n', '\t', '\r':
			p.at++
		default:
			return
		}
	}
}

// ends says whether nothing but space is left.
func (p *plain) ends() bool {
	p.space()
	return p.at == len(p.text)
}
