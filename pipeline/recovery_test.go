package pipeline_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
)

// settings that between them use every part of a worker's state.
var settings = map[string]string{
	"records": `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w]}
detectors: [{kind: ewma, half_life: 30}, {kind: ewma, half_life: 5, values: [w]}]
drift: [{kind: page_hinkley, on: values}, {kind: page_hinkley, on: scores}]
alert: {false_alarms: 1 per 200 points, silence: 6m, cool_down: 7m}`,
	"windows": `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w]}
window: {every: 3m, aggregate: [count, sum, mean, min, max, stddev, p50, p99, rate], lateness: 1m}
detectors: [{kind: ewma, half_life: 30, warm_up: 10}]
alert: {false_alarms: 1 per 100 points, cool_down: 9m, direction: up}`,
	"last": `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w]}
window: {last: 3}
detectors: [{kind: ewma, half_life: 30}]
alert: {false_alarms: 1 per 200 points, cool_down: 5 points}`,
	"bounded": `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w]}
window: {every: 3m, aggregate: [mean, max], lateness: 1m}
detectors: [{kind: ewma, half_life: 30, warm_up: 10}]
drift: [{kind: page_hinkley, on: values}]
alert: {false_alarms: 1 per 100 points, cool_down: 9m}
max_series: 5
idle: 25m`,
	"compact": `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w]}
detectors: [{kind: ewma, half_life: 30, warm_up: 10}]
alert: {false_alarms: 1 per 50 points, cool_down: 9m}
max_series: 5
idle: 25m`,
	"together": `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w]}
detectors: [{kind: ewma, half_life: 30, scope: partition}, {kind: ewma, half_life: 5, values: [w]}, {kind: points, scope: partition}]
drift: [{kind: page_hinkley, on: scores}]
alert: {false_alarms: 1 per 200 points, cool_down: 7m}`,
	"alike": `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w]}
detectors: [{kind: ewma, half_life: 30, scope: partition}]
alert: {false_alarms: 1 per 50 points, cool_down: 9m}
max_series: 5
idle: 25m`,
	"missing": `decode: {key: key, time: {field: ts, unit: ms}, values: [v, w], missing: last}
window: {every: 3m, aggregate: [mean, rate], lateness: 1m}
detectors: [{kind: ewma, half_life: 30, warm_up: 10}]
alert: {false_alarms: 1 per 100 points, cool_down: 9m}`,
}

// keysOf is how many series the records for some settings have: more than there is room for, where that is bounded.
func keysOf(name string) int {
	if name == "bounded" || name == "compact" || name == "alike" {
		return 12
	}
	return 3
}

// log is a partition's records of so many keys: noise with spikes and shifts, some of it late, some without a value, some undecodable.
func log(n int, seed uint64, keys int) []pipeline.Record {
	r := rand.New(rand.NewPCG(seed, 0))
	records := make([]pipeline.Record, n)
	for i := range records {
		at := midnight.Add(time.Duration(i) * 20 * time.Second)
		if r.IntN(20) == 0 {
			at = at.Add(-time.Duration(r.IntN(600)) * time.Second)
		}
		v, w := r.NormFloat64(), 50+r.NormFloat64()
		if r.IntN(60) == 0 {
			v += 15
		}
		if i%1000 > 700 {
			w += 8
		}
		records[i] = pipeline.Record{
			Offset: int64(i), Timestamp: at.Add(time.Minute).UnixNano(),
			Value: fmt.Appendf(nil, `{"key":"k%d","ts":%d,"v":%g,"w":%g}`, key(r, keys), at.UnixMilli(), v, w),
		}
		if i%37 == 5 {
			records[i].Value = bytes.Replace(records[i].Value, []byte(`,"w":`), []byte(`,"other":`), 1)
		}
		switch r.IntN(150) {
		case 0:
			records[i].Value = []byte("{")
		case 1:
			records[i].Control = true
		}
	}
	return records
}

// key draws a key: the first ones come more often.
func key(r *rand.Rand, keys int) int { return min(r.IntN(keys), r.IntN(keys)) }

