package backtest

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// output is a buffered file whose first error stays.
type output struct {
	f   *os.File
	w   *bufio.Writer
	err error
}

func create(path string) (*output, error) {
	f, err := os.Create(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	return &output{f: f, w: bufio.NewWriterSize(f, 1<<16)}, nil
}

func (o *output) line(b []byte) {
	if o.err == nil {
		_, o.err = o.w.Write(b)
	}
	if o.err == nil {
		o.err = o.w.WriteByte('\n')
	}
}

func (o *output) close() error { return errors.Join(o.err, o.w.Flush(), o.f.Close()) }

// discard closes and removes what is not to be taken for a result.
func (o *output) discard() error { return errors.Join(o.f.Close(), os.Remove(o.f.Name())) }

// writer writes what the path says of one file: a row of scores for each row of the file, or for each closed window. The path has its own
// goroutine, and hands traces on in batches: to write a row takes half as long as to judge it.
type writer struct {
	file *File

	// Of the path's goroutine.
	fields []string
	traces *traces
	full   chan *traces
	free   chan *traces

	// Of that in which write runs.
	windowed bool
	scores   *output
	nab      *output         // nil unless asked for
	scored   map[string]bool // whether a key's series ever had a score
	next     int64           // offset of the row to be written next; of records that made no point the row is empty
	row      []byte
}

// traces are a batch of them. They outlive the calls that they are passed to: of a point the first value stays, and no forecast.
type traces struct {
	all    []pipeline.Trace
	values []float64
}

// tracesAtOnce is how many are handed on at once.
const tracesAtOnce = 500

func newWriter(o Options, f *File) (*writer, error) {
	scores, err := create(filepath.Join(o.Out, f.Name+".scores.csv"))
	if err != nil {
		return nil, err
	}
	w := &writer{
		file: f, windowed: o.Stream.Window != nil && o.Stream.Window.Every > 0, scores: scores, scored: map[string]bool{},
		traces: &traces{}, full: make(chan *traces), free: make(chan *traces, 2),
	}
	w.free <- &traces{} // one is filled while the other is written
	w.scores.line([]byte("timestamp,key,score,p_value,limit,alert,untold"))
	if f.nab != "" {
		err := os.MkdirAll(filepath.Dir(f.nab), 0o750)
		if err == nil {
			w.nab, err = create(f.nab)
		}
		if err != nil {
			return nil, errors.Join(err, scores.discard())
		}
		w.nab.line([]byte("timestamp,value,anomaly_score"))
	}
	return w, nil
}

// nabName is the name of the detector in the benchmark's layout.
const nabName = "gonomaly"

// trace takes what the path says of a point. The path calls it.
func (w *writer) trace(t pipeline.Trace) {
	b := w.traces
	if t.X != nil {
		w.file.chart.add(t, w.fields)
		b.values = append(b.values, t.X[0])
		t.X = b.values[len(b.values)-1:]
	}
	t.Expected = nil
	b.all = append(b.all, t)
	if len(b.all) == tracesAtOnce {
		w.full <- b
		w.traces = <-w.free
	}
}

// end says that the path has come to its end.
func (w *writer) end() {
	w.full <- w.traces
	close(w.full)
}

// write writes what the path says until its end.
func (w *writer) write() {
	for b := range w.full {
		for i := range b.all {
			w.line(&b.all[i])
		}
		b.all, b.values = b.all[:0], b.values[:0]
		w.free <- b
	}
}

// line writes the row of a point, or of a sample that made none.
func (w *writer) line(t *pipeline.Trace) {
	if !w.windowed {
		w.empty(t.Offset)
		w.next = t.Offset + 1
	}
	if t.Untold == pipeline.Untold(pipeline.Filtered.String()) {
		if !w.windowed {
			w.blank(pipeline.Filtered)
		}
		return
	}
	told := t.Told == pipeline.Open || t.Told == pipeline.Update
	at := time.Unix(0, t.Time).UTC()
	b := at.AppendFormat(w.row[:0], time.RFC3339Nano)
	b = append(b, ',')
	b = appendCell(b, t.Key)
	b = append(b, ',')
	if t.Scored {
		b = strconv.AppendFloat(b, t.Score, 'g', -1, 64)
		b = append(b, ',')
		b = strconv.AppendFloat(b, t.PValue, 'g', -1, 64)
		b = append(b, ',')
		b = strconv.AppendFloat(b, t.Limit, 'g', -1, 64)
	} else {
		b = append(b, ",,"...)
	}
	b = append(b, ',', digit(told), ',')
	b = append(b, t.Untold...)
	w.scores.line(b)
	w.row = b
	w.learned(t)
	if t.X != nil {
		w.file.Points++
	}
	if told {
		w.file.Alerts++
	}
	if w.nab != nil {
		w.nabRow(t, at, told)
	}
}

// learned counts the series, and those of them that are in warm-up.
func (w *writer) learned(t *pipeline.Trace) {
	if t.X == nil && t.Untold != pipeline.Untold(pipeline.Warming.String()) {
		return // no room for the key
	}
	scored, known := w.scored[t.Key]
	if !known {
		w.file.Series++
		w.file.Learning++
	}
	if t.Scored && !scored {
		w.file.Learning--
	}
	if !known || t.Scored && !scored {
		w.scored[t.Key] = t.Scored
	}
}

// nabRow maps the surprise to [0, 1] so that the limit is at 0.5, and mutes what an incident does not tell again, and what lies over the
// limit in the direction that nobody asked for.
func (w *writer) nabRow(t *pipeline.Trace, at time.Time, told bool) {
	score := 0.0
	if t.Scored && (told || !t.Incident && t.Surprise < t.Wanted) {
		score = t.Surprise / (t.Surprise + t.Wanted)
	}
	b := at.AppendFormat(w.row[:0], time.DateTime)
	b = append(b, ',')
	if len(t.X) > 0 {
		b = strconv.AppendFloat(b, t.X[0], 'g', -1, 64)
	}
	b = append(b, ',')
	b = strconv.AppendFloat(b, score, 'g', -1, 64)
	w.nab.line(b)
	w.row = b
}

// empty writes the rows up to offset, of records that were refused.
func (w *writer) empty(offset int64) {
	for ; w.next < offset; w.next++ {
		w.blank(pipeline.DeadLettered)
	}
}

// blank writes the row of a record that is no sample.
func (w *writer) blank(o pipeline.Outcome) {
	w.scores.line([]byte(",,,,,0," + o.String()))
	if w.nab != nil {
		w.nab.line([]byte(",,0"))
	}
}

// close ends a file of so many rows.
func (w *writer) close(rows int64) error {
	if !w.windowed {
		w.empty(rows)
	}
	err := w.scores.close()
	if w.nab != nil {
		err = errors.Join(err, w.nab.close())
	}
	return err
}

// discard removes what is written of a file that was not played to its end.
func (w *writer) discard() error {
	err := w.scores.discard()
	if w.nab != nil {
		err = errors.Join(err, w.nab.discard())
	}
	return err
}

func digit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

// appendCell quotes a key where CSV asks for it.
func appendCell(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c == ',' || c == '"' || c == '\n' || c == '\r' {
			b = append(b, '"')
			for j := range len(s) {
				if s[j] == '"' {
					b = append(b, '"')
				}
				b = append(b, s[j])
			}
			return append(b, '"')
		}
	}
	return append(b, s...)
}
