//go:build sim

package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/sources"
)

// fault is one thing that goes wrong.
type fault struct {
	At   time.Duration // since the first record
	On   int           // slot of the process that it befalls
	What string
	Edge string        // request at which it happens, the next one after At
	For  time.Duration // of what lasts, and until a process that ended is there again
	Err  string        // what a broker or Redis answers
}

func (f fault) String() string {
	return strings.Join(slices.DeleteFunc([]string{f.At.String(), f.What, f.Edge, f.Err, fmt.Sprintf("on %d for %v", f.On, f.For)}, func(s string) bool { return s == "" }), " ")
}

// What can befall a process, anywhere or at the edge where a request leaves it.
const (
	kill      = "kill"      // as kill -9 does
	terminate = "terminate" // as SIGTERM does
	freeze    = "freeze"    // as SIGSTOP does, and SIGCONT after a while
	isolate   = "isolate"   // what it sends and gets is lost for a while

	drop       = "drop"  // the connection breaks before the request is out
	lose       = "lose"  // the request is served, and its answer lost
	delay      = "delay" // the request goes out late
	repeat     = "repeat"
	killBefore = "kill-before"
	killAfter  = "kill-after" // the request is served
	stale      = "stale"      // it freezes, and sends the request when it thaws
)

// What can befall the brokers and Redis.
const (
	refuse       = "refuse"       // the next requests of a kind are answered with an error
	coordinators = "coordinators" // all move
	leaders      = "leaders"      // all move

	redisDown   = "redis-down"
	redisRefuse = "redis-refuse"
	redisFlush  = "redis-flush"
	redisDamage = "redis-damage" // a byte of a checkpoint
	redisOlder  = "redis-older"  // as after a fail-over to a replica that lacks the last writes
)

// newest is where all that is newest in Redis is damaged.
const newest = "newest"

// What comes once in a run, or with nothing else.
const (
	deaf   = "deaf"   // a client's fetches are answered no more, until it is made anew
	rewind = "rewind" // an operator stops all, sets the offset of a partition back, and starts all
	trim   = "trim"   // retention takes what lies before the older of two chains of checkpoints
	eat    = "eat"    // all are stopped, and retention overtakes a partition
)

var (
	anywhere = []string{kill, kill, terminate, freeze, isolate}
	atEdges  = []string{drop, lose, delay, repeat, killBefore, killAfter, freeze, stale}
	ofOthers = []string{refuse, refuse, refuse, coordinators, leaders, redisDown, redisRefuse, redisFlush, redisDamage, redisOlder}
)

// refusals are errors that brokers give, by the request that they answer. After some of them the request is served all the same.
var refusals = map[kmsg.Key][]*kerr.Error{
	kmsg.Produce:            {kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.KafkaStorageError, kerr.InvalidProducerEpoch},
	kmsg.Fetch:              {kerr.NotLeaderForPartition, kerr.KafkaStorageError, kerr.UnknownServerError},
	kmsg.ListOffsets:        {kerr.NotLeaderForPartition, kerr.UnknownServerError},
	kmsg.Metadata:           {kerr.LeaderNotAvailable},
	kmsg.OffsetCommit:       {kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.RebalanceInProgress, kerr.UnknownServerError},
	kmsg.OffsetFetch:        {kerr.UnstableOffsetCommit, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress},
	kmsg.FindCoordinator:    {kerr.CoordinatorNotAvailable},
	kmsg.JoinGroup:          {kerr.CoordinatorNotAvailable, kerr.UnknownMemberID, kerr.NotCoordinator},
	kmsg.SyncGroup:          {kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.UnknownMemberID},
	kmsg.Heartbeat:          {kerr.UnknownMemberID, kerr.NotCoordinator, kerr.IllegalGeneration, kerr.RebalanceInProgress},
	kmsg.InitProducerID:     {kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions, kerr.NotCoordinator},
	kmsg.AddPartitionsToTxn: {kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.InvalidProducerEpoch},
	kmsg.AddOffsetsToTxn:    {kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress},
	kmsg.TxnOffsetCommit:    {kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress},
	kmsg.EndTxn:             {kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions, kerr.RequestTimedOut, kerr.UnknownServerError, kerr.InvalidProducerEpoch},
}