// Whatever the batches, and wherever the worker is lost and restored from an older state, the alerts and the state are the same.
func TestRecoveryGivesTheSameAlerts(t *testing.T) {
	for name, yaml := range settings {
		t.Run(name, func(t *testing.T) {
			c := settingsOf(t, yaml)
			records := log(3000, 7, keysOf(name))
			undisturbed := newWorker(t, c)
			want := ids(t, undisturbed.Process(records, 0))
			if len(want) < 20 {
				t.Fatalf("only %d alerts and dead letters: the records say too little", len(want))
			}
			for seed := range uint64(8) {
				r := rand.New(rand.NewPCG(seed, 1))
				w := newWorker(t, c)
				var store chain
				var got []string
				committed := 0
				for committed < len(records) {
					next := min(committed+1+r.IntN(200), len(records))
					got = append(got, ids(t, w.Process(records[max(0, int(w.Position())):next], int64(committed)))...)
					committed = next
					store.work(t, w, r)
					if r.IntN(8) == 0 { // lost: what came after the commit was never seen
						w = newWorker(t, c)
						store.restore(t, w)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("seed %d (-undisturbed +recovered):\n%s", seed, diff)
				}
				w.Process(records[max(0, int(w.Position())):], int64(len(records)))
				if !slices.Equal(stateOf(t, w), stateOf(t, undisturbed)) {
					t.Fatalf("seed %d: the states differ", seed)
				}
			}
		})
	}
}

// chain is what is stored of a worker: a whole state and what changed since.
type chain struct {
	states [][]byte
	taking *pipeline.Snapshot
}

// work goes on with a snapshot, or begins one, at random; some are not stored.
func (c *chain) work(t *testing.T, w *pipeline.Worker, r *rand.Rand) {
	t.Helper()
	switch {
	case c.taking == nil && r.IntN(3) > 0:
		c.taking = w.Cut(len(c.states) == 0 || r.IntN(5) == 0)
	case c.taking != nil && r.IntN(20) == 0: // the store fails halfway
		w.Undo(c.taking)
		c.taking = nil
	case c.taking != nil && c.taking.Continue(r.IntN(3000)):
		s := c.taking
		c.taking = nil
		if r.IntN(4) == 0 {
			w.Undo(s)
			return
		}
		if s.Whole {
			c.states = nil
		}
		c.states = append(c.states, bytesOf(t, s))
	}
}

func (c *chain) restore(t *testing.T, w *pipeline.Worker) {
	t.Helper()
	c.taking = nil
	if c.states == nil {
		return
	}
	if err := w.Restore(c.states); err != nil {
		t.Fatal(err)
	}
}

// bytesOf is what is left of a snapshot.
func bytesOf(t testing.TB, s *pipeline.Snapshot) (b []byte) {
	t.Helper()
	for piece, err := range s.Pieces(func(step func() bool) { step() }) {
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, piece...)
	}
	return b
}

// A snapshot is the state at the offset at which it was cut, however long it takes and whatever comes meanwhile.
func TestSnapshotIsOfItsOffset(t *testing.T) {
	for name, yaml := range settings {
		t.Run(name, func(t *testing.T) {
			c := settingsOf(t, yaml)
			records := log(2000, 11, keysOf(name))
			w := newWorker(t, c)
			w.Process(records[:700], 0)
			whole := w.Cut(true)
			state := stateOf(t, w)
			w.Process(records[700:900], 0)
			for !whole.Continue(1) {
				w.Process(records[w.Position():min(int(w.Position())+50, 1000)], 0)
			}
			first := bytesOf(t, whole)
			again := newWorker(t, c)
			if err := again.Restore([][]byte{first}); err != nil || !slices.Equal(stateOf(t, again), state) {
				t.Fatalf("%v: the whole state is not that of offset 700", err)
			}
			w.Process(records[w.Position():1100], 0)
			changes := w.Cut(false)
			state = stateOf(t, w)
			w.Process(records[1100:1500], 0)
			second := bytesOf(t, changes)
			again = newWorker(t, c)
			if err := again.Restore([][]byte{first, second}); err != nil || !slices.Equal(stateOf(t, again), state) {
				t.Fatalf("%v: the changed state is not that of offset 1100", err)
			}
			if err := newWorker(t, c).Restore([][]byte{second}); err == nil {
				t.Error("changes alone are taken for a state")
			}
			if err := newWorker(t, c).Restore([][]byte{first, first}); err == nil {
				t.Error("a whole state is taken for changes")
			}
		})
	}
}

