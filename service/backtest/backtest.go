// Package backtest plays files through the production path: the same source interface, stream and worker that read from Kafka, with
// each file a partition of its own that starts without state. What it writes is what production would have said.
package backtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sources"
)

// Options say what to play and where to write.
type Options struct {
	Stream   config.Stream
	Inputs   []string // files, or directories to search for them
	Out      string   // directory, made if missing
	NAB      bool     // also write the layout of the Numenta Anomaly Benchmark
	Progress func(Progress)
	Log      *slog.Logger
}

// What lies beside the scores.
const (
	alertsFile = "alerts.jsonl"
	reportFile = "report.html"
)

// Progress is how far a backtest is.
type Progress struct {
	File       string // that it is at,
	N, Files   int    // which is one of those, from 0
	Rows       int64  // of it that are played
	Done, Size int64  // its bytes that are read, and all of them; 0 where that is not known
}

// File is what one file came to.
type File struct {
	Path    string
	Name    string // under Out: its own, without extension
	Rows    int64
	Points  int
	Alerts  int    // that opened or escalated an incident
	Drifts  int    // that were told
	Silent  int    // silences that were told
	Refused int    // rows that could not be decoded
	Why     string // the first of them was refused
	Misread string // of an event time that seems to be read in a wrong unit, or ""

	Series   int // keys that were taken in
	Learning int // of them that never had a score

	nab   string // where its scores go in NAB's layout; "" for nowhere
	chart chart
}

// Run plays every file, and writes NAME.scores.csv for each, alerts.jsonl and report.html. When it is stopped, or a file turns out to be
// broken, there is no report, and there are no scores of the file that it was at.
func Run(ctx context.Context, o Options) ([]File, error) {
	files, err := find(o.Inputs, o.Out)
	if err != nil {
		return nil, err
	}
	if err := place(files, o); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Out, 0o750); err != nil {
		return nil, err
	}
	report := filepath.Join(o.Out, reportFile)
	if err := os.Remove(report); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	alerts, err := create(filepath.Join(o.Out, alertsFile))
	if err != nil {
		return nil, err
	}
	for i := range files {
		f := &files[i]
		err = play(ctx, o, f, alerts, func(rows, done, size int64) {
			if o.Progress != nil {
				o.Progress(Progress{File: f.Path, N: i, Files: len(files), Rows: rows, Done: done, Size: size})
			}
		})
		if err != nil {
			err = fmt.Errorf("backtest %s: %w", f.Path, err)
			break
		}
	}
	if err := errors.Join(err, alerts.close()); err != nil {
		return nil, err
	}
	return files, writeReport(report, o.Stream.Name, files)
}

// play takes one file through a stream of its own.
func play(ctx context.Context, o Options, f *File, alerts *output, progress func(rows, done, size int64)) (err error) {
	settings := o.Stream.Config
	reader, err := sources.OpenFile(ctx, f.Path, settings.Decode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	if settings.Decode.Format == "csv" && reader.Header() != nil {
		settings.Decode.Columns = reader.Header()
	}
	w, err := newWriter(o, f)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry() // nobody reads it
	stream, err := pipeline.NewStream(pipeline.Options{
		Name: o.Stream.Name, Group: "backtest", Topics: o.Stream.Topics, Config: settings,
		Checkpoints: checkpoint.NewMemory(reg, o.Log), CheckpointEvery: time.Hour,
		Metrics: pipeline.NewMetrics(reg), Log: o.Log, Trace: w.trace,
	})
	if err != nil {
		return errors.Join(err, w.discard())
	}
	w.fields = stream.Fields()
	source := sources.File{
		Reader: reader, Topic: f.topic(), Progress: progress,
		Emit: func(messages []pipeline.Message) error {
			for i := range messages {
				if m := &messages[i]; m.Topic == stream.Outputs()[0] {
					alerts.line(m.Value)
					f.count(m.Value)
				} else {
					f.refuse(m)
				}
			}
			return alerts.err
		},
	}
	var writing sync.WaitGroup
	writing.Go(w.write)
	err = source.Run(ctx, stream)
	stream.Wait()
	w.end()
	writing.Wait()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return errors.Join(err, w.discard())
	}
	f.Rows, f.Misread = reader.Rows(), stream.Misread()
	return w.close(f.Rows)
}

// topic stands for the file in its alerts.
func (f *File) topic() string {
	return strings.TrimSuffix(f.Name, extension(f.Path)) + extension(f.Path)
}

