package sources

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// readCSV reads the header and makes each further row a record: a line of CSV, or a JSON object of its columns in order.
func (r *FileReader) readCSV(in io.Reader, toCSV bool) error {
	rows := csv.NewReader(in)
	rows.ReuseRecord = true
	rows.TrimLeadingSpace = true
	header, err := rows.Read()
	if err != nil {
		return r.failed(err)
	}
	r.line = 1
	prefixes := make([][]byte, len(header)) // of the columns in an object: {"a": and ,"b":
	seen := map[string]bool{}
	for i, name := range header {
		name = strings.ToValidUTF8(strings.TrimSpace(name), "\ufffd")
		if seen[name] {
			return fmt.Errorf("%s:1: column %q stands twice in the header", r.name, name)
		}
		seen[name] = true
		r.header = append(r.header, name)
		prefixes[i] = append(appendJSONString([]byte{"{,"[min(i, 1)]}, name), ':')
	}
	var row []byte
	r.next = func() ([]byte, error) {
		cells, err := rows.Read()
		if len(cells) > 0 && len(cells) != len(prefixes) { // Read has returned ErrFieldCount, which gives no numbers
			r.line, _ = rows.FieldPos(0)
			r.line-- // failed counts on
			return nil, fmt.Errorf("%d columns, want the header's %d", len(cells), len(prefixes))
		}
		if err != nil {
			return nil, err
		}
		r.line, _ = rows.FieldPos(0)
		row = row[:0]
		if toCSV {
			row = appendCSV(row, cells)
		} else {
			row = appendObject(row, prefixes, cells)
		}
		return row, nil
	}
	return nil
}

// appendObject appends a JSON object: a cell that is a JSON number stands as it is, an empty one is null, any other a string.
func appendObject(b []byte, prefixes [][]byte, cells []string) []byte {
	for i, cell := range cells {
		b = append(b, prefixes[i]...)
		switch number := strings.TrimRight(cell, " \t"); {
		case number == "":
			b = append(b, "null"...)
		case isJSONNumber(number):
			b = append(b, number...)
		default:
			b = appendJSONString(b, cell)
		}
	}
	return append(b, '}')
}

// isJSONNumber tells whether s is a number as RFC 8259, section 6, writes it: no leading zeros, plus sign, NaN or bare point.
func isJSONNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole := digits(s)
	if whole == 0 || (whole > 1 && s[0] == '0') {
		return false
	}
	s = s[whole:]
	if strings.HasPrefix(s, ".") {
		n := digits(s[1:])
		if n == 0 {
			return false
		}
		s = s[1+n:]
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		n := digits(s)
		return n > 0 && n == len(s)
	}
	return s == ""
}

// digits returns how many digits s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// appendJSONString appends s quoted; bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, c := range s { // a range over a string yields utf8.RuneError for each bad byte
		switch {
		case c == '"' || c == '\\':
			b = utf8.AppendRune(append(b, '\\'), c)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			b = utf8.AppendRune(b, c)
		}
	}
	return append(b, '"')
}

// appendCSV appends one line of CSV without its end, as RFC 4180 quotes it.
func appendCSV(b []byte, cells []string) []byte {
	for i, cell := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		if !strings.ContainsAny(cell, ",\"\r\n") && !strings.HasPrefix(cell, " ") {
			b = append(b, cell...)
			continue
		}
		b = append(b, '"')
		b = append(b, bytes.ReplaceAll([]byte(cell), []byte(`"`), []byte(`""`))...)
		b = append(b, '"')
	}
	return b
}