// A large state comes in pieces of which none is large, while records come between any two steps.
func TestSnapshotComesInPieces(t *testing.T) {
	const series = 30_000
	w := newWorker(t, settingsOf(t, millions))
	feed := func(from, n int) {
		for i := from; i < from+n; i++ {
			value := fmt.Appendf(nil, "key-%08d,%d,1,2,3,4", i%series, i)
			w.Process([]pipeline.Record{{Offset: max(w.Position(), 0), Timestamp: int64(i), Value: value}}, 0)
		}
	}
	feed(0, series)
	s := w.Cut(true)
	want, last := stateOf(t, w), series
	var state []byte
	n := 0
	for piece, err := range s.Pieces(func(step func() bool) { step(); feed(last, 500); last += 500 }) {
		if err != nil || len(piece) > 5<<20/4 {
			t.Fatalf("a piece of %d bytes, %v", len(piece), err)
		}
		state = append(state, piece...)
		n++
	}
	if n < 4 {
		t.Errorf("%d pieces of %d bytes, want more", n, len(state))
	}
	again := newWorker(t, settingsOf(t, millions))
	if err := again.Restore([][]byte{state}); err != nil || !slices.Equal(stateOf(t, again), want) {
		t.Errorf("%v: the state is not that of the cut", err)
	}
}

// Received equals the sum of outcomes, and recovery is counted apart: of what is replayed no point is counted again.
func TestEveryRecordHasOneOutcome(t *testing.T) {
	for name, yaml := range settings {
		t.Run(name, func(t *testing.T) {
			records := log(2000, 3, keysOf(name))
			data := 0
			for _, r := range records {
				if !r.Control {
					data++
				}
			}
			first := newWorker(t, settingsOf(t, yaml))
			first.Process(records[:500], 0)
			points := first.Counts().Points
			first.Process(records[500:], 0)
			w := newWorker(t, settingsOf(t, yaml))
			w.Process(records, 500)
			if got, want := w.Counts().Points, first.Counts().Points-points; got != want {
				t.Errorf("%d points after the replay, want %d", got, want)
			}
			sum := w.Counts().Replayed
			for _, n := range w.Counts().Outcomes {
				sum += n
			}
			if sum != uint64(data) {
				t.Errorf("%d records, outcomes and replayed add up to %d: %+v", data, sum, w.Counts())
			}
		})
	}
}

// Bytes that are no state are refused, whatever they are cut or changed to.
func TestBadStateIsAnError(t *testing.T) {
	for name, yaml := range settings {
		t.Run(name, func(t *testing.T) {
			c := settingsOf(t, yaml)
			w := newWorker(t, c)
			w.Process(log(300, 5, keysOf(name)), 0)
			good := stateOf(t, w)
			for n := 0; n < len(good); n += 1 + n/50 {
				if err := newWorker(t, c).UnmarshalBinary(good[:n]); err == nil {
					t.Fatalf("the first %d of %d bytes were taken for a state", n, len(good))
				}
			}
			if err := newWorker(t, c).UnmarshalBinary(append(slices.Clone(good), 0)); err == nil {
				t.Error("a state with one byte more was taken")
			}
		})
	}
}

func FuzzState(f *testing.F) {
	for _, name := range []string{"records", "windows", "last", "bounded", "compact"} {
		f.Add(name, []byte{1})
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if settings[name] == "" {
			return
		}
		c := settingsOf(t, settings[name])
		w := newWorker(t, c)
		if w.UnmarshalBinary(b) == nil { // then it must be usable
			w.Process(log(50, 1, 3), 0)
			stateOf(t, w)
		}
	})
}

func BenchmarkProcess(b *testing.B) {
	for name, yaml := range settings {
		b.Run(name, func(b *testing.B) {
			c := settingsOf(b, yaml)
			records := log(20000, 1, keysOf(name))
			w := newWorker(b, c)
			b.ReportAllocs()
			offset := int64(0)
			for b.Loop() {
				for i := range records {
					records[i].Offset = offset
					offset++
				}
				w.Process(records, 1<<62)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(offset), "ns/record")
		})
	}
}
