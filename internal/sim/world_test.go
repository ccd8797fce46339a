//go:build sim

package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const (
	input  = "in"
	alerts = "in.alerts"
)

// schedule is the plan in words.
func (p plan) schedule() string {
	s := p.stream
	lines := []string{fmt.Sprintf("  %d processes, named: %v, %d partitions, %s, %s, for %v", p.slots, p.static, p.partitions, s.Delivery, s.GroupProtocol, p.storm)}
	if p.step > 0 {
		lines = append(lines, fmt.Sprintf("  %d records at once, which take %v", p.step, p.work))
	}
	if p.history > 0 {
		lines = append(lines, fmt.Sprintf("  from the end of a log of %v, with %v of it learned before", p.history, s.WarmUp))
	}
	for _, f := range p.faults {
		lines = append(lines, "  "+f.String())
	}
	return strings.Join(lines, "\n")
}

var brokers = []string{"localhost:9092", "localhost:9093", "localhost:9094"}

// plan is what a seed has chosen.
type plan struct {
	seed       uint64
	stream     config.Stream
	partitions int32
	static     bool // the processes have names that last
	slots      int
	storm      time.Duration // how long records and faults come
	rate       float64       // records a second
	keys       int           // of most records
	faults     []fault
	gentle     string        // the only kind of fault, where it is one that nobody should notice
	history    time.Duration // how long records came before the first process; 0 where it begins with the first record
	step       int           // records that are processed at once, 0 for the usual
	work       time.Duration // that it takes; turns end in the midst of what was polled
}

// Streams read the input in several ways. Alerts are frequent, because each is a chance to lose it; checkpoints are, because each is a
// chance to come back from it.
var streams = []string{
	`decode: {key: key, time: {field: ts, unit: ms}, values: [v, u]}
    detectors: [{kind: ewma, half_life: 10}]
    alert: {false_alarms: 1 per 10 points, cool_down: 5 points}`,
	`decode: {key: key, time: {field: ts, unit: ms}, values: [v, u]}
    window: {every: 200ms, aggregate: [count, mean], lateness: 100ms}
    detectors: [{kind: ewma, half_life: 5}]
    drift: [{kind: page_hinkley, on: scores}]
    alert: {false_alarms: 1 per 10 points, cool_down: 2 points}`,
	`decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
    detectors: [{kind: ewma, half_life: 10}, {kind: metric}]
    drift: [{kind: adwin, on: values}]
    max_series: 3
    idle: 5s
    alert: {false_alarms: 1 per 10 points, cool_down: 1s}`,
}

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := plan{
		seed: seed, partitions: 2 + r.Int32N(3), static: r.IntN(2) == 0, slots: 2 + r.IntN(2),
		storm: time.Duration(10+r.IntN(15)) * time.Second, rate: 50 + 150*r.Float64(), keys: 2 + r.IntN(7),
	}
	text := "streams:\n  - name: s\n    topics: [" + input + "]\n    group: g\n    " + pick(r, streams) + "\n"
	if r.IntN(8) == 0 {
		text += "    delivery: at-least-once\n"
	}
	if r.IntN(4) == 0 {
		text += "    group_protocol: consumer\n    commit_every: 500ms\n" // heartbeats come in between, and say what the end of a turn may wait for
	}
	c, err := config.Parse("sim", []byte(text+"checkpoints: {store: memory}\n"), func(string) (string, bool) { return "", false })
	if err != nil {
		panic(err)
	}
	p.stream = c.Streams[0]
	p.faults = schedule(r, p.storm, p.slots)
	p.special(r)
	p.latest()
	if r := rand.New(rand.NewPCG(seed, 2)); p.gentle == "" && r.IntN(2) == 0 {
		p.step = 1 + r.IntN(10)
		p.work = time.Duration(r.Float64() * float64(p.step) / p.rate / 2 * float64(time.Second)) // at most half of the time
	}
	return p
}

// world is all that a run consists of.
type world struct {
	testing.TB
	plan
	network  kfake.VirtualNetwork
	cluster  *kfake.Cluster
	redis    *memory
	opts     kafka.Options // of clients that pass by all faults
	client   *kgo.Client
	admin    *kadm.Client
	slots    []*slot
	trace    *trace
	chance   *rand.Rand // of the records
	refusals []*kfake.FaultHandle
	hits     int                         // of faults that wait for no edge
	log      map[int32][]pipeline.Record // all that was written, also what retention has taken
	rewound  []span
	eaten    map[int32]bool

	early      map[int32]int64     // records of each partition before the first process
	beginnings map[int32]beginning // of the group in each partition; to be read when begun is closed
	begun      chan struct{}

	mu   sync.Mutex
	kept map[string]int64 // end of the second newest chain of checkpoints, by its pointer
}

