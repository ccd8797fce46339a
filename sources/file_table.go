package sources

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
	"unsafe"
)

// table reads the records of a CSV text as encoding/csv does, without space before cells. A line that has no quotes, and nearly all have
// none, is a record, and is split here, several times as fast; whatever else comes encoding/csv reads from the same buffer.
type table struct {
	in   *bufio.Reader
	rows *csv.Reader

	cells []string // of the last record
	plain bool     // none of them wants quotes
	line  int      // that it begins on

	split  int // lines that were split here
	parsed int // lines that encoding/csv has read
}

// newTable is over a buffer large enough that encoding/csv puts none of its own behind it, which would take lines away from here.
func newTable(in *bufio.Reader) *table {
	t := &table{in: in, rows: csv.NewReader(in)}
	t.rows.ReuseRecord = true
	t.rows.TrimLeadingSpace = true
	t.rows.FieldsPerRecord = -1 // any number
	return t
}

// read returns the cells of the next record, valid until the following call. Errors are those of encoding/csv.
func (t *table) read() ([]string, error) {
	for {
		line, ok := t.next()
		switch {
		case !ok:
			return t.parse()
		case len(line) > 0:
			t.line, t.plain = t.parsed+t.split, true
			t.cells = appendCells(t.cells[:0], view(line))
			return t.cells, nil
		}
	}
}

// next takes the next line, without its end, if it is in the buffer as a whole and has neither quotes nor a carriage return within.
func (t *table) next() (line []byte, ok bool) {
	buffered, _ := t.in.Peek(t.in.Buffered()) // cannot fail
	end := bytes.IndexByte(buffered, '\n')
	if end < 0 {
		return nil, false
	}
	line = bytes.TrimSuffix(buffered[:end], []byte{'\r'})
	if bytes.IndexByte(line, '"') >= 0 || bytes.IndexByte(line, '\r') >= 0 {
		return nil, false
	}
	_, _ = t.in.Discard(end + 1) // neither: the line stays in the buffer until that is read again
	t.split++
	return line, true
}

// parse has encoding/csv read the next record.
func (t *table) parse() (cells []string, err error) {
	cells, err = t.rows.Read()
	var fault *csv.ParseError
	if errors.As(err, &fault) {
		fault.Line += t.split
	}
	if err != nil {
		return nil, err
	}
	first, _ := t.rows.FieldPos(0)
	t.line, t.plain, t.parsed = first+t.split, false, first
	for _, cell := range cells {
		t.parsed += strings.Count(cell, "\n")
	}
	return cells, nil
}

// appendCells appends the cells of a line without quotes.
func appendCells(cells []string, line string) []string {
	for end := 0; end >= 0; {
		cell := line
		if end = strings.IndexByte(line, ','); end >= 0 {
			cell, line = line[:end], line[end+1:]
		}
		if cell != "" && (cell[0] <= ' ' || cell[0] >= utf8.RuneSelf) {
			cell = strings.TrimLeftFunc(cell, unicode.IsSpace)
		}
		cells = append(cells, cell)
	}
	return cells
}

// view is b as a string, for as long as b stays as it is.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } // #nosec G103 -- spares each row a copy
