package sources

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// unconnected is a session without a client.
func unconnected(t *testing.T) *session {
	t.Helper()
	k, err := NewKafka(KafkaOptions{
		Client: kafka.Config{Brokers: []string{"localhost:1"}}, Stream: "s", Group: group, Topics: []string{input}, Outputs: []string{alerts},
		Clients: kafka.NewMetrics(prometheus.NewRegistry()), Metrics: NewKafkaMetrics(prometheus.NewRegistry()), Log: logTo(""),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, &store{saved: map[pipeline.Partition][]machine{}})
	return newSession(t.Context(), k, h, map[string]kafka.Topic{input: {Partitions: 1}})
}

// What a transaction commits is decided partition by partition.
func TestDue(t *testing.T) {
	now := time.Now()
	held := map[string]map[int32]kgo.EpochOffset{input: {0: {}}}
	for name, c := range map[string]struct {
		o    *owned
		held map[string]map[int32]kgo.EpochOffset
		due  bool
		err  bool
	}{
		"records beyond what is committed": {o: &owned{settled: now, committed: 5, end: 9}, held: held, due: true},
		"with alerts":                      {o: &owned{settled: now, committed: 5, end: 9, written: 1}, held: held, due: true},
		"processed, not written":           {o: &owned{settled: now, committed: 9, end: 9, position: 12, pending: make([]pipeline.Message, 1)}, held: held},
		"nothing new":                      {o: &owned{settled: now, committed: 9, end: 9}, held: held},
		"folding what is committed":        {o: &owned{settled: now, committed: 9, end: 5}, held: held},
		"no state yet":                     {o: &owned{settled: now, committed: 0, end: -1}, held: held},
		"still being assigned":             {o: &owned{committed: 5, end: 9}, held: held},
		"taken away":                       {o: &owned{settled: now, committed: 5, end: 9}},
		"taken away, with alerts":          {o: &owned{settled: now, committed: 5, end: 9, written: 1}, err: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := unconnected(t)
			s.owned[place{input, 0}] = c.o
			due, err := s.due(c.held)
			if (len(due) == 1) != c.due || (err != nil) != c.err {
				t.Errorf("due = %v, %v, want due %v, error %v", due, err, c.due, c.err)
			}
			if err != nil && !errors.Is(err, errAbort) {
				t.Errorf("%v would cost the client", err)
			}
		})
	}
}

