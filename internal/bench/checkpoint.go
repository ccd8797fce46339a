package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

var checkpointBenchmark = Benchmark{
	Name:  "checkpoint",
	Short: "Measure what it takes to store a partition's state, and how long records wait for it",
	Long: `Checkpoint fills one partition with --series series (EWMA over five fields, each with twenty points), and stores a whole checkpoint, and then one of
what changed when one series in a hundred had a point more. It goes to --redis, or to a file of this machine.

encode is what the cut and all steps of 256 KiB take; pause p99 and max are how long records wait at a time for the cut, or for a step; store is
compression and the store's own time; stored MB is the size of the files.`,
	flags: stateFlags,
	run: func(ctx context.Context, o Options, r *Result) error {
		return o.eachState(r, func(row string, f *filled, s *stored) error { return f.store(ctx, r, row, s) })
	},
}

var restoreBenchmark = Benchmark{
	Name:  "restore",
	Short: "Measure how long a partition takes to have its state back",
	Long:  `Restore stores what bench checkpoint does, and reads it back: load is the store's time and decompression, restore that of making the series anew.`,
	flags: stateFlags,
	run: func(ctx context.Context, o Options, r *Result) error {
		return o.eachState(r, func(row string, f *filled, s *stored) error {
			if err := f.store(ctx, &Result{}, row, s); err != nil {
				return err
			}
			return f.restore(ctx, r, row, s)
		})
	},
}

func stateFlags(f *pflag.FlagSet, o *Options) {
	f.IntSliceVar(&o.Series, "series", []int{10_000, 100_000, 1_000_000}, "`NUMBERS` of series in the partition")
	f.StringVar(&o.Redis, "redis", "", "`ADDRESS` of the Redis that keeps the checkpoints, instead of files")
}

