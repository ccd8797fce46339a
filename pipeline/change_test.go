package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// edited is a configuration with texts replaced: "old → new; …".
func edited(t *testing.T, yaml, edits string) string {
	t.Helper()
	for edit := range strings.SplitSeq(edits, "; ") {
		old, now, _ := strings.Cut(edit, " → ")
		if strings.Count(yaml, old) != 1 {
			t.Fatalf("%q does not stand once in\n%s", old, yaml)
		}
		yaml = strings.Replace(yaml, old, now, 1)
	}
	return yaml
}

const (
	first  = "{kind: ewma, half_life: 30}"
	second = "{kind: ewma, half_life: 5, values: [w]}"
)

// traced folds records and notes what is seen of each point.
func traced(w *pipeline.Worker, records []pipeline.Record) (seen []string) {
	w.Trace = func(p pipeline.Trace) {
		if p.X != nil {
			seen = append(seen, fmt.Sprintf("%d %v %v %v %v", p.Offset, p.Key, p.Scored, p.Score, p.Limit))
		}
	}
	w.Process(records, 0)
	w.Trace = nil
	return seen
}

// A detector goes on under another configuration as if that had always been so, whatever becomes of the others.
func TestKeptDetectorGoesOn(t *testing.T) {
	records := log(3000, 7, 3)
	for name, edits := range map[string][2]string{ // of the settings before and after
		"another is removed":       {"", first + ", " + second + " → " + second},
		"another is changed":       {"half_life: 30 → half_life: 31", first + ", " + second + " → " + second},
		"its values are spelled":   {"half_life: 30} → half_life: 30, values: [w, v]}", first + ", " + second + " → " + first},
		"drift and alert change":   {"on: scores → on: values; 7m → 8m", first + ", " + second + " → " + first},
		"there is room for less":   {"cool_down: 7m} → cool_down: 7m}\nmax_series: 900", first + ", " + second + " → " + first},
		"it changes places":        {first + ", " + second + " → " + second + ", " + first, first + ", " + second + " → " + first},
		"two of the same":          {first + " → " + second, first + " → " + second + "; 7m → 8m"},
		"nothing but the detector": {"drift: → #drift:; alert: → #alert:", first + ", " + second + " → " + first},
	} {
		t.Run(name, func(t *testing.T) {
			c := settingsOf(t, edited(t, settings["records"], edits[1]))
			always := newWorker(t, c)
			always.Process(records[:1500], 0)
			want := traced(always, records[1500:])

			before := settings["records"]
			if edits[0] != "" {
				before = edited(t, before, edits[0])
			}
			old := newWorker(t, settingsOf(t, before))
			old.Process(records[:1500], 0)
			if diff := cmp.Diff(want, traced(restored(t, old, c), records[1500:])); diff != "" {
				t.Errorf("(-always so +changed):\n%s", diff)
			}
		})
	}
}

// A detector that is new has no score until it has learned, and those that were there go on telling without it.
func TestNewDetectorStartsCold(t *testing.T) {
	records := log(3000, 7, 1)
	scored := func(detectors string) (n int) {
		old := newWorker(t, settingsOf(t, edited(t, settings["records"], first+", "+second+" → "+second)))
		old.Process(records[:1500], 0)
		w := restored(t, old, settingsOf(t, edited(t, settings["records"], first+", "+second+" → "+detectors)))
		for i, line := range traced(w, records[1500:]) {
			if strings.Contains(line, " true ") {
				return i
			}
		}
		return -1
	}
	if n := scored("{kind: ewma, half_life: 6, values: [w], warm_up: 40}"); n != 40 {
		t.Errorf("a changed detector scores from point %d on, want 40", n)
	}
	if n := scored("{kind: ewma, half_life: 6, values: [w], warm_up: 40}, " + second); n != 0 {
		t.Errorf("with one that was there points are scored from %d on, want 0", n)
	}
}

// A change of votes keeps what detectors have learned, and lets their combination learn faster. A vote of 1 is what everyone has.
func TestVotes(t *testing.T) {
	plain := settingsOf(t, settings["records"])
	spelled := settingsOf(t, edited(t, settings["records"], "half_life: 30} → half_life: 30, vote: 1}"))
	more := settingsOf(t, edited(t, settings["records"], "half_life: 30} → half_life: 30, vote: 9}"))
	if plain.Hash() != spelled.Hash() || plain.Hash() == more.Hash() {
		t.Errorf("hashes are %s, %s with a vote of 1, and %s with one of 9", plain.Hash(), spelled.Hash(), more.Hash())
	}
	carried, err := pipeline.Carry(plain, more)
	if err != nil || carried.Rebuilt || len(carried.Cold)+len(carried.Gone) > 0 {
		t.Errorf("a change of votes is carried as %+v, %v, want all kept", carried, err)
	}
}

