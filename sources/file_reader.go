package sources

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// stdin is the path that stands for standard input.
const stdin = "-"

// fileMaxLine is the longest line of JSON, in bytes: what decode.Config.MaxBytes may be at most.
const fileMaxLine = 100 << 20

// fileNoTimestamp is the Timestamp of records that carry their own event time: a decoder believes it then.
const fileNoTimestamp = -1

// FileReader reads the records of one file: CSV with a header row, or JSON lines, either gzipped. Which of them it is shows in the
// bytes, not in the name: gzip begins with its magic number, a JSON line with a brace. It belongs to one goroutine, but for
// Progress.
type FileReader struct {
	name   string
	next   func(b []byte) ([]byte, error) // appends the next value to b
	header []string
	value  []byte // that Next has returned last
	line   int    // of the row returned last
	rows   int64
	bytes  *fileCounter
	size   int64
	timed  bool // the records carry their own event time
	close  []io.Closer
}

// OpenFile opens a file, or standard input for "-". Of d it heeds Format, which says what a CSV row becomes, and whether Time names
// a field; a zero Config reads everything as JSON.
//
// Where Time names no field, a record's Timestamp is one second after that of the row before, from 2000-01-01T00:00:00Z on. Where it
// names one, Timestamp is negative, which is none: a file has no clock to hold an event time against, so that MaxAhead does not apply. What
// guards a file against a date that is off is the worker's bound on the jump of the watermark.
//
// Standard input is read until ctx is done, whose error it then has.
func OpenFile(ctx context.Context, path string, d decode.Config) (*FileReader, error) {
	if path == stdin {
		return NewFileReader("stdin", newInterruptible(ctx, os.Stdin), d)
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err // names the operation and the path
	}
	r, err := NewFileReader(path, f, d)
	if err != nil {
		_ = f.Close() // the first error says more
		return nil, err
	}
	r.close = append(r.close, f)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		r.size = info.Size()
	}
	return r, nil
}

// NewFileReader is OpenFile for what is open already; name is for errors.
func NewFileReader(name string, in io.Reader, d decode.Config) (*FileReader, error) {
	r := &FileReader{name: name, bytes: &fileCounter{r: in}, timed: d.Time.Field != ""}
	text, err := r.unzip(bufio.NewReaderSize(r.bytes, 64<<10))
	if err != nil {
		return nil, r.failed(err)
	}
	start, err := firstByte(text)
	if err != nil {
		return nil, r.failed(err)
	}
	switch toCSV := d.Format == "csv"; {
	case start == 0: // empty: no header and no records
		r.next = func(b []byte) ([]byte, error) { return b, io.EOF }
	case start == '[' && isArray(text):
		return nil, r.failed(errors.New("begins with [, want lines of JSON: an object a line"))
	case start != '{':
		err = r.readCSV(text, toCSV)
	case toCSV:
		return nil, fmt.Errorf("%s holds JSON lines: %w", name, &invalid.Value{Name: "decode.format", Value: d.Format, Want: "json"})
	default:
		r.readLines(text)
	}
	return r, err
}

// Header returns the names of a CSV file's columns, for decode.Config.Columns; nil for JSON lines and for an empty file.
func (r *FileReader) Header() []string { return slices.Clone(r.header) }

// Name is the file's path, or "stdin".
func (r *FileReader) Name() string { return r.name }

// Rows is the number of records returned so far.
func (r *FileReader) Rows() int64 { return r.rows }

// Progress returns the bytes of the file that are read, compressed ones where it is gzipped, and its size; 0 where that is unknown.
// It may be called from any goroutine.
func (r *FileReader) Progress() (done, size int64) { return r.bytes.n.Load(), r.size }

// Next returns the next record: no key, offsets from 0. Its value is valid until the following call. After the last record the error is
// io.EOF; any other names file and line, and is final.
func (r *FileReader) Next() (rec pipeline.Record, err error) {
	rec, r.value, err = r.appendNext(r.value[:0])
	return rec, err
}

// appendNext is Next with the value at the end of b, which it returns too.
func (r *FileReader) appendNext(b []byte) (pipeline.Record, []byte, error) {
	start := len(b)
	b, err := r.next(b)
	if err == io.EOF {
		return pipeline.Record{}, b, err
	}
	if err != nil {
		return pipeline.Record{}, b, r.failed(err)
	}
	rec := pipeline.Record{Offset: r.rows, Timestamp: fileNoTimestamp, Value: b[start:len(b):len(b)]}
	if !r.timed {
		rec.Timestamp = fileEpoch + r.rows*int64(time.Second)
	}
	r.rows++
	return rec, b, nil
}

// fileEpoch is the time of a file's first row where rows have none.
var fileEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// Close closes the file.
func (r *FileReader) Close() error {
	var errs []error
	for _, c := range r.close {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// failed adds file and line to an error.
func (r *FileReader) failed(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("%s:%d: %w", r.name, parse.Line, parse.Err)
	}
	return fmt.Errorf("%s:%d: %w", r.name, r.line+1, err)
}

func (r *FileReader) unzip(in *bufio.Reader) (*bufio.Reader, error) {
	if magic, err := in.Peek(2); err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return in, nil // too short for gzip; a read error shows again at the next read
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	r.close = append(r.close, z)
	return bufio.NewReaderSize(z, 64<<10), nil
}

// firstByte skips a byte order mark and peeks at the first byte that is no white space; 0 where there is none within the buffer.
func firstByte(in *bufio.Reader) (byte, error) {
	if mark, err := in.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = in.Discard(3) // cannot fail: they are buffered
	}
	for n := 1; ; n++ {
		b, err := in.Peek(n)
		switch {
		case err == io.EOF:
			return 0, nil
		case err == bufio.ErrBufferFull:
			return 0, errors.New("starts with nothing but white space")
		case err != nil:
			return 0, err
		case bytes.IndexByte([]byte(" \t\r\n"), b[n-1]) < 0:
			return b[n-1], nil
		}
	}
}

// isArray tells whether the text that begins with a bracket is an array of objects; else it is the header of a CSV file.
func isArray(in *bufio.Reader) bool {
	begin, _ := in.Peek(512) // all there is, if it is less
	begin = bytes.TrimLeft(begin, " \t\r\n")
	return bytes.HasPrefix(bytes.TrimLeft(begin[min(1, len(begin)):], " \t\r\n"), []byte("{"))
}

// readLines makes each line that is not blank a record, as it is.
func (r *FileReader) readLines(in io.Reader) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), fileMaxLine)
	r.next = func(b []byte) ([]byte, error) {
		for lines.Scan() {
			r.line++
			if line := bytes.TrimSpace(lines.Bytes()); len(line) > 0 {
				return append(b, line...), nil
			}
		}
		if err := lines.Err(); err != nil {
			return b, err
		}
		return b, io.EOF
	}
}

// fileCounter counts what is read.
type fileCounter struct {
	r io.Reader
	n atomic.Int64
}

func (c *fileCounter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}