// A partition that is assigned again while the open transaction holds its alerts makes that abort: the alerts will be told again.
func TestAssignedAgainUnderATransaction(t *testing.T) {
	s := unconnected(t)
	at, held := place{input, 0}, map[string]map[int32]kgo.EpochOffset{input: {0: {}}}
	if _, err := s.restore(t.Context(), at, taken{committed: 5, log: &bounds{0, 9}}); err != nil {
		t.Fatal(err)
	}
	s.owned[at].pending, s.owned[at].written = []pipeline.Message{{Offset: 8}}, 1
	if _, err := s.restore(t.Context(), at, taken{committed: 5, log: &bounds{0, 9}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.due(held); !errors.Is(err, errAbort) {
		t.Errorf("due: %v, want an abort", err)
	}
}

// A partition that was taken without notice is found; one on its way in is left alone.
func TestStrays(t *testing.T) {
	now := time.Now()
	s := unconnected(t)
	for id, o := range []*owned{
		{settled: now, fetched: true}, // held
		{settled: now, fetched: true}, // a stray
		{settled: now},                // just assigned
		{},                            // being assigned
		{settled: now.Add(-2 * settleTime), from: 7},  // assigned long ago, and never held
		{settled: now.Add(-2 * settleTime), from: -1}, // the client holds it once something has come of it
	} {
		s.owned[place{input, int32(id)}] = o //nolint:gosec // six of them
	}
	strays := s.strays(map[string]map[int32]kgo.EpochOffset{input: {0: {}}})
	slices.SortFunc(strays, func(a, b place) int { return int(a.id - b.id) })
	if want := []place{{input, 1}, {input, 4}}; !slices.Equal(strays, want) {
		t.Errorf("strays %v, want %v", strays, want)
	}
}

// A client that has outlived its session does not reach the handler, which is another session's by then.
func TestOverIsOver(t *testing.T) {
	s := unconnected(t)
	at := place{input, 0}
	o, err := s.restore(t.Context(), at, taken{committed: 5, log: &bounds{0, 9}})
	if err != nil {
		t.Fatal(err)
	}
	s.drain()
	h := s.h.(*handler)
	if _, err := h.Assign(t.Context(), o.p, 5); err != nil { // by the next session
		t.Fatal(err)
	}
	if _, err := s.assign(t.Context(), nil); !errors.Is(err, errOver) {
		t.Errorf("assign: %v, want %v", err, errOver)
	}
	s.drop(context.Background(), nil, map[string][]int32{input: {0}})
	if m, _ := h.get(o.p); m == nil {
		t.Error("the old client has revoked a partition of the next session")
	}
}

// A revocation waits until the handler is done with the partition's records.
func TestTurns(t *testing.T) {
	s := unconnected(t)
	at := place{input, 0}
	if _, err := s.restore(t.Context(), at, taken{committed: -1, log: &bounds{0, 3}}); err != nil {
		t.Fatal(err)
	}
	processing, revoking := make(chan struct{}), make(chan struct{})
	hold := func() {
		close(processing)
		<-revoking
		time.Sleep(20 * time.Millisecond)
	}
	s.h.(*handler).before.Store(&hold)
	done := make(chan error)
	polled := share{at, s.get(at), kgo.FetchTopicPartition{Topic: input, FetchPartition: kgo.FetchPartition{Records: []*kgo.Record{{Topic: input}}}}}
	go func() { done <- s.fold(t.Context(), polled) }()
	<-processing
	close(revoking)
	s.forget(t.Context(), []place{at}) // the handler fails the test if the calls overlap
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := s.fold(t.Context(), polled); err != nil || s.h.(*handler).count() != 1 {
		t.Errorf("%d records are processed, and %v, want none of those that were polled before the partition was revoked", s.h.(*handler).count()-1, err)
	}
}

// A partition that stands still while its log grows is noticed; one that has nothing to do, or moves, is not.
func TestTurnEnd(t *testing.T) {
	const every = 200 * time.Millisecond
	ending := time.Unix(1000, 0)
	for took, want := range map[time.Duration]time.Duration{ // since the last commit began
		0: every, 15 * time.Millisecond: every, 99 * time.Millisecond: every,
		100 * time.Millisecond: 300 * time.Millisecond, time.Hour: time.Hour + every,
	} {
		if got := turnEnd(ending.Add(took), ending, every).Sub(ending); got != want {
			t.Errorf("a commit that took %v is followed by one after %v, want %v", took, got, want)
		}
	}
}

func TestWatch(t *testing.T) {
	s := unconnected(t)
	at := place{input, 0}
	o := &owned{p: pipeline.Partition{Topic: input}, settled: time.Now(), position: 5}
	o.lag.begin(5, bounds{0, 5}, time.Now())
	s.owned[at] = o
	stands, now := map[*owned]stand{}, time.Now()
	look := func(end int64) error {
		now = now.Add(s.watching.stuck/2 + time.Second)
		return s.standing(stands, map[place]*bounds{at: {0, end}}, now)
	}
	for range 5 {
		if err := look(5); err != nil {
			t.Fatalf("idle: %v", err)
		}
	}
	for range 5 {
		o.position++
		o.lag.done(o.position, now, 0)
		if err := look(1000); err != nil {
			t.Fatalf("moving: %v", err)
		}
	}
	if err := look(1000); err != nil {
		t.Fatalf("standing for a while: %v", err)
	}
	if err := look(1000); err == nil {
		t.Error("standing still is not noticed")
	}
}

// processed is what becomes of what was polled.
func processed(t *testing.T, s *session, fetches kgo.Fetches) (failed bool, err error) {
	t.Helper()
	if err := s.take(fetches); err != nil {
		t.Fatal(err)
	}
	if _, err := s.step(t.Context(), func(*owned) bool { return true }); err != nil {
		t.Fatal(err)
	}
	return s.complain(t.Context())
}

// Records that come together with an error are processed: the client goes on after them.
func TestRecordsBesideAnError(t *testing.T) {
	s := unconnected(t)
	at := place{input, 0}
	if _, err := s.restore(t.Context(), at, taken{committed: -1, log: &bounds{0, 3}}); err != nil {
		t.Fatal(err)
	}
	fetches := kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: input, Partitions: []kgo.FetchPartition{{
		Err: kerr.TopicAuthorizationFailed, LastStableOffset: 3, Records: []*kgo.Record{{Topic: input}, {Topic: input, Offset: 1}},
	}}}}}}
	failed, err := processed(t, s, fetches)
	if !failed || err != nil {
		t.Errorf("process = %v, %v, want true, nil", failed, err)
	}
	if o := s.get(at); o.position != 2 {
		t.Errorf("position %d, want 2", o.position)
	}
	if s.fetchFailed == nil {
		t.Error("the error is not kept for those who ask whether the source is ready")
	}
}

