package pipeline_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
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

// What detectors of the partition have learned goes on under a change of something else, and is foretold to.
func TestScopeIsCarried(t *testing.T) {
	before, after := settingsOf(t, settings["together"]), settingsOf(t, edited(t, settings["together"], "cool_down: 7m → cool_down: 8m"))
	carried, err := pipeline.Carry(before, after)
	if err != nil || carried.Rebuilt || len(carried.Cold)+len(carried.Gone) > 0 || !slices.Contains(carried.Kept, "detectors[2] points of the partition") {
		t.Errorf("a change of the cool-down is carried as %+v, %v, want all kept", carried, err)
	}
	records := log(3000, 7, 3)
	old := newWorker(t, before)
	old.Process(records[:2000], 0)
	worker := newWorker(t, after)
	if err := worker.UnmarshalBinary(stateOf(t, old)); err != nil {
		t.Fatal(err)
	}
	var scores [2][]float64
	for i, w := range []*pipeline.Worker{old, worker} {
		w.Trace = func(p pipeline.Trace) { scores[i] = append(scores[i], p.Score) }
		w.Process(records[2000:], 0)
	}
	if !slices.Equal(scores[0], scores[1]) || len(scores[0]) < 900 {
		t.Errorf("%d and %d points are not scored alike", len(scores[0]), len(scores[1]))
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
