//go:build integration && unix

package checkpoint_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sinks"
)

// stage is all of Gonomaly that Redis touches: a stream of one partition with its checkpoints, the alerts topic, which is durable, and a
// Redis sink that reads it. A process can be lost, and another takes over where the group's offset stands.
type stage struct {
	*testing.T
	*process
	config  checkpoint.RedisConfig
	server  *local.Redis // where the stage has one of its own
	admin   redis.UniversalClient
	records []pipeline.Record
	want    []string // ids of the alerts of an undisturbed run

	// What Kafka keeps.
	committed int64
	topic     []sinks.Delivery
}

// process is what is lost with a process.
type process struct {
	stream     *pipeline.Stream
	sink       sinks.Positioned
	client     redis.UniversalClient
	registry   *prometheus.Registry
	said       said
	next, sent int64 // of the alerts topic: what is to be sent, and what the sink has confirmed
}

const stageSettings = "detectors: [{kind: ewma, half_life: 20}]\nalert: {false_alarms: 1 per 25 points, cool_down: 3 points}"

// newStage makes a stage on a Redis of its own, whose user has no more rights than it needs.
func newStage(t *testing.T, settings ...string) *stage {
	t.Helper()
	server := local.OwnRedis(t, settings...)
	admin := redis.NewClient(&redis.Options{Addr: server.Address(), PoolSize: 1, PipelinePoolSize: -1})
	if err := checkpoint.Grant(t.Context(), admin, checkpoint.TestUser, checkpoint.AllRights()...); err != nil {
		t.Fatal(err)
	}
	c := checkpoint.DefaultRedis()
	c.Address, c.Username, c.Password = server.Address(), checkpoint.TestUser, checkpoint.TestPassword
	s := newStageOn(t, c, admin)
	s.server = server
	return s
}

// newStageOn makes a stage on the Redis of a configuration.
func newStageOn(t *testing.T, c checkpoint.RedisConfig, admin redis.UniversalClient) *stage {
	t.Helper()
	c.KeyPrefix = fmt.Sprintf("test-%d", time.Now().UnixNano())
	s := &stage{T: t, config: c, admin: admin, records: noise(3000, 20, 3000)}
	t.Cleanup(func() { _ = admin.Close() })
	for _, m := range goldenWorker(t, stageSettings).Process(s.records, 0) {
		s.want = append(s.want, s.alert(m).ID)
	}
	if len(s.want) < 30 {
		t.Fatalf("%d alerts, want some more", len(s.want))
	}
	return s
}

func (s *stage) alert(m pipeline.Message) pipeline.Alert {
	s.Helper()
	a, err := pipeline.ParseAlert(m.Value)
	if err != nil {
		s.Fatal(err)
	}
	return a
}

// begin begins another process.
func (s *stage) begin() *process {
	s.Helper()
	p := &process{registry: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(&p.said, nil))
	var err error
	if p.client, err = s.config.Client(p.registry); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = p.client.Close() })
	p.stream, err = pipeline.NewStream(pipeline.Options{
		Name: "s", Group: goldenLog.Group, Topics: []string{goldenLog.Topic}, Config: streamOf(s.T, stageSettings),
		Checkpoints:     checkpoint.NewRedis(p.client, s.config.KeyPrefix, p.registry, log),
		CheckpointEvery: 20 * time.Millisecond, Metrics: pipeline.NewMetrics(p.registry), Log: log,
	})
	if err != nil {
		s.Fatal(err)
	}
	sink, err := sinks.Kinds["redis"]().New(sinks.Env{Redis: p.client, KeyPrefix: s.config.SinkPrefix()})
	if err != nil {
		s.Fatal(err)
	}
	p.sink = sink.(sinks.Positioned)
	return p
}

