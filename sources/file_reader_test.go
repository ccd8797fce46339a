package sources

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

func TestFileRows(t *testing.T) {
	for name, c := range map[string]struct {
		format, in string
		want       []string
	}{
		"numbers are raw": {"", "a,b,c,d\n1,-0.5,1e-9,12.50\n", []string{`{"a":1,"b":-0.5,"c":1e-9,"d":12.50}`}},
		"what JSON does not call a number is text": {"", "a,b,c,d\n007,+1,.5,1.\nNaN,-,1e,0x1\n",
			[]string{`{"a":"007","b":"+1","c":".5","d":"1."}`, `{"a":"NaN","b":"-","c":"1e","d":"0x1"}`}},
		"an empty cell is null":       {"", "a,b,c\n,2,\n", []string{`{"a":null,"b":2,"c":null}`}},
		"text is escaped":             {"", "a,b\n\"x\"\"y\\\",\"1\n2\"\n\xff,é\n", []string{`{"a":"x\"y\\","b":"1\u000a2"}`, "{\"a\":\"\ufffd\",\"b\":\"é\"}"}},
		"names are escaped, in order": {"json", "z,\"a\"\"b\"\n1,2\n", []string{`{"z":1,"a\"b":2}`}},
		"space around cells":          {"", "a, b\r\n1 , 2\r\n", []string{`{"a":1,"b":2}`}},
		"a byte order mark":           {"", "\ufeffa\n1\n", []string{`{"a":1}`}},
		"a bracket in the header":     {"", "[a],b\n1,2\n", []string{`{"[a]":1,"b":2}`}},
		"no end of line at the end":   {"", "a\n1", []string{`{"a":1}`}},
		"a header alone":              {"", "a,b\n", nil},
		"nothing":                     {"", "", nil},
		"white space":                 {"", "\n \n", nil},
		"lines of JSON":               {"json", "{\"a\": 1}\n\n  {\"a\":2}\r\nnot json\n{}", []string{`{"a": 1}`, `{"a":2}`, `not json`, `{}`}},
		"CSV as CSV":                  {"csv", "a,b,c\n1,,x y\n\"1,2\",\"say \"\"no\"\"\",007\n", []string{`1,,x y`, `"1,2","say ""no""",007`}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, in := range []string{c.in, zipped(t, c.in)} {
				r, err := NewFileReader("x", strings.NewReader(in), decode.Config{Format: c.format})
				if err != nil {
					t.Fatal(err)
				}
				if got, err := readAll(r); err != nil || !slices.Equal(got, c.want) {
					t.Errorf("rows %q, %v, want %q", got, err, c.want)
				}
			}
		})
	}
}

func TestFileErrorsNameFileAndLine(t *testing.T) {
	whole := zipped(t, strings.Repeat("{\"a\":1}\n", 1000))
	for want, c := range map[string]struct{ format, in string }{
		"x.csv:3: 3 columns, want the header's 2":                      {"", "a,b\n1,2\n1,2,3\n"},
		"x.csv:5: 1 columns, want the header's 2":                      {"", "a,b\n\"1\n1\",2\n\n3\n"},
		"x.csv:2: extraneous or missing \" in quoted-field":            {"", "a,b\n\"1,2\n"},
		"x.csv:1: column \"a\" stands twice in the header":             {"", "a,b,a\n1,2,3\n"},
		"x.csv holds JSON lines: decode.format is csv, want json":      {"csv", "{}\n"},
		"x.csv:1001: unexpected EOF":                                   {"", whole[:len(whole)-4]},
		"x.csv:1: begins with [, want lines of JSON: an object a line": {"", "\n[\n {\"a\":1},\n {\"a\":2}]\n"},
		"x.csv:1: gzip: invalid header":                                {"", "\x1f\x8bnot gzip at all"},
		"x.csv:1: starts with nothing but white space":                 {"", strings.Repeat(" ", 1<<17)},
		"x.csv:2: bufio.Scanner: token too long":                       {"", "{}\n{" + strings.Repeat(" ", fileMaxLine) + "}\n"},
	} {
		r, err := NewFileReader("x.csv", strings.NewReader(c.in), decode.Config{Format: c.format})
		if err == nil {
			_, err = readAll(r)
		}
		if err == nil || err.Error() != want {
			t.Errorf("reading %.20q: %v, want %s", c.in, err, want)
		}
	}
	if _, err := OpenFile(t.Context(), filepath.Join(t.TempDir(), "none.csv"), decode.Config{}); !os.IsNotExist(err) {
		t.Errorf("OpenFile of a missing file: %v, want it to say so", err)
	}
}

