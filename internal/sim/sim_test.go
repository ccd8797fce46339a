//go:build sim

package sim

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// locks is "durable" where the linker was told so: in what internal/prove builds, with a Go runtime whose simulated clock goes on while
// goroutines wait for locks. With any other runtime a run waits for itself without end.
var locks string

func TestMain(m *testing.M) {
	if locks != "durable" {
		fmt.Fprintln(os.Stderr, "the simulation needs a Go runtime of its own, or it never ends: run it by `make sim`")
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// TestSim lives through SIM_SEEDS seeds from SIM_FROM on. One that fails is told with its schedule of faults, and with the part of it that is
// enough to fail.
func TestSim(t *testing.T) {
	from, seeds := setting(t, "SIM_FROM", 1), setting(t, "SIM_SEEDS", 20)
	for seed := from; seed < from+seeds; seed++ {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			p := newPlan(seed)
			v := attempt(t, p)
			t.Logf("seed %d: %v", seed, v)
			if name := os.Getenv("SIM_TRACE"); name != "" {
				if err := os.WriteFile(name, []byte(v.trace.String()), 0o600); err != nil {
					t.Error(err)
				}
			}
			if len(v.bad) == 0 {
				return
			}
			t.Errorf("seed %d failed: %s\nthe schedule:\n%s", seed, strings.Join(v.bad, "\n"), p.schedule())
			if os.Getenv("SIM_SHRINK") != "no" {
				t.Logf("enough of it to fail:\n%s", shrink(t, p).schedule())
			}
		})
	}
}

func setting(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// attempt lives through a plan, in a time of its own.
func attempt(t *testing.T, p plan) (v verdict) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p)
		defer w.close()
		end, done, watcher := make(chan struct{}), make(chan struct{}), newWatcher(w)
		go watcher.watch(end, done)
		go w.begins(end)
		w.live()
		v = w.judge()
		close(end)
		<-done
		<-w.begun
		watcher.judge(&v)
	})
	return v
}

// live has records and faults come, and waits for their end.
func (w *world) live() {
	if err := w.feed(w.history); err != nil {
		w.Fatal(err)
	}
	for id, log := range w.log {
		w.early[id] = int64(len(log))
	}
	for _, s := range w.slots {
		s.start()
	}
	fed := make(chan error, 1)
	go func() {
		w.hush()
		fed <- w.feed(w.storm)
	}()
	begin := time.Now()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for _, f := range w.faults {
		for due := time.After(f.At - time.Since(begin)); due != nil; {
			select {
			case <-second.C:
				w.redis.remember()
			case <-due:
				due = nil
			}
		}
		w.strike(f)
	}
	if err := <-fed; err != nil {
		w.Fatal(err)
	}
	w.calm()
}

// shrink leaves faults out while a plan still fails. Away from an exact machine the same plan may pass now and then, so that each is
// given some attempts.
func shrink(t *testing.T, p plan) plan {
	fails := func(p plan) bool {
		for range 3 {
			if len(attempt(t, p).bad) > 0 {
				return true
			}
		}
		return false
	}
	for size := (len(p.faults) + 1) / 2; size > 0; size /= 2 {
		for at := 0; at < len(p.faults); {
			fewer := p
			fewer.faults = slices.Delete(slices.Clone(p.faults), at, min(at+size, len(p.faults)))
			if fails(fewer) {
				p = fewer
			} else {
				at += size
			}
		}
	}
	return p
}
