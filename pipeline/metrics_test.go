package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gonomaly/gonomaly/pipeline"
)

// measured is a play whose metrics are read.
func measured(t *testing.T, yaml string) (*play, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	p := newPlayOf(t, &store{}, yaml, func(o *pipeline.Options) { o.Metrics = pipeline.NewMetrics(reg) })
	p.assign()
	return p, reg
}

// metric is the sum of a counter or gauge over the series with a label's value, "" for all.
func metric(t *testing.T, reg *prometheus.Registry, name, value string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (value == "" || hasLabel(m, value)) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func hasLabel(m *dto.Metric, value string) bool {
	for _, l := range m.GetLabel() {
		if l.GetValue() == value {
			return true
		}
	}
	return false
}

// seriesOf is the number of time series, each bucket of a classic histogram among them.
func seriesOf(t *testing.T, reg *prometheus.Registry) (n int) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			n += 1 + len(m.GetHistogram().GetBucket())
		}
	}
	return n
}

// The outcomes add up to what was received in every scrape, also in one that comes while records do.
func TestOutcomesAddUpInEveryScrape(t *testing.T) {
	p, reg := measured(t, settings["records"])
	done := make(chan error)
	go func() {
		for i := range p.records[:4000] {
			if _, err := p.Process(t.Context(), partitionOfPlay, p.records[i:i+1]); err != nil {
				done <- err
				return
			}
		}
		close(done)
	}()
	for scrapes := 0; ; scrapes++ {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		sums := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				sums[f.GetName()] += m.GetCounter().GetValue()
			}
		}
		if got, want := sums["gonomaly_records_total"], sums["gonomaly_records_received_total"]; got != want {
			t.Fatalf("scrape %d has %v outcomes of %v records received", scrapes, got, want)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			if n := metric(t, reg, "gonomaly_records_received_total", ""); n < 3000 {
				t.Errorf("%v records were received, want most of 4000", n)
			}
			return
		default:
		}
	}
}

// A partition that has no records since it was taken over tells the event time that it had come to: since when it has none.
func TestWatermarkOfAnIdlePartition(t *testing.T) {
	s := &store{}
	var told []float64
	for range 2 {
		reg := prometheus.NewRegistry()
		p := newPlayOf(t, s, settings["records"], func(o *pipeline.Options) { o.Metrics = pipeline.NewMetrics(reg) })
		if len(told) > 0 {
			p.committed = 1000
		}
		p.assign()
		if len(told) == 0 {
			p.commit(1000)
		}
		told = append(told, metric(t, reg, "gonomaly_watermark_timestamp_seconds", ""))
		if err := p.Revoke(t.Context(), partitionOfPlay); err != nil {
			t.Fatal(err)
		}
	}
	if told[0] == 0 || told[0] != told[1] {
		t.Errorf("the watermark is told as %v, and taken over as %v", told[0], told[1])
	}
}

// Outcomes are told by topic, and each topic's stand at 0 from the start: of one that never had a record a rate is 0, too.
func TestOutcomesByTopic(t *testing.T) {
	reg := prometheus.NewRegistry()
	p := newPlayOf(t, &store{}, settings["records"], func(o *pipeline.Options) {
		o.Metrics, o.Topics = pipeline.NewMetrics(reg), []string{"t", "empty"}
	})
	p.assign()
	p.commit(1000)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums, series := map[string]float64{}, map[string]int{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "gonomaly_records_total" && l.GetName() == "topic" {
					sums[l.GetValue()] += m.GetCounter().GetValue()
					series[l.GetValue()]++
				}
			}
		}
	}
	if want := metric(t, reg, "gonomaly_records_received_total", ""); sums["t"] != want || want == 0 || sums["empty"] != 0 {
		t.Errorf("outcomes are %v, want %v of t and none of empty", sums, want)
	}
	if series["empty"] == 0 || series["empty"] != series["t"] {
		t.Errorf("topics have %v series, want as many of each", series)
	}
}

// Each stage has its time, of records and of windows; bytes are those of what was received, and not of what is folded again.
func TestStagesAndBytes(t *testing.T) {
	for _, name := range []string{"records", "windows"} {
		t.Run(name, func(t *testing.T) {
			p, reg := measured(t, settings[name])
			if _, err := p.Process(t.Context(), partitionOfPlay, p.records[:4000]); err != nil {
				t.Fatal(err)
			}
			for _, stage := range []string{"decode", "window", "score"} {
				if took := metric(t, reg, "gonomaly_stage_seconds_total", stage); took <= 0 {
					t.Errorf("stage %s took %v s, want some", stage, took)
				}
			}
			want := 0
			for _, r := range p.records[:4000] {
				if !r.Control {
					want += len(r.Key) + len(r.Value)
				}
			}
			if _, err := p.Process(t.Context(), partitionOfPlay, p.records[:4000]); err != nil {
				t.Fatal(err)
			}
			if got := metric(t, reg, "gonomaly_received_bytes_total", ""); got != float64(want) {
				t.Errorf("%v bytes were received, want %d", got, want)
			}
		})
	}
}

