package decode

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// Defaults is the configuration that New completes another with where that has zeroes.
func Defaults() Config {
	return Config{Format: "json", Time: Time{Zone: "UTC"}, Missing: Refuse, MaxBytes: 1 << 20, MaxDepth: 32, MaxAhead: 10 * time.Minute}
}

// New returns a Decoder for c. An error joins an *invalid.Value for each value that is out of its range.
//
// A value that is null, a tombstone, is ErrFiltered: of a compacted topic it says that a key is gone. One that is empty is NotJSON or NotCSV. A field is missing where it is absent, null, an empty column, or below
// something that is no object; of a record of which only values are missing, and not all of them, they are NaN where c.Missing is Last. In CSV a field is a column's name as it stands, with its dots. A key is the text of its fields, a number's
// as it is written, and may be empty text; several are joined by slashes, with a backslash before each slash and backslash in them. A
// numeric time may also be text, and have decimals.
func New(c Config) (Decoder, error) {
	d := Defaults()
	c.Format = cmp.Or(c.Format, d.Format)
	c.Time.Zone = cmp.Or(c.Time.Zone, d.Time.Zone)
	c.Missing = cmp.Or(c.Missing, d.Missing)
	c.MaxBytes = cmp.Or(c.MaxBytes, d.MaxBytes)
	c.MaxDepth = cmp.Or(c.MaxDepth, d.MaxDepth)
	c.MaxAhead = cmp.Or(c.MaxAhead, d.MaxAhead)

	clock, errTime := newClock(c.Time)
	if err := errors.Join(c.check(), c.checkFields(), errTime); err != nil {
		return nil, err
	}
	f := newFields(c, clock)
	if c.Format == "csv" {
		return &decoder{fields: f, format: newCSV(c.Columns, f.tokens), maxBytes: c.MaxBytes}, nil
	}
	return &decoder{fields: f, format: newJSON(f.tokens, c.MaxDepth), maxBytes: c.MaxBytes}, nil
}

// check checks everything but the fields and the time.
func (c *Config) check() error {
	var errs []error
	wrong := func(name string, value any, want string) {
		errs = append(errs, &invalid.Value{Name: name, Value: value, Want: want})
	}
	switch {
	case c.Format != "json" && c.Format != "csv":
		wrong("format", c.Format, "json or csv")
	case c.Format == "csv" && len(c.Columns) == 0:
		wrong("columns", "missing", "the names of the columns, in order")
	case c.Format == "json" && len(c.Columns) > 0:
		wrong("columns", c.Columns, "none for format json")
	}
	for i, name := range c.Columns {
		if name != "" && slices.Contains(c.Columns[:i], name) {
			wrong(fmt.Sprintf("columns[%d]", i), name, "a name of its own, or none")
		}
	}
	if c.Missing != Refuse && c.Missing != Last {
		wrong("missing", c.Missing, "refuse or last")
	}
	if c.MaxBytes < 1 || c.MaxBytes > 100<<20 {
		wrong("max_bytes", c.MaxBytes, "1 to 104857600")
	}
	if c.MaxDepth < 1 || c.MaxDepth > 1000 {
		wrong("max_depth", c.MaxDepth, "1 to 1000")
	}
	if c.MaxAhead < 0 {
		wrong("max_ahead", c.MaxAhead, "0s (the default) or more")
	}
	return errors.Join(errs...)
}

// checkFields checks that each field named can be one of a record's.
func (c *Config) checkFields() error {
	var errs []error
	check := func(name, path string) {
		want := ""
		if c.Format == "csv" {
			if len(c.Columns) > 0 && (path == "" || !slices.Contains(c.Columns, path)) { // without columns they are what is missing
				want = "one of the columns " + strings.Join(c.Columns, ", ")
			}
		} else if split(path) == nil {
			want = `names joined by dots, with \. for a dot in a name and \\ for a backslash`
		}
		if want != "" {
			errs = append(errs, &invalid.Value{Name: name, Value: fmt.Sprintf("%q", path), Want: want})
		}
	}
	list := func(name string, paths Fields) {
		for i, path := range paths {
			at := fmt.Sprintf("%s[%d]", name, i)
			check(at, path)
			if slices.Contains(paths[:i], path) {
				errs = append(errs, &invalid.Value{Name: at, Value: path, Want: "each field once"})
			}
		}
	}
	for i, w := range c.Where {
		check(fmt.Sprintf("where[%d].field", i), w.Field)
		if len(w.Is) == 0 {
			errs = append(errs, &invalid.Value{Name: fmt.Sprintf("where[%d].is", i), Value: "missing", Want: "a text, or a list of them"})
		}
	}
	list("key", c.Key)
	if c.Time.Field != "" {
		check("time.field", c.Time.Field)
	}
	list("values", c.Values)
	if len(c.Values) == 0 {
		errs = append(errs, &invalid.Value{Name: "values", Value: "missing", Want: "at least one numeric field"})
	}
	return errors.Join(errs...)
}

// split splits a path of a JSON field into names: a dot parts them, \. is a dot in a name and \\ a backslash. It returns nil for what
// is no path.
func split(path string) []string {
	if !utf8.ValidString(path) || strings.ContainsRune(path, utf8.RuneError) { // which stands for bytes that are no UTF-8
		return nil
	}
	var names []string
	var name strings.Builder
	for i := 0; i <= len(path); i++ {
		switch {
		case i == len(path) || path[i] == '.':
			if name.Len() == 0 {
				return nil
			}
			names = append(names, name.String())
			name.Reset()
		case path[i] == '\\':
			i++
			if i == len(path) || path[i] != '.' && path[i] != '\\' {
				return nil
			}
			name.WriteByte(path[i])
		default:
			name.WriteByte(path[i])
		}
	}
	return names
}
