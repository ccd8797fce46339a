package generate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources"
)

func cluster(t *testing.T, topics ...string) []kgo.Opt {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}
}

// consume reads n records of a topic.
func consume(t *testing.T, opts []kgo.Opt, topic string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var all []*kgo.Record
	for len(all) < n {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// Two producers write two topics at once: all events arrive, a machine's in one partition and in order, and each injection is told.
func TestProducer(t *testing.T) {
	opts := cluster(t, "fleet", "taxi")
	f := newFleet(t, FleetConfig{Seed: 2, Machines: 30, Anomalies: 50, WarmUp: 20})
	const events = 30 * 200
	var told bytes.Buffer
	start := time.Now()
	var fleet, taxi Produced
	var g errgroup.Group
	g.Go(func() (err error) {
		p := Producer{Topic: "fleet", Events: events, Injections: &told}
		fleet, err = p.Run(t.Context(), opts, f.Events())
		return err
	})
	g.Go(func() (err error) {
		p := Producer{Topic: "taxi"}
		taxi, err = p.Run(t.Context(), opts, Taxi())
		return err
	})
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if fleet.Events != events || taxi.Events != TaxiEvents {
		t.Fatalf("produced %+v and %+v, want %d and %d events", fleet, taxi, events, TaxiEvents)
	}

	want := map[string][]string{}
	for _, e := range take(f.Events(), events) {
		want[string(e.Key)] = append(want[string(e.Key)], string(e.Value))
	}
	got, partition, size := map[string][]string{}, map[string]int32{}, int64(0)
	for _, r := range consume(t, opts, "fleet", events) {
		key := string(r.Key)
		if p, ok := partition[key]; ok && p != r.Partition {
			t.Fatalf("%s is in partitions %d and %d", key, p, r.Partition)
		}
		if r.Timestamp.Before(start.Truncate(time.Millisecond)) || r.Timestamp.After(time.Now()) {
			t.Fatalf("timestamp %v, want the time of writing, after %v", r.Timestamp, start)
		}
		partition[key] = r.Partition
		got[key] = append(got[key], string(r.Value))
		size += int64(len(r.Key) + len(r.Value))
	}
	for key, values := range want {
		if !slices.Equal(got[key], values) {
			t.Errorf("%s: %d values, want the %d produced, in order", key, len(got[key]), len(values))
		}
	}
	if fleet.Bytes != size {
		t.Errorf("%d bytes produced, want %d", fleet.Bytes, size)
	}

	var lines []Injection
	for d := json.NewDecoder(&told); d.More(); {
		var in Injection
		if err := d.Decode(&in); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, in)
	}
	slices.SortFunc(lines, func(a, b Injection) int { return a.Start.Compare(b.Start) })
	if want := f.Injections(events); !slices.Equal(lines, want) || fleet.Injections != int64(len(want)) {
		t.Errorf("%d injections told, %d counted, want %d", len(lines), fleet.Injections, len(want))
	}
}

// Rows of a file stay in order, whatever the number of partitions.
func TestProducerOfAFile(t *testing.T) {
	opts := cluster(t, "good", "bad")
	rows := "n\n"
	for i := range 3000 {
		rows += fmt.Sprintln(i)
	}
	produceFile(t, opts, "good", rows, "<nil>")
	for i, r := range consume(t, opts, "good", 3000) {
		if string(r.Value) != fmt.Sprintf(`{"n":%d}`, i) || r.Partition != 0 || r.Key != nil {
			t.Fatalf("record %d is %s in partition %d, key %q", i, r.Value, r.Partition, r.Key)
		}
	}
	produceFile(t, opts, "bad", "n\n1\n2,3\n", "x.csv:3: 2 columns, want the header's 1")
	consume(t, opts, "bad", 1)
}

func produceFile(t *testing.T, opts []kgo.Opt, topic, in, want string) {
	t.Helper()
	r, err := sources.NewFileReader("x.csv", strings.NewReader(in), decode.Config{})
	if err != nil {
		t.Fatal(err)
	}
	events, failed := File(r)
	p := Producer{Topic: topic}
	if _, err := p.Run(t.Context(), opts, events); err != nil {
		t.Fatal(err)
	}
	if err := failed(); fmt.Sprint(err) != want {
		t.Errorf("failed() = %v, want %s", err, want)
	}
}

func TestProducerErrors(t *testing.T) {
	opts := append(cluster(t, "fleet"), kgo.UnknownTopicRetries(0))
	f := newFleet(t, FleetConfig{Machines: 1, Anomalies: 100})
	p := Producer{Topic: "none", Events: 10}
	if n, err := p.Run(t.Context(), opts, f.Events()); err == nil || !strings.Contains(err.Error(), "produce to none: UNKNOWN_TOPIC") || n.Events > 0 {
		t.Errorf("unknown topic: %+v, %v", n, err)
	}
	p = Producer{Topic: "fleet", Events: 5000, Injections: brokenPipe{}}
	if _, err := p.Run(t.Context(), opts, f.Events()); err == nil || err.Error() != "produce to fleet: write injection: broken pipe" {
		t.Errorf("broken writer: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	p = Producer{Topic: "fleet", Rate: 1000}
	if n, err := p.Run(ctx, opts, f.Events()); err != nil || n.Events > 1000 {
		t.Errorf("stopped: %+v, %v", n, err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestProducerFeed(t *testing.T) {
	endless := func(yield func(Event) bool) {
		for yield(Event{}) {
		}
	}
	slow := func(yield func(Event) bool) {
		for yield(Event{}) {
			time.Sleep(100 * time.Millisecond)
		}
	}
	for name, c := range map[string]struct {
		p       Producer
		events  iter.Seq[Event]
		n       int
		elapsed time.Duration // when the last one is written
	}{
		"rate and time":          {Producer{Rate: 1000, For: 2 * time.Second}, endless, 2000, 1999 * time.Millisecond},
		"rate and number":        {Producer{Rate: 10, Events: 5}, endless, 5, 400 * time.Millisecond},
		"number alone":           {Producer{Events: 7}, endless, 7, 0},
		"time alone":             {Producer{For: time.Second}, slow, 10, 900 * time.Millisecond},
		"too slow for its rate":  {Producer{Rate: 20, For: time.Second}, slow, 20, 1900 * time.Millisecond},
		"more events than there": {Producer{Events: 7}, func(yield func(Event) bool) { yield(Event{}) }, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, n, last := time.Now(), 0, time.Duration(0)
				c.p.feed(t.Context(), start, c.events, func(Event) { n++; last = time.Since(start) })
				if n != c.n || last.Round(time.Millisecond) != c.elapsed {
					t.Errorf("%d events, the last after %v, want %d, %v", n, last, c.n, c.elapsed)
				}
			})
		})
	}
}
