package decode

import (
	"bytes"
	"fmt"
)

// csvFormat finds fields in CSV records: one record of RFC 4180, with at most one line end behind it. Text in quotes may hold commas,
// line ends and doubled quotes. It takes for CSV what encoding/csv does.
type csvFormat struct {
	columns []*token // nil: a column that is not a field
	buf     []byte   // texts that do not stand in the record as they read
}

func newCSV(columns []string, tokens []token) *csvFormat {
	f := &csvFormat{columns: make([]*token, len(columns))}
	for i, name := range columns {
		for j := range tokens {
			if tokens[j].path == name {
				f.columns[i] = &tokens[j]
			}
		}
	}
	return f
}

func (f *csvFormat) read(value []byte) error {
	f.buf = f.buf[:0]
	rest, more := withoutLineEnd(value), true
	if len(rest) == 0 {
		return &Refused{NotCSV, "record is empty, want a line of CSV"}
	}
	for n := 0; more; n++ {
		var column []byte
		var fault string
		if column, rest, more, fault = f.next(rest); fault != "" {
			return &Refused{NotCSV, fmt.Sprintf("column %d %s", n+1, fault)}
		}
		switch {
		case n == len(f.columns):
			return &Refused{NotCSV, fmt.Sprintf("record has more columns, want %d", len(f.columns))}
		case !more && n < len(f.columns)-1:
			return &Refused{NotCSV, fmt.Sprintf("record has %d columns, want %d", n+1, len(f.columns))}
		case f.columns[n] != nil && len(column) > 0:
			f.columns[n].kind, f.columns[n].raw = text, column
		}
	}
	return nil
}

// next returns the next column of line, what follows its comma, and whether there is a comma. fault says what is wrong with it.
func (f *csvFormat) next(line []byte) (column, rest []byte, more bool, fault string) {
	if len(line) == 0 || line[0] != '"' {
		column, rest, more = bytes.Cut(line, []byte{','})
		switch {
		case bytes.IndexByte(column, '"') >= 0:
			fault = "has a quote in it, want it in quotes"
		case bytes.IndexByte(column, '\n') >= 0:
			fault = "has a line end in it, want one record"
		}
		return column, rest, more, fault
	}
	return f.quoted(line[1:])
}

// quoted is next for a column in quotes, from behind the first.
func (f *csvFormat) quoted(line []byte) (column, rest []byte, more bool, fault string) {
	for i := 0; i < len(line); i++ {
		if line[i] != '"' {
			continue
		}
		if i+1 < len(line) && line[i+1] == '"' {
			i++
			continue
		}
		column, rest = f.unquote(line[:i]), line[i+1:]
		switch {
		case len(rest) == 0:
			return column, nil, false, ""
		case rest[0] == ',':
			return column, rest[1:], true, ""
		}
		return nil, nil, false, "goes on behind its quotes, want a comma"
	}
	return nil, nil, false, "has no closing quote"
}

// unquote returns the text that stands between quotes as raw: with quotes not doubled, and line ends without a carriage return.
func (f *csvFormat) unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '"') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	start := len(f.buf)
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\r' && i+1 < len(raw) && raw[i+1] == '\n' {
			continue
		}
		f.buf = append(f.buf, raw[i])
		if raw[i] == '"' {
			i++ // the second
		}
	}
	return f.buf[start:]
}

// withoutLineEnd returns b without the line end, or the carriage return, that it ends with.
func withoutLineEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	return bytes.TrimSuffix(b, []byte{'\r'})
}
