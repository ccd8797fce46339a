//go:build integration && unix

package main

import (
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/sources/generate"
)

// What comes in makes no time series: a million keys, and a thousand inputs each bad in its own way, add none to a scrape that knows a few of both.
func TestCardinality(t *testing.T) {
	w := newWorld(t).withRedis()
	topic := w.name + ".in"
	config := w.file("gonomaly.yaml", `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, key_prefix: <name>}
instance: <name>
streams:
  - name: s
    topics: [<name>.in]
    group: <name>
    decode: {key: k, time: {field: ts, unit: ms}, values: [x], max_bytes: 10000, max_depth: 8}
    detectors: [{kind: ewma, half_life: 30}]
    alert: {false_alarms: 1 per 100 points, cool_down: 1s}
    max_series: 1000000
sinks: [{kind: redis}]
`)
	w.gonomaly("produce", "--topic", topic, "--input", w.file("none.jsonl", "")) // makes the topic
	p := w.run(config)
	at := time.Now().Add(-24 * time.Hour).Truncate(time.Second)
	feed := func(events iter.Seq[generate.Event]) {
		if _, err := (&generate.Producer{Topic: topic}).Run(t.Context(), w.opts, events); err != nil {
			t.Fatal(err)
		}
		w.caughtUp(w.name, topic)
		w.eventually("the sink has all alerts", func() error {
			lags := p.families()["gonomaly_sink_lag_records"].GetMetric()
			if len(lags) != 4 {
				return fmt.Errorf("it has %d partitions", len(lags))
			}
			if n := p.metric("gonomaly_sink_lag_records"); n > 0 {
				return fmt.Errorf("it lacks %v", n)
			}
			return nil
		})
	}
	good := func(i, keys int) generate.Event {
		at = at.Add(20 * time.Millisecond)
		x := i % 7
		if i%400 > 390 {
			x += 1000
		}
		key := fmt.Sprintf("%d-%d", keys, i%keys)
		return generate.Event{Key: []byte(key), Value: fmt.Appendf(nil, `{"k":%q,"ts":%d,"x":%d}`, key, at.UnixMilli(), x), Time: at.UnixNano()}
	}
	bad := func(i int) generate.Event {
		ts := at.UnixMilli()
		value := []string{
			fmt.Sprintf(`no json %d`, i), fmt.Sprintf(`[%d]`, i), fmt.Sprintf(`{"k":"a","ts":%d,"y-%d":1}`, ts, i), fmt.Sprintf(`{"k":"a","ts":%d,"x":"%d"}`, ts, i),
			fmt.Sprintf(`{"k":"a","ts":"day %d","x":1}`, i), fmt.Sprintf(`{"k":"a","ts":%d,"x":1e%d}`, ts, 999+i), fmt.Sprintf(`{"k":"a","ts":%d,"x":1}`, ts+int64(i+1)*1e12),
			fmt.Sprintf(`{"y":%s%d%s,"k":"a","ts":%d,"x":1}`, strings.Repeat("[", 9+i%50), i, strings.Repeat("]", 9+i%50), ts), strings.Repeat("x", 10_001+i),
			fmt.Sprintf(`{"k":%q,"ts":%d,"x":1}`, strings.Repeat("k", 2000+i), ts),
		}[i%10]
		return generate.Event{Key: fmt.Append(nil, "bad ", i), Value: []byte(value), Time: at.UnixNano()}
	}

	mixed := func(n, keys, every int) iter.Seq[generate.Event] {
		return func(yield func(generate.Event) bool) {
			for i := range n {
				if !yield(good(i, keys)) || i%every == 0 && !yield(bad(i/every)) {
					return
				}
			}
		}
	}

	feed(mixed(4000, 20, 100))
	p.w.eventually("a checkpoint is stored", func() error {
		if p.metric("gonomaly_checkpoints_total", "outcome", "stored") == 0 {
			return fmt.Errorf("none is")
		}
		return nil
	})
	for _, status := range []string{"open", "resolve"} {
		if p.metric("gonomaly_alerts_total", "status", status) == 0 {
			t.Fatalf("no alert is %s: the test tests nothing", status)
		}
	}
	before := p.series()
	const keys, wrong = 1_000_000, 1000
	feed(mixed(keys, keys, keys/wrong))
	if n := p.metric("gonomaly_series"); n < keys*9/10 {
		t.Errorf("%.0f keys are held, want most of a million: the test tests nothing", n)
	}
	if n := p.metric("gonomaly_dead_letters_total"); n < wrong {
		t.Errorf("%.0f dead letters, want %d or more: the test tests nothing", n, wrong)
	}
	after := p.series()
	for one := range after {
		if !before[one] {
			t.Errorf("what came in has made %s", one)
		}
	}
	t.Logf("%d time series in a scrape, and %d after %d keys and %d bad inputs", len(before), len(after), keys, wrong)
}

// series are the time series of some scrapes: one that a broker is slow to answer has some less.
func (p *process) series() map[string]bool {
	p.w.Helper()
	all := map[string]bool{}
	for range 5 {
		_, text := p.get("/metrics")
		for line := range strings.Lines(text) {
			if at := strings.LastIndex(line, " "); line[0] != '#' && at > 0 {
				all[line[:at]] = true
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
	return all
}
