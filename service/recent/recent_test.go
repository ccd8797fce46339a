package recent

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// alert is the message of one; what it says is its own name.
func alert(key string, s pipeline.Status, says string) pipeline.Message {
	return pipeline.Message{Key: []byte(key), Value: fmt.Appendf(nil, "%q", says), Status: s}
}

func said(a Alerts) string {
	var all []string
	for _, one := range a.Alerts {
		all = append(all, strings.Trim(string(one.Event), `"`))
	}
	return strings.Join(all, " ")
}

func counted(k Keys) string {
	var all []string
	for _, key := range k.Keys {
		text := fmt.Sprintf("%s/%s %d", key.Stream, key.Key, key.Incidents)
		if key.AtMost > 0 {
			text += fmt.Sprintf("-%d", key.AtMost)
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// The last alerts of all streams stand with the newest first, and dead letters are none.
func TestAlerts(t *testing.T) {
	told := New(noon)
	if got := told.Alerts(10); len(got.Alerts) != 0 || got.Alerts == nil || got.Since != noon {
		t.Errorf("before the first it says %+v", got)
	}
	dead := pipeline.Message{Key: []byte("a"), Value: []byte("no JSON")}
	told.Add("r", noon, []pipeline.Message{alert("a", pipeline.Open, "r1"), dead, alert("a", pipeline.Update, "r2")})
	told.Add("s", noon.Add(time.Second), []pipeline.Message{alert("b", pipeline.Open, "s1")})
	told.Add("r", noon.Add(2*time.Second), []pipeline.Message{alert("a", pipeline.Resolve, "r3")})
	if got, want := said(told.Alerts(10)), "r3 s1 r2 r1"; got != want {
		t.Errorf("the alerts are %s, want %s", got, want)
	}
	if got, want := said(told.Alerts(2)), "r3 s1"; got != want {
		t.Errorf("the last two are %s, want %s", got, want)
	}
	if text, err := json.Marshal(told.Alerts(1)); err != nil || string(text) !=
		`{"since":"2026-01-01T12:00:00Z","alerts":[{"committed":"2026-01-01T12:00:02Z","event":"r3"}]}` {
		t.Errorf("in JSON: %s, %v", text, err)
	}
	told.Forget("r")
	if got := said(told.Alerts(10)); got != "s1" {
		t.Errorf("without the stream that was forgotten: %s, want s1", got)
	}
}

// However many are told, the last are kept, in their order, and no more.
func TestAlertsAreBounded(t *testing.T) {
	told := New(noon)
	const all = 3*Most + 7
	for i := range all {
		told.Add("s", noon, []pipeline.Message{alert("k", pipeline.Update, fmt.Sprint(i))})
		got := told.Alerts(Most)
		if n := min(i+1, Most); len(got.Alerts) != n || string(got.Alerts[0].Event) != fmt.Sprintf("%q", fmt.Sprint(i)) ||
			string(got.Alerts[n-1].Event) != fmt.Sprintf("%q", fmt.Sprint(i+1-n)) {
			t.Fatalf("after %d there are %d, from %s to %s", i+1, len(got.Alerts), got.Alerts[0].Event, got.Alerts[len(got.Alerts)-1].Event)
		}
	}
}

// Incidents are counted where they open, by key, for an hour.
func TestKeys(t *testing.T) {
	told := New(noon)
	if got := told.Keys(5, noon.Add(time.Second)); got.Keys == nil || len(got.Keys) != 0 || got.Since != noon {
		t.Errorf("before the first it says %+v", got)
	}
	open := func(at time.Time, stream string, keys ...string) {
		for _, k := range keys {
			told.Add(stream, at, []pipeline.Message{alert(k, pipeline.Open, ""), alert(k, pipeline.Update, ""), alert(k, pipeline.Resolve, "")})
		}
	}
	open(noon, "r", "a", "b", "a")
	open(noon.Add(10*time.Minute), "r", "a", "c")
	open(noon.Add(20*time.Minute), "s", "a", "a")
	for _, c := range []struct {
		after     time.Duration
		n         int
		incidents int
		want      string
		since     time.Duration
	}{
		{20 * time.Minute, 5, 7, "r/a 3, s/a 2, r/c 1, r/b 1", 0},
		{20 * time.Minute, 2, 7, "r/a 3, s/a 2", 0},
		{59 * time.Minute, 5, 7, "r/a 3, s/a 2, r/c 1, r/b 1", 0},
		{61 * time.Minute, 5, 4, "s/a 2, r/a 1, r/c 1", 5 * time.Minute},
		{74 * time.Minute, 5, 2, "s/a 2", 15 * time.Minute},
		{5 * time.Hour, 5, 0, "", 4*time.Hour + 5*time.Minute},
	} {
		got := told.Keys(c.n, noon.Add(c.after))
		if counted(got) != c.want || got.Incidents != c.incidents || got.Since != noon.Add(c.since) {
			t.Errorf("after %v: %s of %d since %v, want %s of %d since %v", c.after, counted(got), got.Incidents, got.Since, c.want, c.incidents, noon.Add(c.since))
		}
	}
	if last := told.Keys(1, noon.Add(20*time.Minute)).Keys[0].Last; last != noon.Add(10*time.Minute) {
		t.Errorf("the last incident of r/a was at %v, want ten minutes past", last)
	}
	open(noon.Add(5*time.Hour), "r", "z") // where an old part was
	if got := counted(told.Keys(5, noon.Add(5*time.Hour))); got != "r/z 1" {
		t.Errorf("five hours later the keys are %s, want r/z 1", got)
	}
}

// In a storm of keys the few that are noisy are found, memory does not grow, and the true counts lie in the bounds that are told.
func TestKeysInAStorm(t *testing.T) {
	told := New(noon)
	r := rand.New(rand.NewPCG(1, 2))
	truth := map[string]int{}
	for i := range 60_000 {
		key := fmt.Sprintf("key-%d", r.IntN(20_000))
		if i%10 == 0 {
			key = fmt.Sprintf("noisy-%d", r.IntN(3))
		}
		truth[key]++
		told.Add("s", noon.Add(time.Duration(i)*50*time.Millisecond), []pipeline.Message{alert(key, pipeline.Open, "")})
	}
	held := 0
	for _, part := range told.streams["s"].hour {
		held += len(part.keys)
	}
	if held > parts*Most {
		t.Errorf("%d keys are held, want at most %d", held, parts*Most)
	}
	got := told.Keys(Most, noon.Add(50*time.Minute))
	if got.Incidents != 60_000 || len(got.Keys) != Most {
		t.Fatalf("%d incidents of %d keys, want 60000 of %d", got.Incidents, len(got.Keys), Most)
	}
	for i, k := range got.Keys {
		if n := truth[k.Key]; n < k.Incidents || n > max(k.Incidents, k.AtMost) {
			t.Errorf("%s has %d incidents, and %d to %d are told", k.Key, n, k.Incidents, k.AtMost)
		}
		if noisy := strings.HasPrefix(k.Key, "noisy"); noisy != (i < 3) {
			t.Errorf("place %d is taken by %s with %d incidents", i+1, k.Key, k.Incidents)
		}
	}
	if first := got.Keys[0]; first.Incidents < 1500 {
		t.Errorf("the noisiest is told with %d incidents, want most of its 2000", first.Incidents)
	}
}

func BenchmarkAddInAStorm(b *testing.B) {
	told := New(noon)
	var messages []pipeline.Message
	for i := range 10_000 {
		messages = append(messages, alert(fmt.Sprint(i), pipeline.Open, ""))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		told.Add("s", noon, messages[i%len(messages):][:1])
	}
}
