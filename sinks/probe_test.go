package sinks

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// answer is what a worker tells of a probe.
func answer(header string) *kgo.Record {
	return &kgo.Record{
		Topic: topic, Key: []byte(pipeline.ProbeKey + "/machines/0"), Value: []byte(`{"type":"io.gonomaly.probe.v1"}`),
		Headers: []kgo.RecordHeader{{Key: "content-type"}, {Key: pipeline.ProbeHeader, Value: []byte(header)}},
	}
}

// Answers to probes, between alerts and alone, are nobody's: no sink has them, none is set aside, and those behind a sink's position are no
// alerts that wait.
func TestAnswersToProbesAreSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	manual, err := kgo.NewClient(append(w.kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer manual.Close()
	answers := func(age time.Duration) {
		for id := range int32(4) {
			for range 3 {
				a := answer("machines/a/1")
				a.Partition, a.Timestamp = id, time.Now().Add(-age)
				if err := manual.ProduceSync(t.Context(), a).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	_, stop := w.run("redis", "stdout")
	for range 5 {
		w.produce(10)
		answers(0)
	}
	w.wantOnce()
	answers(time.Hour)
	w.eventually(func() bool {
		return w.lag("redis") == 0 && w.lag("stdout") == 0 && len(w.stdout.ids(t)) == len(w.ids)
	})
	time.Sleep(3 * quick.check) // Redis is asked where it stands
	stop()
	r, _ := w.run("redis", "stdout") // Redis stands where its last alert was, before the answers
	w.produce(10)
	w.wantOnce()
	count := func(sink, outcome string) float64 {
		return testutil.ToFloat64(w.metrics.deliveries.WithLabelValues(sink, outcome))
	}
	w.eventually(func() bool {
		return w.lag("redis") == 0 && count("redis", delivered) >= float64(len(w.ids)) && count("stdout", delivered) >= float64(len(w.ids)) && trouble(r) == ""
	})
	for _, sink := range []string{"redis", "stdout"} {
		for outcome, want := range map[string]float64{delivered: float64(len(w.ids)), refused: 0, unreadable: 0} {
			if n := count(sink, outcome); n != want {
				t.Errorf("%v are %s to %s, want %v", n, outcome, sink, want)
			}
		}
		if n := testutil.ToFloat64(w.metrics.rewinds.WithLabelValues(sink)); n > 0 {
			t.Errorf("%s was read back to %v times, and has lost nothing", sink, n)
		}
	}
}

// What has waited is the oldest alert, whatever stands before it.
func TestOldestIsAnAlert(t *testing.T) {
	old, key := answer("machines/a/1"), []byte("m-01")
	old.Timestamp = time.Now().Add(-time.Hour)
	p := &partition{end: 1, queue: []*kgo.Record{old}}
	if records, oldest := p.lag(); records != 1 || oldest != 0 {
		t.Errorf("lag = %d, %v, want one record, that nobody waits for", records, oldest)
	}
	p.queue = append(p.queue, &kgo.Record{Key: key, Timestamp: time.Now().Add(-time.Minute)})
	if records, oldest := p.lag(); records != 2 || oldest < time.Minute || oldest > time.Hour/2 {
		t.Errorf("lag = %d, %v, want two, of which one has waited for a minute", records, oldest)
	}
	if b, n := p.waiting(); n != 1 || len(b.records) != 0 {
		t.Errorf("the next batch has %d of %d records, want the answer alone", len(b.records), n)
	}
	p.queue[0].Headers = nil
	if b, n := p.waiting(); n != 2 || len(b.records) != 2 {
		t.Errorf("the next batch has %d of %d records, want both: the first is no answer without its header", len(b.records), n)
	}
}
