package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// unmetered builds gonomaly without what it measures of itself on the way of records: what that costs is seen beside it. What is left is told a
// few times a second at most, of checkpoints and sinks, and the counter of what was received, by which a benchmark knows it at work.
func unmetered(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("prove unmetered", flag.ExitOnError)
	name := f.String("o", "unmetered", "write the binary to this `file`")
	_ = f.Parse(args)
	dir, err := os.MkdirTemp("", "gonomaly-unmetered-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of the temporary files
	changed, err := withoutMeasures(".")
	if err != nil {
		return err
	}
	list, err := changed.write(dir)
	if err != nil {
		return err
	}
	if err := compile(ctx, nil, "build", "-overlay", list, "-o", *name, "./cmd/gonomaly"); err != nil {
		return err
	}
	fmt.Println(*name)
	return nil
}

// withoutMeasures is the code below a directory, with nothing measured.
func withoutMeasures(root string) (overlay, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	o := overlay{}
	for _, c := range measures {
		if err := o.change(filepath.Join(root, filepath.FromSlash(c.file)), c.old, c.new); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// measures are what is measured on the way, and what stands there without that.
var measures = []struct{ file, old, new string }{
	// For each record.
	{"pipeline/worker.go", `if r.Offset >= w.timing.next {`, `if false {`},
	{"pipeline/worker.go", `w.counts.Outcomes[outcome]++`, `_ = outcome`},
	{"pipeline/worker.go", "	if w.timing.on {\n", "	if false {\n"},
	{"pipeline/point.go", "	if w.timing.on {\n", "	if false {\n"},
	{"pipeline/point.go", "	w.counts.Points++\n", ""},
	{"pipeline/point.go", "	if w.timing.on {\n", "	if false {\n"},
	{"pipeline/stream.go", "received, bytes := 0, 0", "received := 0"},
	{"pipeline/stream.go", "			bytes += len(r.Key) + len(r.Value)\n", ""},

	// For each batch.
	{"pipeline/stream.go", "	m.bytes.WithLabelValues(s.name).Add(float64(bytes))\n", ""},
	{"pipeline/stream.go", "	m.add(s.name, p.Topic, &w.counts, &part.counted)\n", ""},
	{"pipeline/stream.go", "	m.addStages(s.name, &w.took)\n	m.series.WithLabelValues(part.labels...).Set(float64(w.index.n))\n", ""},
	{"pipeline/metrics.go", "		m.watermark.WithLabelValues(part.labels...).Set(float64(at) / 1e9)\n", "		_ = at\n"},
	{"pipeline/stream.go", "	m.process.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())\n", ""},
	{"pipeline/learning.go", "	s.o.Metrics.learning.WithLabelValues(part.labels...).Set(young)\n", ""},
	{"sources/polled.go", "		s.o.Metrics.polls.WithLabelValues(s.o.Stream).Observe(now.Sub(s.polledAt).Seconds())\n", ""},
	{"sources/polled.go", "		s.o.Metrics.batches.WithLabelValues(s.o.Stream).Observe(float64(len(f.Records)))\n", ""},
	{"sources/kafka.go", "	k.o.Metrics.progress.WithLabelValues(k.o.Stream).Set(float64(at.UnixMilli()) / 1e3)\n", ""},

	// For each transaction, alert, and request of the client.
	{"sources/turn.go", "	defer func() { s.o.Metrics.commits.WithLabelValues(s.o.Stream).Add(time.Since(begin).Seconds()) }()\n", ""},
	{"sources/turn.go", "	s.o.Metrics.transactions.WithLabelValues(s.o.Stream, \"committed\").Inc()\n", ""},
	{"sources/turn.go", "	s.o.Metrics.transactionTime.WithLabelValues(s.o.Stream).Observe(time.Since(begin).Seconds())\n", ""},
	{"sources/turn.go", "				s.o.Metrics.written(s.o.Stream, &o.pending[i], s.o.Outputs[0], now)\n", "				_ = now\n"},
	{"sources/kafka/observed.go", "kgo.WithHooks(m.of(role), guard{m.security})", "kgo.WithHooks(guard{m.security})"},
}
