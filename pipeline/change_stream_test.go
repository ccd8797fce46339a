package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// fate is what becomes of a process.
type fate struct {
	yaml      string
	process   int  // so many records
	uncommits int  // the last of which are not committed
	stop      bool // it ends as SIGTERM has it, with a checkpoint; else it is killed
	saves     int  // it is killed at the save after so many; -1 for never
}

// crashing is a store whose process is killed at a save.
type crashing struct {
	pipeline.Checkpoints
	left int
}

var errKilled = errors.New("killed")

func (c *crashing) Save(ctx context.Context, l pipeline.Log, k pipeline.Checkpoint, state pipeline.Pieces) error {
	if c.left == 0 {
		return errKilled
	}
	c.left--
	return c.Checkpoints.Save(ctx, l, k, state)
}

// live runs processes one after the other, and returns the ids of what was told and committed.
func live(t *testing.T, records []pipeline.Record, fates ...fate) (told []string) {
	t.Helper()
	stored := checkpoint.NewMemory(nil, slog.New(slog.DiscardHandler))
	committed := int64(-1)
	for _, f := range fates {
		s := streamOf(t, f.yaml, &crashing{stored, f.saves}, slog.New(slog.DiscardHandler))
		from, err := s.Assign(t.Context(), partitionOfPlay, committed)
		if errors.Is(err, errKilled) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		end := int(max(committed, 0)) + f.process
		messages, err := s.Process(t.Context(), partitionOfPlay, records[max(0, from):end])
		if err != nil {
			t.Fatal(err)
		}
		committed = int64(end - f.uncommits)
		for _, m := range messages {
			if m.Offset < committed {
				told = append(told, ids(t, []pipeline.Message{m})...)
			}
		}
		if !f.stop {
			continue
		}
		if err := errors.Join(s.Committed(t.Context(), partitionOfPlay, committed), s.Revoke(t.Context(), partitionOfPlay)); err != nil {
			t.Fatal(err)
		}
		s.Wait()
	}
	return told
}