// A record that is timed leads to the same as one that is not.
func TestTimingChangesNothing(t *testing.T) {
	for name, yaml := range settings {
		t.Run(name, func(t *testing.T) {
			c := settingsOf(t, yaml)
			states := map[bool]string{}
			for _, timed := range []bool{false, true} {
				w := newWorker(t, c)
				if timed {
					w.Horizon = midnight.UnixNano()
				}
				w.Process(log(3000, 1, keysOf(name)), 0)
				states[timed] = string(stateOf(t, w))
				if future := w.Counts().Future > 0; future != timed {
					t.Errorf("records of the future are counted: %v, want %v", future, timed)
				}
			}
			if states[false] != states[true] {
				t.Error("the horizon changes the state")
			}
		})
	}
}

// A producer whose clock is an hour ahead dates record and message alike: only our own clock can tell.
func TestFutureRecords(t *testing.T) {
	p, reg := measured(t, settings["records"])
	now := time.Now()
	for i, c := range []struct {
		ahead time.Duration
		want  float64
	}{{-time.Hour, 0}, {30 * time.Second, 0}, {time.Hour, 1}, {0, 1}} {
		at := now.Add(c.ahead)
		r := pipeline.Record{Offset: int64(i), Timestamp: at.UnixNano(), Value: fmt.Appendf(nil, `{"key":"a","ts":%d,"v":1,"w":2}`, at.UnixMilli())}
		if _, err := p.Process(t.Context(), partitionOfPlay, []pipeline.Record{r}); err != nil {
			t.Fatal(err)
		}
		if got := metric(t, reg, "gonomaly_future_records_total", ""); got != c.want {
			t.Errorf("%v ahead: %v records of the future, want %v", c.ahead, got, c.want)
		}
	}
}

// Neither keys nor bad inputs make time series: 100,000 keys and 1,000 ways to be wrong add none to those of a few.
func TestCardinality(t *testing.T) {
	p, reg := measured(t, settings["records"])
	r := rand.New(rand.NewPCG(1, 2))
	offset, at := int64(0), time.Now().Add(-24*time.Hour)
	feed := func(keys, bad int) {
		var records []pipeline.Record
		add := func(key, value string) {
			at = at.Add(100 * time.Millisecond)
			records = append(records, pipeline.Record{Offset: offset, Timestamp: at.UnixNano(), Key: []byte(key), Value: []byte(value)})
			offset++
		}
		for i := range keys {
			v := r.NormFloat64()
			if i%50 == 0 {
				v += 30
			}
			add("", fmt.Sprintf(`{"key":"key %d","ts":%d,"v":%g,"w":%g}`, i, at.UnixMilli(), v, r.NormFloat64()))
		}
		for i := range bad {
			add(fmt.Sprint("bad ", i), badInput(i))
		}
		if _, err := p.Process(t.Context(), partitionOfPlay, records); err != nil {
			t.Fatal(err)
		}
	}
	feed(20, 2*len(badInputs))
	for range 30 {
		feed(20, 0) // until there are alerts, of each status
	}
	before, keys := seriesOf(t, reg), metric(t, reg, "gonomaly_series", "")
	feed(100_000, 1000)
	if n := metric(t, reg, "gonomaly_series", "") - keys; n < 50_000 {
		t.Fatalf("%v more keys are held, want most of 100000: the test tests nothing", n)
	}
	if n := metric(t, reg, "gonomaly_dead_letters_total", ""); n < 1000 {
		t.Fatalf("%v dead letters, want 1000 or more: the test tests nothing", n)
	}
	if after := seriesOf(t, reg); after != before {
		t.Errorf("%d time series after 100000 keys and 1000 bad inputs, want the %d from before", after, before)
	}
}

// badInputs are ways to be wrong, with room for a number.
var badInputs = []string{
	`no JSON %d`, `{"key":"a","ts":%d}`, `{"key":"a","ts":"%d of May","v":1,"w":2}`, `{"key":"a","ts":1,"v":"x%d","w":2}`, `{"ts":%d,"v":1,"w":2}`, `{"key%d":`, `[%d]`,
	`{"key":"a","ts":99999999%d99999,"v":1,"w":2}`, `{"key":"a","ts":1,"v":1e%d999,"w":2}`,
}

func badInput(i int) string {
	text := fmt.Sprintf(badInputs[i%len(badInputs)], i)
	if i%97 == 0 {
		return text + strings.Repeat(" ", 2<<20)
	}
	return text
}

// What is forgotten is counted, by why.
func TestEvictionsAreCounted(t *testing.T) {
	p, reg := measured(t, settings["bounded"])
	if _, err := p.Process(t.Context(), partitionOfPlay, log(5000, 1, keysOf("bounded"))); err != nil {
		t.Fatal(err)
	}
	for _, why := range []pipeline.Eviction{pipeline.Bound} {
		if n := metric(t, reg, "gonomaly_series_evicted_total", string(why)); n == 0 {
			t.Errorf("no series was forgotten: %s", why)
		}
	}
}

// What was forgotten before a recovery is not counted in it again: a rate of it would have somebody called for a restart.
func TestEvictionsOfARecoveryAreNotCounted(t *testing.T) {
	w := newWorker(t, settingsOf(t, settings["bounded"]))
	w.Process(log(5000, 1, keysOf("bounded")), 5000)
	for why, n := range w.Counts().Evicted {
		if n > 0 {
			t.Errorf("%d series forgotten, %s, in a recovery", n, why)
		}
	}
}
