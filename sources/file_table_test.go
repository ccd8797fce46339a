package sources

import (
	"bufio"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// pieces gives what it reads n bytes at a time.
type pieces struct {
	r io.Reader
	n int
}

func (p pieces) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), p.n)]) }

// A table's records, their lines and its error are those of encoding/csv, however much of the text lies in the buffer.
func FuzzTable(f *testing.F) {
	for _, in := range []string{
		"a,b\n1,x\n", "a\r\n\r\n \n1\r\r\n2\r3\n,\n", "a, b\n\" 1\n\n\", 2\n3,4\n\"5\r\n\",\n6,7\n", "1\n2\n\n\"3\" \n", "1,\n\"\n", "1\n\u00a0 2,\u20283\n\xff\n4\"\n", "1\n2",
	} {
		for _, n := range []int{1, 3, 1000} {
			f.Add(in, n)
		}
	}
	f.Fuzz(func(t *testing.T, in string, n int) {
		want := csv.NewReader(strings.NewReader(in))
		want.TrimLeadingSpace, want.FieldsPerRecord = true, -1
		got := newTable(bufio.NewReaderSize(pieces{strings.NewReader(in), max(n, 1)}, 4096))
		for {
			record, err := want.Read()
			cells, failed := got.read()
			if err != nil {
				var a, b *csv.ParseError
				if errors.As(err, &a) != errors.As(failed, &b) || a == nil && err != failed || a != nil && (a.Line != b.Line || a.Err != b.Err) { //nolint:errorlint // both are as they are made
					t.Fatalf("the end is %v, want %v", failed, err)
				}
				return
			}
			if failed != nil || !slices.Equal(cells, record) {
				t.Fatalf("%q, %v, want %q", cells, failed, record)
			}
			if line, _ := want.FieldPos(0); got.line != line {
				t.Fatalf("%q begins on line %d, want %d", cells, got.line, line)
			}
		}
	})
}

// Lines without quotes are split here: encoding/csv gets those that lie across the end of the buffer.
func TestTableSplits(t *testing.T) {
	const rows = 10_000
	in := newTable(bufio.NewReaderSize(strings.NewReader(strings.Repeat("machine-000042,1767225600000,71.2345\r\n", rows)), 64<<10))
	for range rows {
		if _, err := in.read(); err != nil {
			t.Fatal(err)
		}
	}
	if in.split < rows*99/100 || in.split+in.parsed != rows {
		t.Errorf("%d lines are split and %d parsed, want nearly all of %d split", in.split, in.parsed, rows)
	}
}
