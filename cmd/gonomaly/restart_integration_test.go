//go:build integration && unix

package main

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// How much state is restored, and how long it may take from the assignment to the first alert.
const (
	manySeries     = 200_000 // of each partition
	manyPartitions = 2
	restartTime    = 3 * time.Second
	attempts       = 3 // of which one must be so fast: the machine may have other things to do
)

// After kill -9 with 200,000 series in each partition, checkpointed in Redis, and records waiting, the first alert comes soon.
func TestRestart(t *testing.T) {
	w := newWorld(t).withRedis()
	topic := w.name + ".in"
	config := w.file("gonomaly.yaml", `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, key_prefix: <name>}
instance: only
streams:
  - name: s
    topics: [<name>.in]
    group: <name>
    decode: {key: k, time: {field: ts, unit: ms}, values: [x, y, z]}
    detectors: [{kind: ewma}]
    max_series: 300000
sinks: [{kind: redis}]
`)
	if err := kafka.Create(t.Context(), w.opts, manyPartitions, topic); err != nil {
		t.Fatal(err)
	}
	minute := 0
	produce := func(events iter.Seq[generate.Event]) {
		if _, err := (&generate.Producer{Topic: topic}).Run(t.Context(), w.opts, events); err != nil {
			t.Fatal(err)
		}
	}
	// round is a record of each key, all a minute later than those before.
	round := func(first, keys int, x float64) iter.Seq[generate.Event] {
		minute++
		now := time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC)
		return func(yield func(generate.Event) bool) {
			for i := first; i < first+keys; i++ {
				key := fmt.Sprintf("key-%06d", i)
				noise := float64((i*7919 + minute*104729) % 1000)
				if !yield(generate.Event{Key: []byte(key), Time: now.UnixNano(),
					Value: fmt.Appendf(nil, `{"k":%q,"ts":%d,"x":%.3f,"y":%.3f,"z":%.3f}`, key, now.UnixMilli(), x+noise/1000, noise/100, 100-noise/50)}) {
					return
				}
			}
		}
	}
	const each, known = 100, attempts * 100 // keys that have been seen often enough to tell of: those of each attempt, and all
	for range 300 {
		produce(round(0, known, 20))
	}
	produce(round(0, manySeries*manyPartitions, 20))

	p := w.run(config)
	w.caughtUp(w.name, topic)
	if n := p.metric("gonomaly_series"); n != manySeries*manyPartitions {
		t.Fatalf("the partitions have %v series, want %d", n, manySeries*manyPartitions)
	}
	for i := range attempts {
		w.eventually("all is checkpointed", func() error {
			produce(round(0, known, 20)) // a checkpoint follows a commit
			// One while the state was growing, and one after.
			if n := p.metric("gonomaly_checkpoints_total", "outcome", "stored"); n < 2*manyPartitions {
				return fmt.Errorf("%v checkpoints", n)
			}
			return nil
		})
		produce(round(1000, 50_000, 20)) // which no checkpoint has
		w.caughtUp(w.name, topic)
		p.kill()
		produce(round(i*each, each, 90))
		produce(round(1000, 200_000, 20)) // records are waiting

		first := w.follow(topic+".alerts", len(w.alerts(topic+".alerts")))
		begin := time.Now()
		p = w.run(config)
		come := <-first
		w.caughtUp(w.name, topic) // all are assigned by then
		assigned, loading, fold := p.assigned(manyPartitions)
		took := come.Sub(assigned)
		t.Logf("%d series in each of %d partitions: the first alert %v after the assignment, %v of it to load them from Redis, with %d records to fold; %v after the start",
			manySeries, manyPartitions, took.Round(time.Millisecond), loading.Round(time.Millisecond), fold, come.Sub(begin).Round(time.Millisecond))
		if fold > 0 && took <= restartTime {
			return
		}
	}
	slow(t, "in none of %d attempts the first alert came at most %v after the assignment, with records to fold", attempts, restartTime)
}

// assigned says when the first of its partitions was assigned, how long it took to load the state of all, and how much was left to fold.
func (p *process) assigned(partitions int) (at time.Time, loading time.Duration, fold int64) {
	p.w.Helper()
	lines := p.lines("partition assigned")
	if len(lines) < partitions {
		p.w.Fatalf("%d partitions are assigned, want %d", len(lines), partitions)
	}
	for _, l := range lines {
		took := time.Duration(l.Seconds * float64(time.Second))
		if begin := l.Time.Add(-took); at.IsZero() || begin.Before(at) {
			at = begin
		}
		loading, fold = max(loading, took), fold+l.ToFold
	}
	return at, loading, fold
}

// follow says when the first committed record of a topic comes after those that are there.
func (w *world) follow(topic string, there int) <-chan time.Time {
	w.Helper()
	client, err := kgo.NewClient(append(slices.Clone(w.opts), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.Close)
	come := make(chan time.Time, 1)
	go func() {
		for n := 0; n <= there; {
			fetches := client.PollFetches(w.Context())
			if fetches.IsClientClosed() || w.Context().Err() != nil {
				return
			}
			n += fetches.NumRecords()
		}
		come <- time.Now()
	}()
	return come
}

// line is of a service's log.
type line struct {
	Time    time.Time
	Msg     string
	Seconds float64
	ToFold  int64 `json:"to_fold"`
}

// lines are those of the log that say msg.
func (p *process) lines(msg string) (lines []line) {
	p.w.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.log {
		var l line
		if json.Unmarshal([]byte(text), &l) == nil && l.Msg == msg {
			lines = append(lines, l)
		}
	}
	return lines
}