func TestFileTimestamps(t *testing.T) {
	second := func(n int) int64 { return time.Date(2000, 1, 1, 0, 0, n, 0, time.UTC).UnixNano() }
	for field, want := range map[string][]int64{"": {second(0), second(1), second(2)}, "ts": {-1, -1, -1}} {
		r, err := NewFileReader("x", strings.NewReader("a\n1\n2\n3\n"), decode.Config{Time: decode.Time{Field: field}})
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range want {
			rec, err := r.Next()
			if err != nil || rec.Timestamp != at || rec.Offset != int64(i) || rec.Key != nil {
				t.Errorf("time field %q, row %d: %+v, %v, want timestamp %d", field, i, rec, err, at)
			}
		}
	}
}

func TestFileHeaderAndProgress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.csv.gz")
	in := zipped(t, "a, b\n"+strings.Repeat("1,2\n", 5000))
	if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := OpenFile(t.Context(), path, decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if h := r.Header(); !slices.Equal(h, []string{"a", "b"}) {
		t.Errorf("Header() = %q", h)
	}
	if rows, err := readAll(r); len(rows) != 5000 || err != nil {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if done, size := r.Progress(); done != size || size != int64(len(in)) {
		t.Errorf("Progress() = %d, %d, want %d twice", done, size, len(in))
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// Any CSV that encoding/csv reads becomes, in JSON, an object with the same cells, and in CSV a line that reads the same.
func FuzzFileCSV(f *testing.F) {
	f.Add("a,b\n1,x\n")
	f.Add("0,\n1,") // the last line moves to where the header was in the buffer
	f.Add("a,b\n\"1\n\",-0.5e+3\n\n,\"\"\n")
	f.Fuzz(func(t *testing.T, in string) {
		asJSON, err1 := NewFileReader("x", strings.NewReader(in), decode.Config{})
		asCSV, err2 := NewFileReader("x", strings.NewReader(in), decode.Config{Format: "csv"})
		if err1 != nil || err2 != nil || asJSON.Header() == nil {
			return
		}
		for {
			object, err := asJSON.Next()
			line, err2 := asCSV.Next()
			if (err == nil) != (err2 == nil) {
				t.Fatalf("as JSON %v, as CSV %v", err, err2)
			}
			if err != nil {
				return
			}
			d := json.NewDecoder(bytes.NewReader(object.Value))
			d.UseNumber()
			var fields map[string]any
			if err := d.Decode(&fields); err != nil {
				t.Fatalf("%q is no JSON: %v", object.Value, err)
			}
			cells, err := csv.NewReader(bytes.NewReader(line.Value)).Read()
			if err == io.EOF {
				cells, err = []string{""}, nil // one empty cell is a blank line
			}
			if err != nil || len(cells) != len(asCSV.Header()) {
				t.Fatalf("%q has cells %q, %v", line.Value, cells, err)
			}
			for i, name := range asCSV.Header() {
				got, trimmed := fields[name], strings.TrimRight(cells[i], " \t")
				if n, ok := got.(json.Number); ok && n.String() != trimmed || got == nil && trimmed != "" {
					t.Fatalf("column %q: %v, want %q", name, got, cells[i])
				}
			}
		}
	})
}

func BenchmarkFileReader(b *testing.B) {
	in := "timestamp,a,b,c,d,e,f,g,h\n" + strings.Repeat("2020-03-09 16:36:31,0.0273434,0.0395993,1.28363,0.382638,67.8356,24.2191,232.727,31.0409\n", 1000)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := NewFileReader("x", strings.NewReader(in), decode.Config{})
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
	}
}

func readAll(r *FileReader) (rows []string, err error) {
	for {
		var rec pipeline.Record
		if rec, err = r.Next(); err == io.EOF {
			return rows, nil
		} else if err != nil {
			return rows, err
		}
		rows = append(rows, string(rec.Value))
	}
}

func zipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, s)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
