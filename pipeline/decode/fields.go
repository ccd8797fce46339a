package decode

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

// decoder is the way of every record: its format finds the configured fields in it, and the sample is made of them.
type decoder struct {
	fields   *fields
	format   format
	maxBytes int // of a record's key and value together
}

// format reads a record's value. It sets the tokens that the record has, the others stay absent. An error is a *Refused.
type format interface {
	read(value []byte) error
}

func (d *decoder) Decode(key, value []byte, timestamp int64, s *Sample) error {
	if value == nil {
		return ErrFiltered
	}
	if n := len(key) + len(value); n > d.maxBytes {
		return &Refused{TooLarge, fmt.Sprintf("record is %d bytes, want at most %d", n, d.maxBytes)}
	}
	for i := range d.fields.tokens {
		d.fields.tokens[i].kind = absent
	}
	if err := d.format.read(value); err != nil {
		return err
	}
	return d.fields.sample(key, timestamp, s)
}

// kind is what stands in a field. A CSV column is text or, when it is empty, absent.
type kind uint8

const (
	absent kind = iota
	null
	text
	number
	boolean
	object
	array
)

// token is what a record has in one configured field.
type token struct {
	path    string // as configured
	kind    kind
	raw     []byte  // of text, number and boolean: as it stands in the record, text without its quotes
	escaped bool    // raw is JSON text that appendUnescaped has to read
	number  decimal // of a number, what raw says
}

// fields are the configured fields of a record.
type fields struct {
	tokens   []token // each field once
	where    []condition
	key      []*token
	time     *token // nil: the record's timestamp
	values   []*token
	clock    clock
	maxAhead time.Duration
	asText   bool   // a number may be written as text
	sparse   bool   // some values may be missing
	joined   []byte // the last key made of fields
	plain    []byte // the last text without escapes
}

// condition is a Where of a record's token.
type condition struct {
	token *token
	is    []string
}

func newFields(c Config, clock clock) *fields {
	f := &fields{clock: clock, maxAhead: c.MaxAhead, asText: c.NumbersAsStrings || c.Format == "csv", sparse: c.Missing == Last}
	paths := slices.Concat(c.Key, c.Values)
	if c.Time.Field != "" {
		paths = append(paths, c.Time.Field)
	}
	for _, w := range c.Where {
		paths = append(paths, w.Field)
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		f.tokens = append(f.tokens, token{path: path})
	}
	find := func(path string) *token {
		return &f.tokens[slices.IndexFunc(f.tokens, func(t token) bool { return t.path == path })]
	}
	for _, w := range c.Where {
		f.where = append(f.where, condition{find(w.Field), w.Is})
	}
	for _, path := range c.Key {
		f.key = append(f.key, find(path))
	}
	for _, path := range c.Values {
		f.values = append(f.values, find(path))
	}
	if c.Time.Field != "" {
		f.time = find(c.Time.Field)
	}
	return f
}

// sample makes a sample of the tokens. What is wrong is looked for in the order key, time, values, so that a record with several
// faults is always refused for the same one; of another kind of records nothing is wrong.
func (f *fields) sample(key []byte, timestamp int64, s *Sample) (err error) {
	for i := range f.where {
		if !f.meets(&f.where[i]) {
			return ErrFiltered
		}
	}
	if s.Key, err = f.seriesKey(key); err != nil {
		return err
	}
	if s.Time, err = f.eventTime(timestamp); err != nil {
		return err
	}
	s.Values = s.Values[:0]
	missing := 0
	for _, t := range f.values {
		if f.sparse && (t.kind == absent || t.kind == null) {
			s.Values = append(s.Values, math.NaN())
			missing++
			continue
		}
		x, err := f.float(t)
		if err != nil {
			return err
		}
		s.Values = append(s.Values, x)
	}
	if missing == len(f.values) {
		return f.values[0].refuse(MissingField, "one of the values at least")
	}
	return nil
}

func (f *fields) meets(c *condition) bool {
	switch c.token.kind {
	case text, number, boolean:
		return slices.Contains(c.is, view(f.text(c.token)))
	default:
		return false
	}
}

// seriesKey is the record's own key, or the text of the key fields. Several are joined by slashes, a slash or backslash in one of them
// having a backslash before it, so that a/b and c make another key than a and b/c.
func (f *fields) seriesKey(key []byte) ([]byte, error) {
	if len(f.key) == 0 {
		return key, nil
	}
	f.joined = f.joined[:0]
	for i, t := range f.key {
		var part []byte
		switch t.kind {
		case text, number, boolean:
			part = f.text(t)
		default:
			return nil, t.refuse(WrongType, "text, a number, true or false")
		}
		if len(f.key) == 1 {
			if t.escaped { // in memory that the next text with escapes is in, too
				f.joined = append(f.joined, part...)
				return f.joined, nil
			}
			return part, nil
		}
		if i > 0 {
			f.joined = append(f.joined, '/')
		}
		for _, c := range part {
			if c == '/' || c == '\\' {
				f.joined = append(f.joined, '\\')
			}
			f.joined = append(f.joined, c)
		}
	}
	return f.joined, nil
}

// text returns what the token says, valid until the next call.
func (f *fields) text(t *token) []byte {
	if !t.escaped {
		return t.raw
	}
	f.plain = appendUnescaped(f.plain[:0], t.raw)
	return f.plain
}

// float returns the token's number. Written as text it may have spaces around it, a plus before it, and a point at either end.
func (f *fields) float(t *token) (float64, error) {
	raw := t.raw
	switch {
	case t.kind == number:
		if x, ok := t.number.float(); ok {
			return x, nil
		}
	case t.kind == text && f.asText:
		raw = bytes.Trim(f.text(t), " \t")
		d, end := scanNumber(raw, 0)
		if x, ok := d.float(); ok && end == len(raw) {
			return x, nil
		}
		if bytes.ContainsAny(raw, "xX_") { // Go's spellings, and nobody else's
			return 0, t.refuse(WrongType, "a number")
		}
	default:
		return 0, t.refuse(WrongType, "a number")
	}
	x, err := strconv.ParseFloat(view(raw), 64)
	switch {
	case errors.Is(err, strconv.ErrRange), math.IsNaN(x), math.IsInf(x, 0):
		return 0, t.refuse(NotFinite, "a finite number")
	case err != nil:
		return 0, t.refuse(WrongType, "a number")
	}
	return x, nil
}

// view is b as a string for a call that keeps none of it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } // #nosec G103 -- spares each record a copy

// refuse refuses the record for what stands in t; for nothing at all the reason is always MissingField.
func (t *token) refuse(r Reason, want string) error {
	is := "missing"
	switch t.kind {
	case absent:
		r = MissingField
	case null:
		r, is = MissingField, "null"
	case text:
		is = `"` + shorten(t.raw) + `"`
	case number, boolean:
		is = shorten(t.raw)
	case object:
		is = "an object"
	case array:
		is = "an array"
	}
	return &Refused{r, fmt.Sprintf("%s is %s, want %s", t.path, is, want)}
}

// shorten returns at most 64 bytes of b as text that can be printed.
func shorten(b []byte) string {
	const most, dots = 64, "…"
	s := strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, string(b[:min(len(b), most+1)]))
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len(dots)], "") + dots
}
