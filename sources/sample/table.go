package sample

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"

	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// table holds the records by column, a column for each path to something that is no object.
type table struct {
	format  string // as in decode.Config
	bad     int    // records that are not of it
	rows    []row
	columns []*column // in order of first appearance
	byPath  map[string]*column
}

type column struct {
	path  string
	words []string // of the last name on the path: deviceId → device, id
	cells map[int]cell
	used  bool // as time or key
}

// cell is a value of one record.
type cell struct {
	kind kind
	text string
}

type kind uint8

const (
	null kind = iota
	number
	text
	other // true, false, an array
)

func (t *table) len() int { return len(t.rows) }

// most tells whether n records are all but one in a hundred.
func (t *table) most(n int) bool { return n > 0 && n >= t.len()-t.len()/100 }

func (t *table) set(path, name string, c cell) {
	col := t.byPath[path]
	if col == nil {
		col = &column{path: path, words: words(name), cells: map[int]cell{}}
		t.byPath[path] = col
		t.columns = append(t.columns, col)
	}
	col.cells[len(t.rows)] = c
}

// readTable takes records for JSON where any is, else for CSV.
func readTable(rows []row) *table {
	if t := readJSON(rows); t.len() > 0 {
		return t
	}
	return readCSV(rows)
}

// readJSON takes the records that are JSON objects, and counts the others.
func readJSON(rows []row) *table {
	t := &table{format: "json", byPath: map[string]*column{}}
	for _, r := range rows {
		value := r.value[decode.Frame(r.value):]
		d := json.NewDecoder(strings.NewReader(value))
		d.UseNumber()
		if !json.Valid([]byte(value)) || !strings.HasPrefix(strings.TrimSpace(value), "{") || t.walk(d, "", "") != nil {
			t.bad++
			continue
		}
		t.rows = append(t.rows, r)
	}
	return t
}

// pathEscape is how a path writes the names on it.
var pathEscape = strings.NewReplacer(`\`, `\\`, `.`, `\.`)

// walk sets the cells of the value that d is at.
func (t *table) walk(d *json.Decoder, path, name string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '[' {
			t.set(path, name, cell{kind: other})
			return skip(d)
		}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name := key.(string) // an object's names are
			if name == "" {      // which no configuration can name: an index, as pandas writes it before the first column
				if err := d.Decode(new(json.RawMessage)); err != nil {
					return err
				}
				continue
			}
			below := pathEscape.Replace(name)
			if path != "" {
				below = path + "." + below
			}
			if err := t.walk(d, below, name); err != nil {
				return err
			}
		}
		_, err = d.Token()
		return err
	case json.Number:
		t.set(path, name, cell{number, v.String()})
	case string:
		t.set(path, name, cell{text, v})
	case nil:
		t.set(path, name, cell{kind: null})
	default:
		t.set(path, name, cell{kind: other})
	}
	return nil
}

// skip reads to the end of the array that d is in.
func skip(d *json.Decoder) error {
	for depth := 1; depth > 0; {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

// readCSV takes the records that are one line of CSV with as many columns as the first, and counts the others.
func readCSV(rows []row) *table {
	t := &table{format: "csv", byPath: map[string]*column{}}
	want := 0
	for _, r := range rows {
		in := csv.NewReader(strings.NewReader(r.value))
		in.FieldsPerRecord = want
		cells, err := in.Read()
		if _, end := in.Read(); err != nil || !errors.Is(end, io.EOF) {
			t.bad++
			continue
		}
		want = len(cells)
		for i, s := range cells {
			name, c := fmt.Sprintf("c%d", i+1), cell{text, s}
			if s = strings.TrimSpace(s); s == "" {
				c = cell{kind: null}
			} else if isNumberText(c) {
				c = cell{number, s}
			}
			t.set(name, name, c)
		}
		t.rows = append(t.rows, r)
	}
	return t
}

func (c *column) count(is func(cell) bool) (n int) {
	for _, cell := range c.cells {
		if is(cell) {
			n++
		}
	}
	return n
}

func isNumber(c cell) bool { return c.kind == number }
func isText(c cell) bool   { return c.kind == text }
func isWrong(c cell) bool  { return c.kind == text || c.kind == other }

var numberText = regexp.MustCompile(`^\s*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?\s*$`)

func isNumberText(c cell) bool { return c.kind == text && numberText.MatchString(c.text) }

// words splits a name at what is no letter or digit, and before a capital: @timestamp, deviceId, host_name.
func words(name string) []string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			r = ' '
		case unicode.IsUpper(r) && lower:
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r)
		b.WriteRune(unicode.ToLower(r))
	}
	return strings.Fields(b.String())
}