var redisRefusals = []string{
	"OOM command not allowed when used memory > 'maxmemory'.", "READONLY You can't write against a read only replica.",
	"LOADING Redis is loading the dataset in memory", "NOREPLICAS Not enough good replicas to write.", "MISCONF Redis is configured to save RDB snapshots",
}

// edges are the requests that faults happen at; those of the way that alerts and offsets take come more often.
var edges = []string{
	"Produce", "Produce", "EndTxn", "EndTxn", "EndTxn", "TxnOffsetCommit", "TxnOffsetCommit", "AddOffsetsToTxn", "AddPartitionsToTxn", "InitProducerID",
	"Fetch", "OffsetFetch", "OffsetCommit", "Heartbeat", "JoinGroup", "SyncGroup", "LeaveGroup", "FindCoordinator", "ListOffsets", "Metadata",
	"SET", "SET", "EVALSHA", "EVALSHA", "HMGET", "GET",
}

// schedule draws faults.
func schedule(r *rand.Rand, storm time.Duration, slots int) []fault {
	refused := slices.Sorted(maps.Keys(refusals))
	faults := make([]fault, 3+r.IntN(12))
	for i := range len(faults) {
		f := fault{At: 2*time.Second + time.Duration(r.Float64()*float64(storm-2*time.Second)).Round(time.Millisecond), On: r.IntN(slots)}
		f.For = time.Duration(100*(1+r.ExpFloat64()*20)) * time.Millisecond
		if r.IntN(4) == 0 {
			f.For += session // the group goes on without it
		}
		switch n := r.IntN(10); {
		case n < 3:
			f.What = pick(r, anywhere)
		case n < 7:
			f.What, f.Edge = pick(r, atEdges), pick(r, edges)
			if f.What == repeat && strings.ToUpper(f.Edge) == f.Edge {
				f.What = lose // which the client of Redis repeats by itself; that of Kafka knows what it has not asked for
			}
		default:
			f.What, f.On = pick(r, ofOthers), 0
		}
		switch f.What {
		case refuse:
			key := pick(r, refused)
			f.Edge, f.Err = key.Name(), pick(r, refusals[key]).Message
		case redisRefuse:
			f.Err = pick(r, redisRefusals)
		}
		faults[i] = f
		if slices.Contains(losses, f.What) && r.IntN(2) == 0 {
			faults = append(faults, fault{At: f.At, On: r.IntN(slots), What: kill, For: 500 * time.Millisecond}) // which needs what was lost
		}
	}
	return sorted(faults)
}

// losses are what Redis does not survive in full.
var losses = []string{redisFlush, redisDamage, redisOlder}

func sorted(faults []fault) []fault {
	slices.SortStableFunc(faults, func(a, b fault) int { return int(a.At - b.At) })
	return faults
}