// count counts an alert that opens something else than an incident of scores, which have a row of their own.
func (f *File) count(alert []byte) {
	a, err := pipeline.ParseAlert(alert)
	if err != nil {
		panic("an alert of our own: " + err.Error())
	}
	switch {
	case a.Status != pipeline.Open:
	case a.Kind == pipeline.Drift:
		f.Drifts++
	case a.Kind == pipeline.Silence:
		f.Silent++
	}
}

// refuse counts a row that became a dead letter.
func (f *File) refuse(m *pipeline.Message) {
	if f.Refused++; f.Refused > 1 {
		return
	}
	said := map[string]string{}
	for _, h := range m.Headers {
		said[h.Key] = string(h.Value)
	}
	f.Why = fmt.Sprintf("row %d: %s: %s", m.Offset+1, said["gonomaly.reason"], said["gonomaly.detail"])
}

// find lists the files that inputs name, in order, each once: files as they are, and what lies under directories by its extension. What
// an earlier run has written to out is no input.
func find(inputs []string, out string) ([]File, error) {
	results, _ := os.Stat(out) // nil where there are none yet
	var files []File
	found := map[string]bool{}
	add := func(path string) error {
		absolute, err := filepath.Abs(path)
		if err == nil && !found[absolute] {
			found[absolute] = true
			files = append(files, File{Path: path})
		}
		return err
	}
	for _, input := range inputs {
		info, err := os.Stat(input)
		switch {
		case err != nil:
			return nil, err
		case !info.IsDir():
			err = add(input)
		case os.SameFile(info, results):
			return nil, fmt.Errorf("%s is the folder of the inputs and that of the results, which the next run would take for inputs", input)
		default:
			err = walk(input, results, add)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// walk adds what lies under a directory but not in that of the results.
func walk(dir string, results fs.FileInfo, add func(string) error) error {
	n := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			info, err := entry.Info()
			if err == nil && os.SameFile(info, results) {
				err = fs.SkipDir
			}
			return err
		case extension(path) == "":
			return nil
		}
		n++
		return add(path)
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("%s holds no file that ends in one of %s", dir, strings.Join(extensions, ", "))
	}
	return err
}

var extensions = []string{".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".json", ".json.gz"}

func extension(path string) string {
	longest := ""
	for _, e := range extensions {
		if strings.HasSuffix(path, e) && len(e) > len(longest) {
			longest = e
		}
	}
	return longest
}

// place says where each file's results go, and that none of them is written over another, or over an input.
func place(files []File, o Options) error {
	nameAll(files)
	if o.NAB && o.Stream.Window != nil && o.Stream.Window.Every > 0 {
		return fmt.Errorf("stream %s has windows: the benchmark wants a score for each row", o.Stream.Name)
	}
	taken := map[string]string{}
	take := func(path, by string) error {
		absolute, err := filepath.Abs(path)
		if before, ok := taken[absolute]; err == nil && ok {
			err = fmt.Errorf("%s would be written over: it is %s and %s", path, before, by)
		}
		taken[absolute] = by
		return err
	}
	var errs []error
	for _, f := range files {
		errs = append(errs, take(f.Path, "an input"))
	}
	for i := range files {
		f := &files[i]
		errs = append(errs, take(filepath.Join(o.Out, f.Name+".scores.csv"), "the scores of "+f.Path))
		if o.NAB {
			absolute, err := filepath.Abs(f.Path)
			folder, base := filepath.Split(absolute)
			f.nab = filepath.Join(o.Out, nabName, filepath.Base(folder), nabName+"_"+strings.TrimSuffix(base, extension(base))+".csv")
			errs = append(errs, err, take(f.nab, "the scores of "+f.Path))
		}
	}
	return errors.Join(append(errs, take(filepath.Join(o.Out, alertsFile), "where the alerts go"), take(filepath.Join(o.Out, reportFile), "the report"))...)
}

// nameAll names the files' results: by the files' own names, with as many of their folders before them, and else with their
// extensions, as tell equal ones apart.
func nameAll(files []File) {
	for depth := 1; depth <= deepest; depth++ {
		for _, whole := range []bool{false, true} {
			seen := map[string]bool{}
			for i := range files {
				path := filepath.ToSlash(files[i].Path)
				if !whole {
					path = strings.TrimSuffix(path, extension(path))
				}
				parts := strings.Split(path, "/")
				files[i].Name = strings.Join(parts[max(0, len(parts)-depth):], "_")
				seen[files[i].Name] = true
			}
			if len(seen) == len(files) {
				return
			}
		}
	}
	for i := range files {
		files[i].Name = fmt.Sprintf("%d_%s", i+1, files[i].Name)
	}
}

// deepest is how many folders a name may have before it: more than that are not worth telling apart.
const deepest = 64
