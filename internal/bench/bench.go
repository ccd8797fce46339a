// Package bench measures how fast Gonomaly is: the whole path, as a process of its own beside the bare client, and its parts in this one.
// Every benchmark is a file, and gives the same kind of Result: rows of figures, each with one value a run, so that a median comes
// with its range, and a result can be held against an earlier one.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// Benchmark is one of the things that can be measured.
type Benchmark struct {
	Name  string
	Short string                         // what it measures, in a line
	Long  string                         // how, and what the columns are
	flags func(*pflag.FlagSet, *Options) // of its own; nil for none
	run   func(context.Context, Options, *Result) error
}

// Benchmarks are all of them.
func Benchmarks() []Benchmark {
	return []Benchmark{pathBenchmark, curvesBenchmark, decodeBenchmark, detectorsBenchmark, checkpointBenchmark, restoreBenchmark, alertsBenchmark, backtestBenchmark}
}

// Flags adds the flags that the benchmark has besides those of all.
func (b Benchmark) Flags(f *pflag.FlagSet, o *Options) {
	if b.flags != nil {
		b.flags(f, o)
	}
}

// Options say what to measure.
type Options struct {
	Runs       int      // of each row; the figures are their medians
	Brokers    []string // of Kafka; without them an embedded broker, in this process
	Redis      string   // address of the store for checkpoints; without it files
	Events     int64    // of a run
	Keys       int      // of those events
	Partitions int32
	Rate       float64       // events a second of the paced run
	Every      time.Duration // between two commits
	Checkpoint time.Duration // between two checkpoints
	Only       []string      // rows of the path, or kinds of detectors; all where empty
	Fields     []int         // numbers of values in a point, or a record
	Series     []int         // numbers of series in a partition
	Profile    string        // file for a CPU profile
	Program    []string      // command that runs gonomaly
	Beside     string        // another gonomaly, to be measured by turns with it
	AtOnce     bool          // or at the same time
	Log        io.Writer
}

// Figure is one thing that was measured, once a run.
type Figure struct {
	Name string    `json:"name"` // with its unit
	Runs []float64 `json:"runs"`
}

// Row is what was measured of one subject.
type Row struct {
	Name    string   `json:"name"`
	Figures []Figure `json:"figures"`
}

// Result is what a benchmark has measured, and on what.
type Result struct {
	Benchmark string `json:"benchmark"`
	Go        string `json:"go"`
	Machine   string `json:"machine"`
	Rows      []Row  `json:"rows"`
}

// Run measures.
func (b Benchmark) Run(ctx context.Context, o Options) (*Result, error) {
	if o.Runs < 1 {
		return nil, &invalid.Value{Name: "--runs", Value: o.Runs, Want: "1 or more"}
	}
	r := &Result{
		Benchmark: b.Name, Go: runtime.Version(),
		Machine: fmt.Sprintf("%s/%s, GOMAXPROCS %d of %d", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), runtime.NumCPU()),
	}
	if err := b.run(ctx, o, r); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name, err)
	}
	return r, nil
}

// number is the value of a flag.
type number struct {
	flag  string
	value float64
}

// positive says which of some numbers is not above 0.
func positive(all ...number) error {
	for _, n := range all {
		if !(n.value > 0) {
			return &invalid.Value{Name: n.flag, Value: n.value, Want: "> 0"}
		}
	}
	return nil
}

// each calls run as often as there are runs to be, and tells.
func (o *Options) each(name string, run func() error) error {
	for i := range o.Runs {
		o.say("%s: run %d of %d", name, i+1, o.Runs)
		if err := run(); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) say(format string, args ...any) { _, _ = fmt.Fprintf(o.Log, format+"\n", args...) }

// Add notes a run's value of a figure of a row.
func (r *Result) Add(row, figure string, value float64) {
	i := slices.IndexFunc(r.Rows, func(r Row) bool { return r.Name == row })
	if i < 0 {
		i = len(r.Rows)
		r.Rows = append(r.Rows, Row{Name: row})
	}
	at := &r.Rows[i]
	j := slices.IndexFunc(at.Figures, func(f Figure) bool { return f.Name == figure })
	if j < 0 {
		j = len(at.Figures)
		at.Figures = append(at.Figures, Figure{Name: figure})
	}
	at.Figures[j].Runs = append(at.Figures[j].Runs, value)
}

// figure returns a figure of a row, or nil.
func (r *Result) figure(row, name string) *Figure {
	for i := range r.Rows {
		if r.Rows[i].Name != row {
			continue
		}
		for j := range r.Rows[i].Figures {
			if f := &r.Rows[i].Figures[j]; f.Name == name {
				return f
			}
		}
	}
	return nil
}

// Median is a figure of a row, NaN where the result does not have it.
func (r *Result) Median(row, figure string) float64 {
	if f := r.figure(row, figure); f != nil {
		return f.Median()
	}
	return math.NaN()
}

// Median of the runs; of an even number the mean of the two in the middle.
func (f *Figure) Median() float64 {
	s := slices.Sorted(slices.Values(f.Runs))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// String is the median, with the range where there are several runs.
func (f *Figure) String() string {
	if len(f.Runs) == 1 {
		return short(f.Runs[0])
	}
	return fmt.Sprintf("%s (%s – %s)", short(f.Median()), short(slices.Min(f.Runs)), short(slices.Max(f.Runs)))
}

// short writes three digits or all before the point, those by threes.
func short(x float64) string {
	if x < 1000 {
		return strconv.FormatFloat(x, 'g', 3, 64)
	}
	s := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// columns are the names of all figures, in the order in which they first came.
func (r *Result) columns() []string {
	var names []string
	for _, row := range r.Rows {
		for _, f := range row.Figures {
			if !slices.Contains(names, f.Name) {
				names = append(names, f.Name)
			}
		}
	}
	return names
}

// Table writes the result in Markdown. cell says what stands in it of a figure.
func (r *Result) Table(w io.Writer, cell func(row string, f *Figure) string) error {
	columns := r.columns()
	lines := [][]string{append([]string{r.Benchmark}, columns...)}
	for _, row := range r.Rows {
		line := []string{row.Name}
		for _, c := range columns {
			text := ""
			if f := r.figure(row.Name, c); f != nil {
				text = cell(row.Name, f)
			}
			line = append(line, text)
		}
		lines = append(lines, line)
	}
	rule := make([]string, len(lines[0]))
	for i := range rule {
		rule[i] = "---"
	}
	var b strings.Builder
	for _, line := range slices.Insert(lines, 1, rule) {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Plain is a cell with the figure alone.
func Plain(_ string, f *Figure) string { return f.String() }

// Write keeps the result in a file, as Read reads it.
func (r *Result) Write(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o600)
}

// Read reads what Write wrote.
func Read(path string) (*Result, error) {
	b, err := os.ReadFile(path) //nolint:gosec // a file that the user names
	if err != nil {
		return nil, err
	}
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, row := range r.Rows {
		for _, f := range row.Figures {
			if len(f.Runs) == 0 {
				return nil, fmt.Errorf("%s: %s of %s has no runs", path, f.Name, row.Name)
			}
		}
	}
	return &r, nil
}