func streamOf(t *testing.T, yaml string, store pipeline.Checkpoints, l *slog.Logger) *pipeline.Stream {
	t.Helper()
	s, err := pipeline.NewStream(pipeline.Options{
		Name: "s", Group: "g", Topics: []string{"t"}, Config: settingsOf(t, yaml), Checkpoints: store, CheckpointEvery: time.Hour,
		Metrics: pipeline.NewMetrics(prometheus.NewRegistry()), Log: l,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Wherever a process is killed around a change of the configuration, or processes of both take turns, the same is told.
func TestChangeIsABarrier(t *testing.T) {
	const never = -1
	records := log(4000, 7, 3)
	a := settings["records"]
	b := edited(t, a, "half_life: 30 → half_life: 40; 1 per 200 → 1 per 300")
	stopped := fate{yaml: a, process: 2000, stop: true, saves: never}
	want := live(t, records, stopped, fate{yaml: b, process: 2000, saves: never})
	if n := len(slices.Compact(slices.Clone(want))); n < 50 {
		t.Fatalf("only %d alerts and dead letters: the records say too little", n)
	}
	// What it is: the old configuration's fold up to the barrier, and from its state on the new one's.
	old := newWorker(t, settingsOf(t, a))
	plain := ids(t, old.Process(records[:2000], 0))
	plain = append(plain, ids(t, restored(t, old, settingsOf(t, b)).Process(records[2000:], 0))...)
	if diff := cmp.Diff(plain, want); diff != "" {
		t.Fatalf("(-workers +streams):\n%s", diff)
	}
	for name, fates := range map[string][]fate{
		"killed before the first checkpoint of the new": {stopped, {yaml: b, saves: 0}, {yaml: b, process: 2000, saves: never}},
		"killed after it, nothing committed":            {stopped, {yaml: b, process: 500, uncommits: 500, saves: 1}, {yaml: b, process: 2000, saves: never}},
		"killed after it, some committed":               {stopped, {yaml: b, process: 500, uncommits: 100, saves: 1}, {yaml: b, process: 1600, saves: never}},
		"killed again and again": {
			{yaml: a, process: 700, uncommits: 10, saves: never}, {yaml: a, process: 1310, stop: true, saves: never},
			{yaml: b, saves: 0}, {yaml: b, process: 300, saves: 1}, {yaml: b, process: 700, stop: true, saves: never},
			{yaml: b, process: 400, uncommits: 100, saves: never}, {yaml: b, process: 700, stop: true, saves: never},
		},
		"the old one again before anything of the new is told": {
			stopped, {yaml: b, process: 100, uncommits: 100, saves: 1}, {yaml: a, saves: 1}, {yaml: b, process: 2000, saves: never},
		},
	} {
		if diff := cmp.Diff(want, live(t, records, fates...)); diff != "" {
			t.Errorf("%s (-undisturbed +killed):\n%s", name, diff)
		}
	}
}

// While processes with the old configuration and the new one take turns, as in a rolling deployment, each goes on from what the other has
// left: nothing is told twice, and what both have is as it would be without the change.
func TestOldAndNewTakeTurns(t *testing.T) {
	records := log(4000, 7, 3)
	a := settings["records"]
	b := edited(t, a, "half_life: 30 → half_life: 40")
	kept := settingsOf(t, edited(t, a, first+", "+second+" → "+second))
	always := newWorker(t, kept)
	always.Process(records[:3000], 0)
	want := traced(always, records[3000:])

	stored := checkpoint.NewMemory(nil, slog.New(slog.DiscardHandler))
	told := map[string]int{}
	for turn, at := 0, int64(0); at < 3000; turn++ {
		s := streamOf(t, []string{a, b}[turn%2], stored, slog.New(slog.DiscardHandler))
		from, err := s.Assign(t.Context(), partitionOfPlay, max(at, -1))
		if err != nil {
			t.Fatal(err)
		}
		if at > 0 && from != at {
			t.Fatalf("turn %d begins at %d, want %d: the other's state is of no use to it", turn, from, at)
		}
		messages, err := s.Process(t.Context(), partitionOfPlay, records[at:at+500])
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids(t, messages) {
			told[id]++
		}
		at += 500
		if err := errors.Join(s.Committed(t.Context(), partitionOfPlay, at), s.Revoke(t.Context(), partitionOfPlay)); err != nil {
			t.Fatal(err)
		}
		s.Wait()
	}
	for id, n := range told {
		if n > 1 && !strings.HasPrefix(id, "dead") {
			t.Errorf("%s is told %d times", id, n)
		}
	}
	w := newWorker(t, kept)
	if err := w.Restore(statesIn(t, stored, kept)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, traced(w, records[3000:])); diff != "" {
		t.Errorf("the detector that both have (-without turns +with):\n%s", diff)
	}
}

func statesIn(t *testing.T, stored pipeline.Checkpoints, c pipeline.Config) (states [][]byte) {
	t.Helper()
	chain, err := stored.Load(t.Context(), pipeline.Log{Group: "g", Partition: partitionOfPlay}, 1<<60, c.Hashes())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chain {
		states = append(states, c.State)
	}
	return states
}

// After a kill the state is older than what was told: it goes on from there in silence, under the ids that the alerts had.
func TestChangeAfterAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	const never = -1
	records := log(4000, 7, 3)
	a := settings["records"]
	b := edited(t, a, "drift: → drift: [{kind: adwin, on: values}] #") // says little, and nothing for long
	straddle := 0
	for killed := 1520; killed < 2100; killed += 20 {
		told := live(t, records, fate{yaml: a, process: 1500, stop: true, saves: never}, fate{yaml: a, process: killed - 1500, saves: never},
			fate{yaml: b, process: 300, saves: 1}, fate{yaml: b, process: 3700 - killed, saves: never})
		undisturbed := live(t, records, fate{yaml: a, process: killed, stop: true, saves: never}, fate{yaml: b, process: 4000 - killed, saves: never})
		anomalies := func(lines []string) []string {
			return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, "anomaly") })
		}
		if diff := cmp.Diff(anomalies(undisturbed), anomalies(told)); diff != "" {
			t.Errorf("killed at %d: the detectors have not changed, and nor should what they tell (-stopped +killed):\n%s", killed, diff)
		}
		old := newWorker(t, settingsOf(t, a))
		open := map[string]bool{}
		for _, m := range old.Process(records[:killed], 1500) {
			if al, err := pipeline.ParseAlert(m.Value); err == nil && al.Kind == pipeline.Anomaly {
				open[al.Incident] = al.Status != pipeline.Resolve
			}
		}
		for _, o := range open {
			if o {
				straddle++
			}
		}
	}
	if straddle == 0 {
		t.Error("no incident was open at a kill: the records say too little")
	}
}