// eachState calls measure with each partition, as it is filled, and a store, whose contents are deleted after it.
func (o *Options) eachState(r *Result, measure func(row string, f *filled, s *stored) error) error {
	for _, n := range o.Series {
		if n < 100 || n > 100_000_000 {
			return &invalid.Value{Name: "--series", Value: n, Want: "100 to 100000000"}
		}
	}
	return o.each(r.Benchmark, func() error {
		for _, n := range o.Series {
			o.say("%d series", n)
			f, err := newFilled(n)
			if err != nil {
				return err
			}
			s, err := newStored(o.Redis)
			if err != nil {
				return err
			}
			if err := errors.Join(measure(fmt.Sprintf("%s series", short(float64(n))), f, s), s.close()); err != nil {
				return fmt.Errorf("%d series: %w", n, err)
			}
		}
		return nil
	})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// stored is a store and where it keeps things.
type stored struct {
	*checkpoint.Store
	dir   string       // of files; empty without
	close func() error // deletes what was stored, also where all is to end
}

// newStored is a store in the Redis at an address, or else in files.
func newStored(address string) (*stored, error) {
	log := slog.New(slog.DiscardHandler)
	if address == "" {
		dir, err := os.MkdirTemp("", "gonomaly-bench-")
		if err != nil {
			return nil, err
		}
		store, err := checkpoint.NewFile(dir, nil, log)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		return &stored{store, dir, func() error { return os.RemoveAll(dir) }}, nil
	}
	there := checkpoint.DefaultRedis()
	there.Address = address
	client, err := there.Client(nil)
	if err != nil {
		return nil, err
	}
	prefix := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	return &stored{checkpoint.NewRedis(client, prefix, nil, log), "", func() error {
		ctx := context.Background()
		var errs []error
		keys := client.Scan(ctx, 0, prefix+"*", 10_000).Iterator()
		for keys.Next(ctx) {
			errs = append(errs, client.Unlink(ctx, keys.Val()).Err())
		}
		return errors.Join(append(errs, keys.Err(), client.Close())...)
	}}, nil
}

// size is that of the files; 0 without.
func (s *stored) size() (sum int64, err error) {
	if s.dir == "" {
		return 0, nil
	}
	err = filepath.WalkDir(s.dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

var theLog = pipeline.Log{Group: "bench", Partition: pipeline.Partition{Topic: "bench"}}

// filled is a partition that has so many series.
type filled struct {
	worker  *pipeline.Worker
	series  int
	config  string
	offset  int64
	records []pipeline.Record
}

const eachHas = 20 // points: they score

func newFilled(series int) (*filled, error) {
	c, err := config.Parse("bench", fmt.Appendf(nil, `
streams:
  - name: bench
    topics: [bench]
    decode: {format: csv, columns: [k, v, w, x, y, z], key: k, time: {}, values: [v, w, x, y, z]}
    detectors: [{kind: ewma}]
    max_series: %d
    max_bytes: %d
`, series, int64(series)<<12+1<<20), os.LookupEnv)
	if err != nil {
		return nil, err
	}
	worker, err := pipeline.NewWorker("bench", c.Streams[0].Config, theLog.Partition)
	if err != nil {
		return nil, err
	}
	f := &filled{worker: worker, series: series, config: "bench-bench"}
	f.feed(eachHas * series)
	return f, nil
}

// feed gives the first series so many points, one each, and then again from the first.
func (f *filled) feed(n int) {
	var value []byte
	for i := range n {
		value = fmt.Appendf(value[:0], "key-%08d,%d,%d,%d,%d,%d.5", i%f.series, i%7, i%11, i%13, i%17, i%19)
		f.records = append(f.records[:0], pipeline.Record{Offset: f.offset, Timestamp: recordTime.UnixNano() + f.offset, Value: value})
		f.worker.Process(f.records, 0)
		f.offset++
	}
}

// snapshot takes a checkpoint as a Stream does, and says how long records would have waited at a time.
func (f *filled) snapshot(whole bool) (c pipeline.Stored, waited []time.Duration, err error) {
	pause := func(f func()) {
		begin := time.Now()
		f()
		waited = append(waited, time.Since(begin))
	}
	var s *pipeline.Snapshot
	pause(func() { s = f.worker.Cut(whole) })
	c.Offset, c.Config = s.Offset, f.config
	for piece, err := range s.Pieces(func(step func() bool) { pause(func() { step() }) }) {
		if err != nil {
			return c, nil, err
		}
		c.State = append(c.State, piece...)
	}
	return c, waited, nil
}

// store stores the whole state, and then what one series in a hundred has changed of it.
func (f *filled) store(ctx context.Context, r *Result, row string, s *stored) error {
	after := int64(pipeline.Whole)
	var pauses []time.Duration
	for _, one := range []struct {
		name  string
		fed   int
		whole bool
	}{{"whole", 0, true}, {"1 %", f.series / 100, false}} {
		f.feed(one.fed)
		snapshot, waited, err := f.snapshot(one.whole)
		if err != nil {
			return err
		}
		pauses = append(pauses, waited...)
		sum := time.Duration(0)
		for _, step := range waited {
			sum += step
		}
		r.Add(row, one.name+": encode ms", ms(sum))
		r.Add(row, one.name+": MB", float64(len(snapshot.State))/1e6)
		snapshot.After = after
		begin := time.Now()
		if err := s.Save(ctx, theLog, snapshot.Checkpoint, pipeline.InPieces(snapshot.State)); err != nil {
			return err
		}
		r.Add(row, one.name+": store ms", ms(time.Since(begin)))
		after = snapshot.Offset
		if !one.whole {
			continue
		}
		r.Add(row, "bytes/series", float64(len(snapshot.State))/float64(f.series))
		size, err := s.size()
		if err != nil {
			return err
		}
		if size > 0 {
			r.Add(row, one.name+": stored MB", float64(size)/1e6)
		}
	}
	slices.Sort(pauses)
	r.Add(row, "pause p99 ms", ms(pauses[(len(pauses)-1)*99/100]))
	r.Add(row, "pause max ms", ms(pauses[len(pauses)-1]))
	return nil
}

// restore reads all back that is stored.
func (f *filled) restore(ctx context.Context, r *Result, row string, s *stored) error {
	begin := time.Now()
	chain, err := s.Load(ctx, theLog, f.offset, f.config)
	if err != nil {
		return err
	}
	loaded := time.Since(begin)
	states := make([][]byte, len(chain))
	for i := range chain {
		states[i] = chain[i].State
	}
	begin = time.Now()
	if err := f.worker.Restore(states); err != nil {
		return err
	}
	restored := time.Since(begin)
	if n := f.worker.Series(); n != f.series {
		return fmt.Errorf("%d series came back, want %d", n, f.series)
	}
	r.Add(row, "load ms", ms(loaded))
	r.Add(row, "restore ms", ms(restored))
	r.Add(row, "series/s", float64(f.series)/(loaded+restored).Seconds())
	return nil
}