// Records that brokers have lost, fetches that fail, rights that are denied and messages that are cut are counted.
func TestWhatGoesWrongIsCounted(t *testing.T) {
	s := unconnected(t)
	at := place{input, 0}
	if _, err := s.restore(t.Context(), at, taken{committed: -1, log: &bounds{0, 3}}); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{&kgo.ErrDataLoss{Topic: input, ConsumedTo: 5, ResetTo: 3}, kerr.TopicAuthorizationFailed} {
		fetches := kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: input, Partitions: []kgo.FetchPartition{{Err: err}}}}}}
		if _, err := processed(t, s, fetches); err != nil {
			t.Fatal(err)
		}
	}
	s.keep(s.get(at), []pipeline.Message{{Topic: alerts, Value: make([]byte, 2<<20)}}, 0)
	for name, c := range map[string]*prometheus.CounterVec{"losses": s.o.Metrics.losses, "cut": s.o.Metrics.cut} {
		if n := testutil.ToFloat64(c.WithLabelValues("s")); n != 1 {
			t.Errorf("%s: %v, want 1", name, n)
		}
	}
	if n := testutil.ToFloat64(s.o.Metrics.fetchErrors.WithLabelValues("s")); n != 2 {
		t.Errorf("%v fetches have failed, want 2", n)
	}
}

// While the brokers are away the client reports it again and again: the log says it once, and readiness says what it is.
func TestFetchFailuresAreSaidOnce(t *testing.T) {
	s := unconnected(t)
	var said bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	away, denied := errors.New("unable to join group session: refused"), errors.New("denied")
	for range 2 {
		for _, f := range []kgo.FetchTopicPartition{
			{FetchPartition: kgo.FetchPartition{Err: away}},
			{Topic: input, FetchPartition: kgo.FetchPartition{Partition: 2, Err: denied}}, {Topic: input, FetchPartition: kgo.FetchPartition{Partition: 3, Err: denied}},
		} {
			if err := s.failed(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := strings.Count(said.String(), "unable to join"); n != 1 {
		t.Errorf("it is said %d times that the brokers are away, want once:\n%s", n, &said)
	}
	if want := "fetch " + input + "/2: denied"; strings.Count(said.String(), "denied") != 1 || !strings.Contains(said.String(), want) {
		t.Errorf("it says\n%s, want %s, and that once", &said, want)
	}
	if want := "fetch " + input + "/3: denied"; s.fetchFailed.Error() != want {
		t.Errorf("readiness says %v, want %s", s.fetchFailed, want)
	}
	if want := "fetch: unable to join"; !strings.Contains(said.String(), want) {
		t.Errorf("it says\n%s, want %s", &said, want)
	}
}

// One that ends while it waits for topics leaves nothing to anyone, and does not say so.
func TestEndBeforeTopicsAreThere(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var said bytes.Buffer
	k := unconnected(t).Kafka
	k.log = slog.New(slog.NewTextHandler(writerFunc(func(line []byte) (int, error) {
		if bytes.Contains(line, []byte("waiting for topics")) {
			cancel()
		}
		return said.Write(line)
	}), nil))
	if err := k.Run(ctx, nil); err != nil || !strings.Contains(said.String(), "waiting for topics") || strings.Contains(said.String(), "next owner") {
		t.Errorf("Run: %v, it says\n%s", err, &said)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
