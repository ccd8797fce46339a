//go:build sim

package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// slot is where a process runs, and after its end the next.
type slot struct {
	w    *world
	name string

	mu      sync.Mutex
	current *process
	all     []*process // also those that are not quite over
	closed  bool
}

// process is a source with its stream, and a network of its own.
type process struct {
	*host
	stop     context.CancelFunc
	done     chan struct{}
	registry *prometheus.Registry
	redis    *redis.Client
	source   *sources.Kafka
}

// count sums a counter of a process.
func (p *process) count(name string) (sum float64) {
	families, err := p.registry.Gather()
	if err != nil {
		return math.NaN()
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// process is the one that runs now, or nil.
func (s *slot) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// start starts a process, unless there is one.
func (s *slot) start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil || s.closed {
		return
	}
	w := s.w
	ctx, stop := context.WithCancel(context.Background())
	p := &process{stop: stop, done: make(chan struct{}), registry: prometheus.NewRegistry()}
	p.host = newHost(fmt.Sprintf("%s.%d", s.name, len(s.all)), w.trace, func() { s.killed(p, 500*time.Millisecond) })
	s.current, s.all = p, append(s.all, p)
	w.trace.add(p.name, "starts", 0)

	var err error
	if p.redis, err = redisClient(p.dialer(w.redis.dial, redisEdge)); err != nil {
		w.Fatal(err)
	}
	log := logTo(os.Getenv("SIM_LOG")).With("process", p.name)
	stream, err := pipeline.NewStream(pipeline.Options{
		Name: w.stream.Name, Group: w.stream.Group, Topics: w.stream.Topics, Latest: w.stream.Start == config.StartLatest, Config: w.stream.Config,
		Checkpoints: checkpoint.NewRedis(p.redis, "sim", p.registry, log), CheckpointEvery: time.Second,
		Metrics: pipeline.NewMetrics(p.registry), Log: log,
	})
	if err != nil {
		w.Fatal(err)
	}
	instance := ""
	if w.static {
		instance = s.name
	}
	source, err := sources.NewKafka(sources.KafkaOptions{
		Client: kafka.Config{Brokers: brokers, ClientID: p.name}, Config: w.stream.KafkaConfig, Stream: w.stream.Name, Group: w.stream.Group, Topics: w.stream.Topics,
		Outputs: stream.Outputs(), Instance: instance, Clients: kafka.NewMetrics(p.registry), Metrics: sources.NewKafkaMetrics(p.registry), Log: log,
		Step: w.step, Dial: p.dialer(w.network.DialContext, kafkaEdge),
	})
	if err != nil {
		w.Fatal(err)
	}
	p.source = source
	go func() {
		defer close(p.done)
		if err := source.Run(ctx, &gated{stream, p.host, w.work}); err != nil {
			w.Errorf("Run: %v", err)
		}
		stream.Wait()
		_ = p.redis.Close()
	}()
}

// gated is a handler that takes its time, and stands still while its process is frozen.
type gated struct {
	*pipeline.Stream
	*host
	work time.Duration // for the records that it gets at once
}

func (g *gated) Process(ctx context.Context, p pipeline.Partition, records []pipeline.Record) ([]pipeline.Message, error) {
	g.pass()
	time.Sleep(g.work)
	out, err := g.Stream.Process(ctx, p, records)
	g.pass()
	return out, err
}

func (g *gated) Committed(ctx context.Context, p pipeline.Partition, offset int64) error {
	g.pass()
	return g.Stream.Committed(ctx, p, offset)
}

// killed ends a process as kill -9 does; the next starts after a while.
func (s *slot) killed(p *process, again time.Duration) {
	p.end()
	p.stop()
	time.AfterFunc(session, func() { s.w.expel(p.name) })
	s.over(p, again)
}

// session is how long a group waits for a member.
const session = 6 * time.Second

// expel has the group give up on the members of a process that was killed, where it has not yet: kfake times nobody out whose connection
// was broken when a rebalance answered it.
func (w *world) expel(client string) {
	g := w.cluster.GroupInfo(w.stream.Group)
	if g == nil {
		return
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group = g.Group
	for _, m := range g.Members {
		if m.ClientID == client {
			leaving := kmsg.NewLeaveGroupRequestMember()
			leaving.MemberID = m.MemberID
			leave.Members = append(leave.Members, leaving)
		}
	}
	if len(leave.Members) == 0 || w.stream.GroupProtocol == sources.Consumer {
		return
	}
	w.trace.add(client, "is expelled", 0)
	if _, err := leave.RequestWith(context.Background(), w.client); err != nil {
		w.Errorf("expel %s: %v", client, err)
	}
}

// terminate ends a process as SIGTERM does; the next starts a while after its end.
func (s *slot) terminate(p *process, again time.Duration) {
	p.stop()
	go func() {
		<-p.done
		s.over(p, again)
	}()
}

// over makes room for the next process.
func (s *slot) over(p *process, again time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != p {
		return
	}
	s.current = nil
	time.AfterFunc(again, s.start)
}

// quit ends the slot in good order.
func (s *slot) quit() {
	s.mu.Lock()
	s.closed = true
	p := s.current
	s.mu.Unlock()
	if p != nil {
		p.stop()
		<-p.done
	}
}

// close waits for all that ever ran.
func (s *slot) close() {
	s.mu.Lock()
	s.closed = true
	all := s.all
	s.mu.Unlock()
	for _, p := range all {
		p.end()
		p.stop()
		<-p.done
	}
}

func logTo(level string) *slog.Logger {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
}
