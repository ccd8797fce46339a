package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

const topic = "machines.alerts"

// quick is the usual pace, some ten times as fast.
var quick = pace{
	first: 5 * time.Millisecond, longest: 500 * time.Millisecond, breaker: 200 * time.Millisecond,
	session: 50 * time.Millisecond, commit: 100 * time.Millisecond, check: 300 * time.Millisecond, idle: 3 * time.Second, hold: 2 * time.Second,
}

// world is a broker, a Redis, and the alerts written so far.
type world struct {
	*testing.T
	kafka   []kgo.Opt
	client  *kgo.Client
	redis   *miniredis.Miniredis
	env     Env
	stdout  *output
	metrics *Metrics
	tracer  *tracing.Tracer
	ids     []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	w := &world{T: t, kafka: []kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...)}, redis: miniredis.RunT(t), stdout: &output{}, metrics: NewMetrics(prometheus.NewRegistry())}
	w.client, err = kgo.NewClient(append(w.kafka, kgo.AllowAutoTopicCreation())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	c := checkpoint.DefaultRedis()
	c.Address = w.redis.Addr()
	rc, err := c.Client(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rc.Close() })
	w.env = Env{Redis: rc, KeyPrefix: c.KeyPrefix, Stdout: w.stdout}
	return w
}

// output is a standard output.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	fail atomic.Bool
}

func (l *output) Write(b []byte) (int, error) {
	if l.fail.Load() {
		return 0, errors.New("broken pipe")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *output) ids(t *testing.T) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for _, b := range bytes.Split(bytes.TrimSpace(l.buf.Bytes()), []byte("\n")) {
		if a, err := pipeline.ParseAlert(b); err == nil {
			ids = append(ids, a.ID)
		} else if len(b) > 0 {
			t.Errorf("%s: %v", b, err)
		}
	}
	return ids
}

// alert i: of incident i/3, which the third of them resolves.
func alert(i int) *pipeline.Alert {
	return &pipeline.Alert{
		ID: fmt.Sprintf("alert-%05d", i), Stream: "machines", Key: fmt.Sprintf("m-%02d", i/3%20), Kind: pipeline.Anomaly,
		Status: []pipeline.Status{pipeline.Open, pipeline.Update, pipeline.Resolve}[i%3], Incident: fmt.Sprintf("alert-%05d", i/3*3), Revision: i % 3,
		Time: time.Date(2026, 3, 1, 12, 30, 0, 0, time.UTC), Values: map[string]float64{"temp": 93.1}, Reason: "temp is high",
	}
}

