package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// sim lives through many seeds, some at a time.
func sim(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("prove sim", flag.ExitOnError)
	seeds := f.Uint64("seeds", 1000, "how many `runs` to live through")
	from := f.Uint64("from", 1, "`seed` of the first")
	exactly := f.Bool("exact", false, "run as WebAssembly: a seed gives the same trace each time, and takes some ten times as long")
	_ = f.Parse(args)

	dir, err := os.MkdirTemp("", "gonomaly-sim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of the temporary files
	say("building the simulation, with a Go runtime whose locks let the simulated clock go on: minutes the first time")
	file, err := build(ctx, dir, nil, *exactly)
	if err != nil {
		return err
	}
	run := native(file)
	if !*exactly {
		if err := scenarios(ctx, file); err != nil {
			return err
		}
	} else {
		if run, err = exact(ctx, file); err != nil {
			return err
		}
		if err := sameTrace(ctx, run, *from); err != nil {
			return err
		}
	}
	t, err := live(ctx, run, *from, *seeds, true)
	say("%v", t)
	switch {
	case err != nil:
		return err
	case t.failed > 0:
		return fmt.Errorf("%d of %d seeds failed", t.failed, *seeds)
	case t.seeds < *seeds:
		return fmt.Errorf("%d of %d seeds never told how they ended", *seeds-t.seeds, *seeds)
	case t.faults == 0:
		return errors.New("no fault hit anything: this proves nothing")
	}
	return nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// sameTrace lives through a seed twice.
func sameTrace(ctx context.Context, run machine, seed uint64) error {
	var traces [2]string
	for i := range traces {
		out, _ := run(ctx, seed, 1) // its failure is told later
		traces[i] = told.FindString(string(out))
	}
	if traces[0] == "" || traces[0] != traces[1] {
		return fmt.Errorf("seed %d is not the same twice:\n%s\n%s", seed, traces[0], traces[1])
	}
	return nil
}

// total is what runs came to.
type total struct {
	seeds, failed, records, alerts, letters, faults uint64
	simulated                                       time.Duration
	first                                           string // what the first failure says
}

func (t total) String() string {
	return fmt.Sprintf("%d seeds, %d failed: %d records, %d alerts, %d dead letters, %d faults hit, %v simulated", t.seeds, t.failed, t.records, t.alerts,
		t.letters, t.faults, t.simulated.Round(time.Second))
}

// told is the line that a run ends with.
var told = regexp.MustCompile(`seed (\d+): (\d+) records, (\d+) alerts, (\d+) dead letters, (\d+) faults hit, (\S+) simulated, trace ([0-9a-f]+)`)

var failure = regexp.MustCompile(`(?m)^\s+--- FAIL: TestSim/\d+`)

// shard is how many seeds a process lives through at most: fewer where some processors would have none.
const shard = 10

// live lives through seeds on all processors, and prints what fails. Unless all are wanted it stops at the first failure.
func live(ctx context.Context, run machine, from, seeds uint64, all bool) (t total, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan []byte)
	var done atomic.Uint64
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	size := max(1, min(shard, seeds/uint64(runtime.NumCPU()))) //nolint:gosec // there is a processor
	go func() {
		for at := from; at < from+seeds; at += size {
			g.Go(func() error {
				n := min(size, from+seeds-at)
				out, err := run(inner, at, n)
				if inner.Err() != nil {
					return inner.Err()
				}
				if err != nil && !failure.Match(out) {
					return fmt.Errorf("seeds %d to %d: %w\n%s", at, at+n-1, err, out)
				}
				done.Add(n)
				results <- out
				return nil
			})
		}
		err = g.Wait()
		close(results)
	}()
	begin, last := time.Now(), time.Now()
	for out := range results {
		t.add(out)
		if failed := failure.Match(out); failed && t.first == "" {
			t.first = string(out)
		} else if failed && all {
			say("%s", out)
		}
		if t.failed > 0 && !all {
			cancel()
		}
		if all && time.Since(last) > 10*time.Second {
			last = time.Now()
			say("%v: %d of %d seeds", time.Since(begin).Round(time.Second), done.Load(), seeds)
		}
	}
	if all && t.first != "" {
		say("%s", t.first)
	}
	if !all && errors.Is(err, context.Canceled) && t.failed > 0 {
		err = nil
	}
	return t, err
}

func (t *total) add(out []byte) {
	t.failed += uint64(len(failure.FindAll(out, -1)))
	for _, m := range told.FindAllStringSubmatch(string(out), -1) {
		n := func(i int) uint64 { v, _ := strconv.ParseUint(m[i], 10, 64); return v }
		t.seeds++
		t.records, t.alerts, t.letters, t.faults = t.records+n(2), t.alerts+n(3), t.letters+n(4), t.faults+n(5)
		d, _ := time.ParseDuration(m[6])
		t.simulated += d
	}
}
