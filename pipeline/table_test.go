package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
)

const boundedSettings = `decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
detectors: [{kind: ewma, warm_up: 20}]
alert: {cool_down: 30m}
`

func sampleAt(offset int64, key string, at time.Time, v float64) pipeline.Record {
	return pipeline.Record{Offset: offset, Timestamp: at.UnixNano(), Value: fmt.Appendf(nil, `{"key":%q,"ts":%d,"v":%g}`, key, at.UnixMilli(), v)}
}

// A flood of keys that come once changes nothing for the keys that are in use: their scores are those of a run without it.
func TestFloodPushesNothingOut(t *testing.T) {
	c := settingsOf(t, boundedSettings+"max_series: 100")
	scores := func(flood bool) (map[string][]float64, *pipeline.Worker) {
		w := newWorker(t, c)
		scores, refused := map[string][]float64{}, uint64(0)
		w.Trace = func(t pipeline.Trace) {
			if t.Untold == "not_admitted" {
				refused++
			}
			if strings.HasPrefix(t.Key, "hot") {
				scores[t.Key] = append(scores[t.Key], t.Score)
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		offset := int64(0)
		one := func(key string, at time.Time, v float64) {
			w.Process([]pipeline.Record{sampleAt(offset, key, at, v)}, 0)
			offset++
		}
		for i := range 4000 {
			at := midnight.Add(time.Duration(i) * time.Second)
			one(fmt.Sprintf("hot-%d", i%50), at, r.NormFloat64())
			if flood && i > 100 {
				for j := range 10 {
					one(fmt.Sprintf("once-%d-%d", i, j), at, 1)
				}
			}
		}
		if n := w.Counts().Outcomes[pipeline.NotAdmitted]; n != refused {
			t.Errorf("%d traces say that there was no room, want %d", refused, n)
		}
		return scores, w
	}
	calm, _ := scores(false)
	flooded, w := scores(true)
	if diff := cmp.Diff(calm, flooded); diff != "" {
		t.Errorf("scores of the keys in use (-calm +flooded): %.2000s", diff)
	}
	if n := w.Series(); n > 100 {
		t.Errorf("%d series, want at most 100", n)
	}
	if n := w.Counts().Outcomes[pipeline.NotAdmitted]; n < 38_000 { // of 38,990
		t.Errorf("%d records of the flood found no room, want nearly all", n)
	}
}

// Keys in use change over time: those that come again and again take the place of those that no longer do.
func TestNewKeysTakeThePlaceOfSilentOnes(t *testing.T) {
	c := settingsOf(t, boundedSettings+"max_series: 20")
	w := newWorker(t, c)
	offset := int64(0)
	for i := range 4000 {
		generation := i / 1000
		key := fmt.Sprintf("g%d-%d", generation, i%20)
		w.Process([]pipeline.Record{sampleAt(offset, key, midnight.Add(time.Duration(i)*time.Second), 1)}, 0)
		offset++
	}
	if n := w.Counts().Evicted[pipeline.Bound]; n != 60 {
		t.Errorf("%d series evicted, want the 60 of the first three generations", n)
	}
	if n := w.Counts().Outcomes[pipeline.NotAdmitted]; n > 600 {
		t.Errorf("%d records found no room until their keys were known to come again, want few", n)
	}
}

// A series that is silent for longer than idle is forgotten, and its incident is over.
func TestIdleSeriesAreForgotten(t *testing.T) {
	c := settingsOf(t, boundedSettings+"idle: 2h")
	w := newWorker(t, c)
	offset := int64(0)
	var told []string
	one := func(key string, minute int, v float64) {
		at := midnight.Add(time.Duration(minute) * time.Minute)
		for _, m := range w.Process([]pipeline.Record{sampleAt(offset, key, at, v)}, 0) {
			a, err := pipeline.ParseAlert(m.Value)
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, fmt.Sprintf("%s %s %s", a.Key, a.Status, a.Time.Format("15:04")))
		}
		offset++
	}
	for i := range 60 {
		one("a", i, float64(i%2))
		one("b", i, float64(i%2))
	}
	one("a", 60, 1000)
	one("b", 170, 1)
	one("b", 180, 1) // a was last heard of at 60: two hours are not over
	if n := w.Series(); n != 2 {
		t.Fatalf("%d series, want 2", n)
	}
	one("b", 181, 1)
	if n := w.Series(); n != 1 || w.Counts().Evicted[pipeline.Idle] != 1 {
		t.Errorf("%d series and %v evicted, want one of each", n, w.Counts().Evicted)
	}
	one("a", 182, 1000) // new: it warms up again
	if diff := cmp.Diff([]string{"a open 01:00", "a resolve 01:30"}, told); diff != "" {
		t.Error(diff)
	}
}

// The bytes that series hold are bounded, too, keys included.
func TestBytesAreBounded(t *testing.T) {
	c := settingsOf(t, boundedSettings+"max_bytes: 100000")
	w := newWorker(t, c)
	short, long := 0, 0
	for i := range 10_000 {
		w.Process([]pipeline.Record{sampleAt(int64(i), fmt.Sprintf("k%d", i), midnight, 1)}, 0)
	}
	short = w.Series()
	w = newWorker(t, c)
	for i := range 10_000 {
		w.Process([]pipeline.Record{sampleAt(int64(i), fmt.Sprintf("%s%d", strings.Repeat("k", 900), i), midnight, 1)}, 0)
	}
	long = w.Series()
	if short < 50 || short > 1000 || long < 10 || long > short/2 {
		t.Errorf("room for %d series of short keys, and %d of long ones, in 100,000 bytes", short, long)
	}
}

func TestBoundsAreChecked(t *testing.T) {
	c := settingsOf(t, boundedSettings)
	c.Idle = time.Minute
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "idle is 1m0s, want 0s, or 30m0s or more") {
		t.Errorf("an idle time shorter than the cool-down: %v", err)
	}
	c.Idle, c.MaxBytes = 0, 1000
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "max_bytes is 1000, want") {
		t.Errorf("room for no series: %v", err)
	}
}