// special adds what comes once in a run, or makes a run of nothing but one kind of fault.
func (p *plan) special(r *rand.Rand) {
	at := func() time.Duration {
		return (2*time.Second + time.Duration(r.Float64()*float64(p.storm-2*time.Second))).Round(time.Millisecond)
	}
	lasts := time.Duration(r.IntN(1000)) * time.Millisecond
	switch n := r.IntN(12); {
	case n < 2 || p.stream.GroupProtocol == sources.Consumer && n < 6:
		p.gentle = pick(r, []string{terminate, kill})
		if !p.gently(p.gentle) {
			p.gentle = ""
			return
		}
		every := 4 * time.Second
		if p.stream.GroupProtocol == sources.Consumer {
			every = 10 * time.Second // its members learn of each other with their heartbeats
		}
		p.faults = nil
		for at := 4 * time.Second; at < p.storm; at += every {
			p.faults = append(p.faults, fault{At: at + time.Duration(r.IntN(1000))*time.Millisecond, On: r.IntN(p.slots), What: p.gentle, For: 500 * time.Millisecond})
		}
	case n == 6:
		p.faults = append(p.faults, fault{At: at(), On: r.IntN(p.slots), What: deaf})
	case n == 7:
		p.faults = append(p.faults, fault{At: at(), What: rewind, For: lasts})
	case n == 8:
		p.faults = append(p.faults, fault{At: at(), What: eat, For: lasts})
	case n == 9:
		for range 3 { // another owner goes on, and then comes what it has gone beyond
			p.faults = append(p.faults, fault{At: at(), On: r.IntN(p.slots), What: stale, Edge: "EVALSHA", For: 2*session + lasts})
		}
	case n > 9:
		p.faults = slices.DeleteFunc(p.faults, func(f fault) bool { return slices.Contains(losses, f.What) })
		for range 3 {
			p.faults = append(p.faults, fault{At: at(), What: trim})
		}
		end := p.storm - time.Second // after which no more is taken, and all need what is left
		p.faults = append(p.faults, fault{At: end, What: redisDamage, Edge: newest})
		for i := range p.slots {
			p.faults = append(p.faults, fault{At: end, On: i, What: kill, For: 500 * time.Millisecond})
		}
	}
	p.faults = sorted(p.faults)
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// strike has a fault happen, or wait for its edge.
func (w *world) strike(f fault) {
	w.trace.add("world", f.String(), 0)
	switch f.What {
	case refuse:
		w.refuse(f) // counted by the broker
		return
	case coordinators:
		w.cluster.RehashCoordinators()
	case leaders:
		w.cluster.ShufflePartitionLeaders()
	case redisDown:
		w.redis.stop(f.For)
	case redisRefuse:
		w.redis.refuse(f.Err, f.For)
	case redisFlush:
		w.redis.flush()
	case redisDamage:
		if f.Edge == newest {
			w.redis.damageNewest()
		} else {
			w.redis.damage(uint64(f.For))
		}
	case redisOlder:
		w.redis.older()
	case trim:
		w.trimAll()
		return
	case rewind:
		w.rewindOne(f)
		return
	case eat:
		w.eatOne(f)
		return
	default:
		if !w.slots[f.On].befallen(f) {
			return
		}
	}
	w.hits++
}

// befallen has a fault befall the process of a slot, and says whether it has. One that waits for its edge is counted when it is met.
func (s *slot) befallen(f fault) bool {
	p := s.process()
	switch {
	case p == nil:
		return false
	case f.Edge != "":
		p.expect(f)
		return false
	case f.What == kill:
		s.killed(p, f.For)
	case f.What == terminate:
		s.terminate(p, f.For)
	case f.What == freeze:
		p.freeze(f.For)
	case f.What == isolate:
		p.isolate(f.For)
	case f.What == deaf:
		p.deafen(func() bool { return p.count("gonomaly_kafka_client_rebuilds_total") == 0 })
	}
	return true
}

// calm ends all faults, and has every slot filled.
func (w *world) calm() {
	w.trace.add("world", "calm", 0)
	for _, r := range w.refusals {
		w.hits += r.Hits()
		r.Remove()
	}
	w.redis.calm()
	for _, s := range w.slots {
		if p := s.process(); p != nil {
			p.calm()
		}
		s.start()
	}
}

// refuse has the brokers answer some requests of a kind with an error.
func (w *world) refuse(f fault) {
	of := kfake.Fault{Count: 1 + int(f.For/time.Second)}
	for key, all := range refusals {
		for _, err := range all {
			if key.Name() == f.Edge && err.Message == f.Err {
				of.Keys, of.Err = []kmsg.Key{key}, err
			}
		}
	}
	if f.Edge == kmsg.Produce.Name() {
		of.Topic = alerts // of the processes, not of who feeds them
	}
	w.refusals = append(w.refusals, w.cluster.Fault(of))
}
