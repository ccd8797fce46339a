package sources

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// readCSV reads the header and makes each further row a record: a line of CSV, or a JSON object of its columns in order.
func (r *FileReader) readCSV(in *bufio.Reader, toCSV bool) error {
	t := newTable(in)
	header, err := t.read()
	if err != nil {
		return r.failed(err)
	}
	r.line = 1
	prefixes := make([][]byte, len(header)) // of the columns in an object: {"a": and ,"b":
	seen := map[string]bool{}
	for i, name := range header {
		name = strings.Clone(strings.ToValidUTF8(strings.TrimSpace(name), "\ufffd")) // the cells do not last
		if seen[name] {
			return fmt.Errorf("%s:1: column %q stands twice in the header", r.name, name)
		}
		seen[name] = true
		r.header = append(r.header, name)
		prefixes[i] = append(appendJSONString([]byte{"{,"[min(i, 1)]}, name), ':')
	}
	r.next = func(b []byte) ([]byte, error) {
		cells, err := t.read()
		if err != nil {
			return b, err
		}
		r.line = t.line
		switch {
		case len(cells) != len(prefixes):
			r.line-- // failed counts on
			return b, fmt.Errorf("%d columns, want the header's %d", len(cells), len(prefixes))
		case toCSV:
			return appendCSV(b, cells, t.plain), nil
		}
		return appendObject(b, prefixes, cells), nil
	}
	return nil
}

// appendObject appends a JSON object: a cell that is a JSON number stands as it is, an empty one is null, any other a string.
func appendObject(b []byte, prefixes [][]byte, cells []string) []byte {
	for i, cell := range cells {
		b = append(b, prefixes[i]...)
		number := cell
		for number != "" && (number[len(number)-1] == ' ' || number[len(number)-1] == '\t') {
			number = number[:len(number)-1]
		}
		switch {
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
	plain := 0
	for plain < len(s) && s[plain] >= ' ' && s[plain] < utf8.RuneSelf && s[plain] != '"' && s[plain] != '\\' {
		plain++
	}
	b = append(b, s[:plain]...)   // mostly all of it
	for _, c := range s[plain:] { // a range over a string yields utf8.RuneError for each bad byte
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

// appendCSV appends one line of CSV without its end, as RFC 4180 quotes it; of plain cells it is known that none wants quotes.
func appendCSV(b []byte, cells []string, plain bool) []byte {
	for i, cell := range cells {
		if i > 0 {
			b = append(b, ',')
		}
		if plain || !strings.ContainsAny(cell, ",\"\r\n") && !strings.HasPrefix(cell, " ") {
			b = append(b, cell...)
			continue
		}
		b = append(b, '"')
		b = append(b, bytes.ReplaceAll([]byte(cell), []byte(`"`), []byte(`""`))...)
		b = append(b, '"')
	}
	return b
}
