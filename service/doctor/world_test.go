package doctor_test

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service"
	"github.com/gonomaly/gonomaly/service/doctor"
)

const partitions = 2

// settings are of a world; ${…} stand for what is in it.
const settings = `
kafka: {brokers: ["${BROKERS}"]}
redis: {address: "${REDIS}"}
instance: one
checkpoints: {every: 50ms}
streams:
  - name: machines
    topics: [machines]
    decode: {format: json, key: k, time: {field: t, unit: ms}, values: [x]}
    detectors: [{kind: ewma, half_life: 10}]
sinks: [{kind: redis}]
`

// world is a cluster and a Redis, and the configuration of who runs on them.
type world struct {
	*testing.T
	cluster *kfake.Cluster
	redis   *miniredis.Miniredis
	info    atomic.Value // what INFO answers
	client  *kgo.Client
	yaml    string
	env     map[string]string
	each    time.Duration
	quit    func() // ends the service that runs
}

// healthy is what INFO says of a Redis as docs/redis.md wants it.
const healthy = "role:master\r\nloading:0\r\nused_memory:1048576\r\nmaxmemory:104857600\r\nmaxmemory_policy:noeviction\r\n" +
	"evicted_keys:0\r\naof_enabled:1\r\naof_last_write_status:ok\r\nrdb_last_bgsave_status:ok\r\n"

func newWorld(t *testing.T, more ...kfake.Opt) *world {
	t.Helper()
	t.Parallel()
	w := &world{T: t, redis: miniredis.RunT(t), yaml: settings, each: time.Minute}
	var err error
	if w.cluster, err = kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(2)}, more...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cluster.Close)
	w.info.Store(healthy)
	w.redis.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if strings.EqualFold(cmd, "info") {
			c.WriteBulk(w.info.Load().(string))
			return true
		}
		return false
	})
	w.env = map[string]string{"BROKERS": strings.Join(w.cluster.ListenAddrs(), ","), "REDIS": w.redis.Addr(), "DIR": t.TempDir()}
	return w
}

// topics makes topics, with two partitions each.
func (w *world) topics(names ...string) *world {
	w.Helper()
	for _, name := range names {
		if err := w.cluster.CreateTopic(name, partitions, nil); err != nil {
			w.Fatal(err)
		}
	}
	return w
}

// all makes every topic of the configuration.
func (w *world) all() *world {
	w.Helper()
	return w.topics("machines", "machines.alerts", "machines.dead-letters")
}

func (w *world) load() (*config.Config, error) {
	return config.Parse("g.yaml", []byte(w.yaml), w.lookup)
}

func (w *world) lookup(name string) (string, bool) {
	value, ok := w.env[name]
	return value, ok
}

// edit replaces a text of the configuration.
func (w *world) edit(old, now string) {
	w.Helper()
	edited := strings.Replace(w.yaml, old, now, 1)
	if edited == w.yaml {
		w.Fatalf("%q does not stand in the configuration", old)
	}
	w.yaml = edited
}

// kafka is a client of the test's own.
func (w *world) kafka() *kgo.Client {
	w.Helper()
	if w.client == nil {
		var err error
		if w.client, err = kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(w.client.Close)
	}
	return w.client
}

// produce writes n records to each partition, the last of them dated at.
func (w *world) produce(n int, at time.Time) {
	w.Helper()
	var records []*kgo.Record
	for i := range n {
		for p := range int32(partitions) {
			when := at.Add(time.Duration(i-n+1) * time.Millisecond)
			records = append(records, &kgo.Record{
				Topic: "machines", Partition: p, Timestamp: when, Value: fmt.Appendf(nil, `{"k":"key-%d","t":%d,"x":%d}`, p, when.UnixMilli(), i%7),
			})
		}
	}
	if err := w.kafka().ProduceSync(w.Context(), records...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// writers has each of some partitions have a transaction from offset 10 on, whose producer, 70 and the partition, has written nothing for a time.
func (w *world) writers(silent map[int32]time.Duration) {
	w.cluster.ControlKey(int16(kmsg.DescribeProducers), func(r kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		resp := kmsg.NewPtrDescribeProducersResponse()
		for _, t := range r.(*kmsg.DescribeProducersRequest).Topics {
			topic := kmsg.NewDescribeProducersResponseTopic()
			topic.Topic = t.Topic
			for _, id := range t.Partitions {
				p := kmsg.NewDescribeProducersResponseTopicPartition()
				p.Partition = id
				if d, writes := silent[id]; writes && t.Topic == "machines" {
					p.ActiveProducers = append(p.ActiveProducers, kmsg.DescribeProducersResponseTopicPartitionActiveProducer{
						ProducerID: 70 + int64(id), LastTimestamp: time.Now().Add(-d).UnixMilli(), CurrentTxnStartOffset: 10,
					})
				}
				topic.Partitions = append(topic.Partitions, p)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
}

// commit sets the offset of the stream's group in both partitions of its topic.
func (w *world) commit(at int64) {
	w.Helper()
	var offsets kadm.Offsets
	for p := range int32(partitions) {
		offsets.AddOffset("machines", p, at, -1)
	}
	if err := kadm.NewClient(w.kafka()).CommitAllOffsets(w.Context(), "gonomaly.machines", offsets); err != nil {
		w.Fatal(err)
	}
}

// run starts a service, and returns its URL.
func (w *world) run() string {
	w.Helper()
	open := make(chan net.Addr, 1)
	s, err := service.New(service.Options{
		Load: w.load, Listen: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Serving: func(at net.Addr) { open <- at },
	})
	if err != nil {
		w.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, stop := contextOf(w.T)
	go func() { done <- s.Run(ctx) }()
	w.quit = sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			w.Errorf("Run: %v", err)
		}
	})
	w.Cleanup(w.quit)
	return "http://" + (<-open).String()
}

// examine is what the doctor says, in lines.
func (w *world) examine(urls ...string) (*doctor.Report, string) {
	w.Helper()
	c, err := w.load()
	if err != nil {
		w.Fatal(err)
	}
	r := doctor.Examine(w.Context(), doctor.Options{Config: c, URLs: urls, Version: "v1", Each: w.each, Env: w.lookup})
	for _, f := range r.Findings {
		if f.Level == doctor.Bad && f.Remedy == "" {
			w.Errorf("what is bad has no remedy: %+v", f)
		}
	}
	return r, r.Text()
}

// want says whether a finding of a level has these words, its remedy among them.
func (w *world) want(r *doctor.Report, l doctor.Level, area string, words ...string) {
	w.Helper()
	if !has(r, l, area, words...) {
		w.Errorf("no finding of %s is %v and says %q:\n%s", area, l, words, r.Text())
	}
}

func has(r *doctor.Report, l doctor.Level, area string, words ...string) bool {
	for _, f := range r.Findings {
		all := f.Area == area && f.Level == l
		for _, word := range words {
			all = all && strings.Contains(f.Says+" "+f.Remedy, word)
		}
		if all {
			return true
		}
	}
	return false
}