func data(t *testing.T, a *pipeline.Alert) []byte {
	b, err := pipeline.EncodeAlert(a)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// produce writes n more alerts.
func (w *world) produce(n int) {
	w.Helper()
	for range n {
		a := alert(len(w.ids))
		w.ids = append(w.ids, a.ID)
		w.client.Produce(w.Context(), &kgo.Record{Topic: topic, Key: []byte(a.Key), Value: data(w.T, a)}, func(_ *kgo.Record, err error) {
			if err != nil {
				w.Error(err)
			}
		})
	}
	if err := w.client.Flush(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// run starts a router with sinks of kinds, and returns it and what stops it.
func (w *world) run(kinds ...string) (r *Router, stop func()) {
	w.Helper()
	return w.runSinks(ofKinds(kinds...))
}

// ofKinds are sinks with the defaults of kinds.
func ofKinds(kinds ...string) (configs []SinkConfig) {
	for _, k := range kinds {
		configs = append(configs, SinkConfig{Kind: k, Params: Kinds[k]()})
	}
	return configs
}

func (w *world) runSinks(configs []SinkConfig) (r *Router, stop func()) {
	w.Helper()
	r = w.router(configs)
	return r, w.start(r)
}

// router makes one and does not start it.
func (w *world) router(configs []SinkConfig) *Router {
	w.Helper()
	r, err := NewRouter(Options{
		Sinks: configs, Topics: []Topic{{topic, "gonomaly.machines"}, {topic, "another"}}, Env: w.env, Kafka: w.kafka, Instance: "one",
		Metrics: w.metrics, Log: slog.New(slog.DiscardHandler), Tracer: w.tracer, pace: quick,
	})
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// start runs a router, and returns what stops it.
func (w *world) start(r *Router) (stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("Run = %v, want nil", err)
		}
	})
	w.Cleanup(stop)
	return stop
}

// trouble is what a router's sinks say is wrong, empty for nothing.
func trouble(r *Router) (details string) {
	for _, s := range r.Status() {
		details += s.Detail
	}
	return details
}

// inStream returns the ids in the stream, checked against their data.
func (w *world) inStream() []string {
	entries, _ := w.redis.Stream("gonomaly:alerts")
	var ids []string
	for _, e := range entries {
		if len(e.Values) != 4 || e.Values[0] != "id" || e.Values[2] != "data" {
			w.Fatalf("entry is %v, want id and data", e.Values)
		}
		a, err := pipeline.ParseAlert([]byte(e.Values[3]))
		if err != nil || a.ID != e.Values[1] {
			w.Fatalf("entry %s is of alert %s, %v", e.Values[1], a.ID, err)
		}
		ids = append(ids, a.ID)
	}
	return ids
}

// eventually waits for as long as the test may run.
func (w *world) eventually(ok func() bool) {
	for !ok() {
		time.Sleep(20 * time.Millisecond)
	}
}

// wantOnce waits until every alert is in the stream, and wants each once; and no incident open but those of alerts that are.
func (w *world) wantOnce() {
	w.Helper()
	w.eventually(func() bool { return len(w.inStream()) >= len(w.ids) })
	if got := slices.Sorted(slices.Values(w.inStream())); !slices.Equal(got, w.ids) {
		w.Errorf("%d entries in the stream, %d of them different, want %d", len(got), len(slices.Compact(got)), len(w.ids))
	}
	open, want := map[string]string{}, map[string]string{}
	for i := range w.ids {
		if a := alert(i); a.Status == pipeline.Resolve {
			delete(want, a.Incident)
		} else {
			want[a.Incident] = a.ID
		}
	}
	keys, _ := w.redis.HKeys("gonomaly:incidents")
	for _, incident := range keys {
		a, err := pipeline.ParseAlert([]byte(w.redis.HGet("gonomaly:incidents", incident)))
		if err != nil {
			w.Error(err)
		}
		open[incident] = a.ID
	}
	if !maps.Equal(open, want) {
		w.Errorf("open incidents are %v, want %v", open, want)
	}
}

// flaky fails commands of a client: some before they reach Redis, some after they were carried out.
type flaky struct{ rate float64 }

func (f flaky) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook has some commands refused, and breaks the connection: then replies do not come, whether commands were carried out or
// not.
func (f flaky) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		answered := len(cmds)
		if rand.Float64() < f.rate {
			answered = rand.IntN(len(cmds))
		}
		carriedOut := answered + rand.IntN(len(cmds)-answered+1)
		var passed []redis.Cmder
		for i, cmd := range cmds[:carriedOut] {
			if i < answered && rand.Float64() < f.rate/2 {
				cmd.SetErr(errors.New("OOM command not allowed when used memory > 'maxmemory'"))
				continue
			}
			passed = append(passed, cmd)
		}
		if len(passed) > 0 {
			if err := next(ctx, passed); err != nil {
				return err
			}
		}
		for _, cmd := range cmds[answered:] {
			cmd.SetErr(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")})
		}
		return nil
	}
}

func (f flaky) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		what := rand.Float64()
		if what < f.rate/2 {
			cmd.SetErr(errors.New("OOM command not allowed when used memory > 'maxmemory'"))
			return cmd.Err()
		}
		err := next(ctx, cmd)
		if what < f.rate && err == nil {
			cmd.SetErr(&net.OpError{Op: "read", Err: errors.New("connection reset by peer")})
			return cmd.Err()
		}
		return err
	}
}