// Where a stream begins, and what it says, under a configuration that has changed; its points are at the committed offset 1000.
func TestChangedSettings(t *testing.T) {
	stored := checkpoint.NewMemory(nil, slog.New(slog.DiscardHandler))
	s := streamOf(t, settings["records"], stored, slog.New(slog.DiscardHandler))
	if _, err := s.Assign(t.Context(), partitionOfPlay, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Process(t.Context(), partitionOfPlay, log(1000, 3, 4)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Committed(t.Context(), partitionOfPlay, 1000), s.Revoke(t.Context(), partitionOfPlay)); err != nil {
		t.Fatal(err)
	}
	s.Wait()
	log := pipeline.Log{Group: "g", Partition: partitionOfPlay}
	c := settingsOf(t, settings["records"])
	chain, err := stored.Load(t.Context(), log, 1000, c.Hashes())
	if err != nil {
		t.Fatal(err)
	}
	for edits, want := range map[string]struct {
		committed, from int64
		says            []string
	}{
		"cool_down: 7m → cool_down: 8m": {1000, 1000, []string{"kept=\"[detectors[0] ewma detectors[1] ewma drift[0] page_hinkley of v", "cold=[]"}},
		"cool_down: 7m → cool_down: 9m": {1001, 1000, []string{"offset=1000"}},
		"half_life: 30 → half_life: 31": {1000, 1000, []string{
			`kept="[detectors[1] ewma drift[0] page_hinkley of v drift[0] page_hinkley of w drift[1] page_hinkley of detectors[1]]"`,
			`cold="[detectors[0] ewma drift[1] page_hinkley of detectors[0]]"`,
		}},
		"half_life: 30 → half_life: 30, scope: partition": {1000, 1000, []string{
			`cold="[drift[1] page_hinkley of detectors[0] detectors[0] ewma of the partition]"`,
		}},
		"drift: → #drift:": {1000, 1000, []string{"cold=[]", `gone="[page_hinkley `}},
		"cool_down: 7m} → cool_down: 7m}\nidle: 1h\nmax_series: 9": {1000, 1000, []string{"cold=[]"}},
		"values: [v, w]} → values: [w, v]}":                        {1000, pipeline.FromStart, []string{"rebuilding the state from the log"}},
		"[v, w]}\ndetectors → [v, w]}\ndetectors":                  {1000, 1000, nil}, // none
	} {
		t.Run(edits, func(t *testing.T) {
			again := checkpoint.NewMemory(nil, slog.New(slog.DiscardHandler))
			for _, c := range chain {
				if err := again.Save(t.Context(), log, c.Checkpoint, pipeline.InPieces(c.State)); err != nil {
					t.Fatal(err)
				}
			}
			var said bytes.Buffer
			next := streamOf(t, edited(t, settings["records"], edits), again, slog.New(slog.NewTextHandler(&said, nil)))
			for range 2 {
				if from, err := next.Assign(t.Context(), partitionOfPlay, want.committed); err != nil || from != want.from {
					t.Errorf("it is read from %d, %v, want %d", from, err, want.from)
				}
			}
			for _, text := range want.says {
				if n := strings.Count(said.String(), text); n == 0 || n > 1 && want.from >= 0 {
					t.Errorf("it says %d times %s, want once:\n%s", n, text, &said)
				}
			}
			foretold, err := pipeline.Carry(c, settingsOf(t, edited(t, settings["records"], edits)))
			if err != nil || foretold.Rebuilt != (want.from < 0) {
				t.Errorf("Carry: %+v, %v; it is read from %d", foretold, err, want.from)
			}
			for name, parts := range map[string][]string{"kept": foretold.Kept, "cold": foretold.Cold} {
				if text := fmt.Sprintf("%s=%q", name, fmt.Sprint(parts)); want.from >= 0 && want.says != nil &&
					!strings.Contains(said.String(), text) && !strings.Contains(said.String(), name+"="+fmt.Sprint(parts)) {
					t.Errorf("foretold was %s, and it says\n%s", text, &said)
				}
			}
		})
	}
}
