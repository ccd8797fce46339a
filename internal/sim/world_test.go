//go:build sim

package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const (
	input  = "in"
	alerts = "in.alerts"
)

var brokers = []string{"localhost:9092", "localhost:9093", "localhost:9094"}

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
	w := &world{
		TB: t, plan: p, redis: newMemory(), trace: &trace{begin: time.Now()}, chance: rand.New(rand.NewPCG(p.seed, 1)),
		log: map[int32][]pipeline.Record{}, eaten: map[int32]bool{}, kept: map[string]int64{},
		early: map[int32]int64{}, beginnings: map[int32]beginning{}, begun: make(chan struct{}),
	}
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
