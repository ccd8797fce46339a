// Package quality measures how good the detectors are on labelled data and on laws that are known, and prints one table a question, with
// the published peers and trivial baselines beside it. Each file is a question.
package quality

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// question is what one section of the report answers.
type question struct {
	name  string // as Options.Only spells it
	title string
	data  bool // it needs the folder of labelled data; the others make their own
	ask   func(context.Context, *Report) error
}

// questions are asked in this order.
var questions = []question{
	{"nab", "One metric: the Numenta Anomaly Benchmark", true, askNAB},
	{"points", "Points of several values: labelled sets", true, askPoints},
	{"sensors", "Many sensors: faults of a water pump", true, askSensors},
	{"tails", "Thresholds: false alarms that come for each that is asked for", false, askTails},
	{"charts", "Control charts: points until an alarm", false, askCharts},
	{"drift", "Drift: changes in the errors of a classifier", true, askDrift},
	{"cost", "Time per point of several values", true, askCost},
	{"made", "Made series and rows: what needs no data", false, askMade},
}

// Options say what to measure.
type Options struct {
	Data  string   // folder with nab, points, sensors and drift; without it only what needs none is measured
	Only  []string // names of questions; all where empty
	Seeds int      // of what depends on a seed, ≥ 1
	Log   io.Writer
}

// Names lists the questions.
func Names() []string {
	names := make([]string, len(questions))
	for i, q := range questions {
		names[i] = q.name
	}
	return names
}

// Report is what the questions write: Markdown, and figures by name.
type Report struct {
	Options
	Figures map[string]float64
	folder  string            // of plots, beside the page; empty where there is no page to show them
	plots   map[string][]byte // SVG by question
	w       *bufio.Writer
	err     error
}

// Run asks the questions, and writes the answers to w. Of those that need data, none is asked where there is none.
func Run(ctx context.Context, w io.Writer, o Options) (*Report, error) {
	r := newReport(w, o)
	return r, r.run(ctx)
}

func newReport(w io.Writer, o Options) *Report {
	return &Report{Options: o, Figures: map[string]float64{}, plots: map[string][]byte{}, w: bufio.NewWriter(w)}
}

func (r *Report) run(ctx context.Context) error {
	for _, name := range r.Only {
		i := slices.Index(Names(), name)
		switch {
		case i < 0:
			return &invalid.Value{Name: "--only", Value: name, Want: "some of " + strings.Join(Names(), ", ")}
		case questions[i].data && r.Data == "":
			return &invalid.Value{Name: "--data", Value: "empty", Want: "the folder of labelled data, for the question " + name}
		}
	}
	if r.Seeds < 1 {
		return &invalid.Value{Name: "--seeds", Value: r.Seeds, Want: "1 or more"}
	}
	for _, q := range questions {
		if q.data && r.Data == "" || len(r.Only) > 0 && !slices.Contains(r.Only, q.name) {
			continue
		}
		begin := time.Now()
		r.text("## %s\n", q.title)
		if err := q.ask(ctx, r); err != nil {
			return fmt.Errorf("%s: %w", q.name, errors.Join(err, r.w.Flush()))
		}
		r.goals(q.name)
		took := time.Since(begin).Round(time.Second)
		r.text("Asked by `--only %s --seeds %d` in %s.\n", q.name, r.Seeds, took)
		if r.err = errors.Join(r.err, r.w.Flush()); r.err != nil {
			return r.err
		}
		r.progress("%s: %s", q.name, took)
	}
	return nil
}

// progress says how far long work has come.
func (r *Report) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(r.Log, format+"\n", args...)
}

// text writes a paragraph of Markdown.
func (r *Report) text(format string, args ...any) {
	_, err := fmt.Fprintf(r.w, format+"\n", args...)
	r.err = errors.Join(r.err, err)
}

// table writes a table, and an empty line after it.
func (r *Report) table(header []string, rows [][]string) {
	r.text("| %s |\n|%s", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, row := range rows {
		r.text("| %s |", strings.Join(row, " | "))
	}
	r.text("")
}

// figure keeps a figure for the ratchet, under a name such as "nab.standard"; higher is better.
func (r *Report) figure(name string, value float64) { r.Figures[name] = value }

// Floor is the least that a figure may be.
type Floor map[string]float64

// ReadFloor reads floors from a JSON file.
func ReadFloor(path string) (Floor, error) {
	b, err := os.ReadFile(path) //nolint:gosec // a file that the user names
	if err != nil {
		return nil, err
	}
	var f Floor
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Check returns what fell below its floor. A floor whose question was not asked holds nothing up.
func (f Floor) Check(r *Report) error {
	var err error
	for name, least := range f {
		if got, ok := r.Figures[name]; ok && got < least {
			err = errors.Join(err, fmt.Errorf("%s is %.4g, want %.4g or more", name, got, least))
		}
	}
	return err
}