// Of two fields one is far off, and then the other. The point is the more surprising the more the detector counts that sees it, and so is
// the field's share.
func TestVotesCount(t *testing.T) {
	type told struct{ surprise, share float64 }
	odd := func(votes string, v, w float64) told {
		c := settingsOf(t, edited(t, "decode: {values: [v, w]}\nmax_series: 10\ndetectors: [{kind: ewma, values: v, VOTES}, {kind: ewma, values: w}]\nalert: {topic: a, false_alarms: 1 per 10 points}",
			"VOTES → "+votes))
		worker := newWorker(t, c)
		record := func(i int64, v, w float64) []pipeline.Record {
			return []pipeline.Record{{Offset: i, Timestamp: i * 1e9, Value: fmt.Appendf(nil, `{"v":%v,"w":%v}`, v, w)}}
		}
		for i := range int64(200) {
			worker.Process(record(i, float64(i%7), float64(i%5)), 1000)
		}
		var of told
		worker.Trace = func(p pipeline.Trace) { of.surprise = p.Score }
		messages := worker.Process(record(1000, v, w), 1000)
		if len(messages) != 1 {
			t.Fatalf("%d alerts, want 1", len(messages))
		}
		a, err := pipeline.ParseAlert(messages[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		of.share = a.Shares["v"]
		return of
	}
	for _, far := range [][2]float64{{20, 2}, {3, 20}} {
		less, same, more := odd("vote: 0.1", far[0], far[1]), odd("vote: 1", far[0], far[1]), odd("vote: 10", far[0], far[1])
		sees := far[0] > far[1]
		if (less.surprise < same.surprise) != sees || (same.surprise < more.surprise) != sees {
			t.Errorf("(%v, %v) scores %v, %v and %v with votes of 0.1, 1 and 10 for the first", far[0], far[1], less.surprise, same.surprise, more.surprise)
		}
		if !(less.share < same.share && same.share < more.share) {
			t.Errorf("(%v, %v): the first field's share is %v, %v and %v with votes of 0.1, 1 and 10 for it", far[0], far[1], less.share, same.share, more.share)
		}
	}
}

// The law of a combination goes on where its detectors do, and is learned faster where they do not.
func TestCombinationGoesOn(t *testing.T) {
	records := log(3000, 7, 1)
	limits := func(edits string) map[string]bool {
		old := newWorker(t, settingsOf(t, settings["records"]))
		old.Process(records[:1500], 0)
		seen := map[string]bool{}
		for _, line := range traced(restored(t, old, settingsOf(t, edited(t, settings["records"], edits))), records[1500:1600]) {
			seen[line[strings.LastIndex(line, " "):]] = true
		}
		return seen
	}
	if diff := cmp.Diff(limits("7m → 8m"), limits("on: scores → on: values; 7m → 8m")); diff != "" {
		t.Errorf("a change of drift changes the limits:\n%s", diff)
	}
	same, other := limits("7m → 8m"), limits(first+" → {kind: ewma, half_life: 5, values: [w], warm_up: 1000}")
	spread := func(limits map[string]bool) float64 {
		low, high := math.Inf(1), math.Inf(-1)
		for l := range limits {
			x, err := strconv.ParseFloat(strings.TrimSpace(l), 64)
			if err != nil {
				t.Fatal(err)
			}
			low, high = min(low, x), max(high, x)
		}
		return high - low
	}
	if a, b := spread(same), spread(other); !(b > 2*a) {
		t.Errorf("in 100 points the limit moves by %v with the same detectors and by %v with others, want at least twice as much", a, b)
	}
}

// An incident that was open goes on under its id.
func TestIncidentOutlivesAChange(t *testing.T) {
	records := log(3000, 7, 1)
	old := newWorker(t, settingsOf(t, settings["records"]))
	open := map[string]bool{}
	for _, m := range old.Process(records[:1500], 0) {
		if a, err := pipeline.ParseAlert(m.Value); err == nil {
			open[a.Incident] = a.Status != pipeline.Resolve
		}
	}
	w := restored(t, old, settingsOf(t, edited(t, settings["records"], first+", "+second+" → "+first)))
	for _, m := range w.Process(records[1500:], 0) {
		if a, err := pipeline.ParseAlert(m.Value); err == nil {
			if _, known := open[a.Incident]; !known && a.Status != pipeline.Open {
				t.Errorf("%s of incident %s, which nobody has opened", a.Status, a.Incident)
			}
			open[a.Incident] = a.Status != pipeline.Resolve
		}
	}
	n := 0
	for _, o := range open {
		if o {
			n++
		}
	}
	if n > 2 { // one of anomaly and one of drift may be open at the end
		t.Errorf("%d incidents are never resolved", n)
	}
}

// A partition with less room than before forgets what has been silent for longest.
func TestLessRoom(t *testing.T) {
	old := newWorker(t, settingsOf(t, settings["records"]))
	old.Process(log(1000, 7, 30), 0)
	if old.Series() < 20 {
		t.Fatalf("%d series", old.Series())
	}
	w := restored(t, old, settingsOf(t, settings["records"]+"\nmax_series: 7"))
	w.Process(log(1001, 7, 30), 0)
	if n := w.Series(); n != 7 {
		t.Errorf("%d series, want 7", n)
	}
}

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

func (c *crashing) Save(ctx context.Context, l pipeline.Log, k pipeline.Checkpoint) error {
	if c.left == 0 {
		return errKilled
	}
	c.left--
	return c.Checkpoints.Save(ctx, l, k)
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
		"drift: → #drift:": {1000, 1000, []string{"cold=[]", `gone="[page_hinkley `}},
		"cool_down: 7m} → cool_down: 7m}\nidle: 1h\nmax_series: 9": {1000, 1000, []string{"cold=[]"}},
		"values: [v, w]} → values: [w, v]}":                        {1000, pipeline.FromStart, []string{"rebuilding the state from the log"}},
		"[v, w]}\ndetectors → [v, w]}\ndetectors":                  {1000, 1000, nil}, // none
	} {
		t.Run(edits, func(t *testing.T) {
			again := checkpoint.NewMemory(nil, slog.New(slog.DiscardHandler))
			for _, c := range chain {
				if err := again.Save(t.Context(), log, c); err != nil {
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