func newWorld(t testing.TB, p plan) *world {
	w := &world{TB: t, plan: p, redis: newMemory(), trace: &trace{begin: time.Now()}, chance: rand.New(rand.NewPCG(p.seed, 1)), log: map[int32][]pipeline.Record{}, eaten: map[int32]bool{}, kept: map[string]int64{}, early: map[int32]int64{}, beginnings: map[int32]beginning{}, begun: make(chan struct{})}
	var err error
	w.cluster, err = kfake.NewCluster(kfake.NumBrokers(len(brokers)), kfake.Ports(9092, 9093, 9094), kfake.ListenFn(w.network.Listen),
		kfake.SeedTopics(p.partitions, input), kfake.BrokerConfigs(map[string]string{
			"group.consumer.session.timeout.ms": "6000", "group.consumer.heartbeat.interval.ms": "200", "group.consumer.min.session.timeout.ms": "6000",
		}))
	if err != nil {
		t.Fatal(err)
	}
	opts, err := kafka.Config{Brokers: brokers}.Options()
	if err != nil {
		t.Fatal(err)
	}
	w.opts = append(opts, kgo.Dialer(w.network.DialContext), kgo.MetadataMinAge(250*time.Millisecond))
	w.client, err = kgo.NewClient(w.opts...)
	if err != nil {
		t.Fatal(err)
	}
	w.admin = kadm.NewClient(w.client)
	for i := range p.slots {
		w.slots = append(w.slots, &slot{w: w, name: fmt.Sprintf("slot-%d", i)})
	}
	return w
}

// close ends whatever still runs: a bubble wants all its goroutines back.
func (w *world) close() {
	for _, s := range w.slots {
		s.close()
	}
	time.Sleep(time.Minute) // for what a process that ended has left behind: it waits for none of it long
	w.client.Close()
	w.cluster.Close()
	w.redis.Close()
}

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

// feed writes records for a time.
func (w *world) feed(lasts time.Duration) error {
	begin := time.Now()
	for sent := 0; time.Since(begin) < lasts; time.Sleep(100 * time.Millisecond) {
		due := int(w.rate * time.Since(begin).Seconds())
		if err := w.produce(due - sent); err != nil {
			return err
		}
		sent = due
	}
	return nil
}

// produce writes n records, bad, late and odd ones, and probes among them.
func (w *world) produce(n int) error {
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = record(w.chance, w.keys)
	}
	if err := w.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	for _, r := range records {
		w.log[r.Partition] = append(w.log[r.Partition], pipeline.Record{Offset: r.Offset, Timestamp: r.Timestamp.UnixNano(), Key: r.Key, Value: r.Value, Headers: headers(r)})
	}
	return nil
}

func headers(r *kgo.Record) (headers []pipeline.Header) {
	for _, h := range r.Headers {
		headers = append(headers, pipeline.Header{Key: h.Key, Value: h.Value})
	}
	return headers
}

func record(r *rand.Rand, keys int) *kgo.Record {
	key := fmt.Sprintf("key-%d", r.IntN(keys))
	v, ts := 10+r.NormFloat64(), time.Now().UnixMilli()
	switch r.IntN(100) {
	case 0:
		return &kgo.Record{Topic: input, Key: []byte(key), Value: []byte(`{"key":`)}
	case 1:
		ts -= r.Int64N(1000)
	case 2:
		key = fmt.Sprintf("once-%d", r.IntN(1e9))
	case 7: // of this stream, or of another one that reads the topic
		header := fmt.Sprintf("%s/sim/%d", []string{"s", "t"}[r.IntN(2)], r.IntN(1e9))
		return &kgo.Record{Topic: input, Key: []byte(pipeline.ProbeKey), Value: pipeline.ProbeValue(header), Headers: []kgo.RecordHeader{{Key: pipeline.ProbeHeader, Value: []byte(header)}}}
	case 3, 4, 5, 6:
		v += 5 + 20*r.Float64()
	}
	return &kgo.Record{Topic: input, Key: []byte(key), Value: fmt.Appendf(nil, `{"key":%q,"ts":%d,"v":%.3f,"u":%.3f}`, key, ts, v, r.Float64())}
}

// settled is nil when all processes are ready, each partition has an owner, and all there is is committed.
func (w *world) settled() (err error) {
	for _, s := range w.slots {
		p := s.process()
		if p == nil {
			return fmt.Errorf("%s has no process", s.name)
		}
		if err := p.source.Ready(); err != nil {
			return err
		}
	}
	g := w.cluster.GroupInfo(w.stream.Group)
	if g == nil {
		return errors.New("there is no group")
	}
	owners := map[int32][]string{}
	for _, m := range g.Members {
		for _, id := range m.Assignment[input] {
			owners[id] = append(owners[id], m.ClientID)
		}
	}
	for _, p := range w.cluster.PartitionInfos(input) {
		c := g.Commits[input][p.Partition]
		read := c.Offset == p.HighWatermark || w.eaten[p.Partition] && p.LogStartOffset == p.HighWatermark // which a commit follows with the next record
		if !read || len(owners[p.Partition]) != 1 {
			err = errors.Join(err, fmt.Errorf("partition %d of %v is at %d of %d", p.Partition, owners[p.Partition], c.Offset, p.HighWatermark))
		}
	}
	// In a consumer group kfake may say for ever that it reconciles, with all partitions owned and going on.
	if err == nil && g.State != "Stable" && w.stream.GroupProtocol == sources.Classic {
		err = fmt.Errorf("the group is %s", g.State)
	}
	return err
}

func logTo(level string) *slog.Logger {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
}