// takeOver has a new process take the partition over; the one before is lost as it is. It wants it to read from an offset.
func (s *stage) takeOver(want int64) {
	s.Helper()
	s.process = s.begin()
	from, err := s.stream.Assign(s.Context(), goldenLog.Partition, s.committed)
	if err != nil || from != want {
		s.Fatalf("Assign = %d, %v, want %d", from, err, want)
	}
	if s.next, err = s.sink.Position(s.Context(), alertsOf); err != nil {
		s.Fatal(err)
	}
	s.sent = s.next
}

var alertsOf = pipeline.Partition{Topic: "t.alerts"}

// fold folds the records up to an offset and commits them, as Kafka does: with their alerts. It is not held up by Redis.
func (s *stage) fold(to int64) {
	s.Helper()
	for next := max(0, s.stream.Position(goldenLog.Partition)); next < to; {
		next = min(next+100, to)
		told, err := s.stream.Process(s.Context(), goldenLog.Partition, s.records[max(0, s.stream.Position(goldenLog.Partition)):next])
		if err != nil {
			s.Fatal(err)
		}
		for _, m := range told {
			s.topic = append(s.topic, sinks.Delivery{Alert: s.alert(m), Data: m.Value, Partition: alertsOf, Offset: int64(len(s.topic))})
		}
		s.committed = max(s.committed, next)
		s.commit()
	}
}

func (s *stage) commit() {
	s.Helper()
	if err := s.stream.Committed(s.Context(), goldenLog.Partition, s.committed); err != nil {
		s.Fatal(err)
	}
}

// deliver sends what is in the alerts topic, until the sink fails.
func (s *stage) deliver() error {
	for s.next < int64(len(s.topic)) {
		var ds []*sinks.Delivery
		for after := s.sent; s.next+int64(len(ds)) < int64(len(s.topic)) && len(ds) < 10; after = ds[len(ds)-1].Offset + 1 {
			d := s.topic[s.next+int64(len(ds))]
			d.After = after
			ds = append(ds, &d)
		}
		n, err := s.sink.Send(s.Context(), ds)
		if n > 0 {
			s.next += int64(n)
			s.sent = s.next
		}
		var behind *sinks.Behind
		switch {
		case errors.As(err, &behind):
			s.next, s.sent = behind.Stored, behind.Stored
		case err != nil:
			return err
		}
	}
	return nil
}

// delivered waits until all is delivered.
func (s *stage) delivered() {
	s.Helper()
	s.eventually("alerts are delivered", func() error { return s.deliver() })
}

// stored waits until the state of the committed offset is stored.
func (s *stage) stored() {
	s.Helper()
	store := checkpoint.NewRedis(s.admin, s.config.KeyPrefix, nil, slog.New(slog.DiscardHandler))
	of := streamOf(s.T, stageSettings)
	s.eventually("the state is stored", func() error {
		s.commit()
		states, err := store.Load(s.Context(), goldenLog, math.MaxInt64, of.Hashes())
		if err == nil && states[len(states)-1].Offset != s.committed {
			err = fmt.Errorf("that of %d is, want %d", states[len(states)-1].Offset, s.committed)
		}
		return err
	})
}

// eventually waits until what is asked has no objection.
func (s *stage) eventually(what string, ask func() error) {
	s.Helper()
	var err error
	for range 2000 {
		if err = ask(); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.Fatalf("waiting until %s: %v", what, err)
}

// wantOnce wants each alert in Redis once.
func (s *stage) wantOnce() {
	s.Helper()
	entries, err := s.admin.XRange(s.Context(), s.config.SinkPrefix()+":alerts", "-", "+").Result()
	if err != nil {
		s.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprint(e.Values["id"]))
	}
	if !slices.Equal(got, s.want) {
		distinct := len(slices.Compact(slices.Sorted(slices.Values(got))))
		s.Errorf("Redis has %d alerts, %d of them different, want %d in order", len(got), distinct, len(s.want))
	}
}

// said is what a process logs.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*said)(nil)

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

// lines are those that hold a text.
func (s *said) lines(text string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for line := range strings.Lines(s.b.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
