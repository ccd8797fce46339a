package sources

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// A broker that does not answer the end of a transaction costs the client its deadline, not the process its partitions; nothing is lost
// or doubled.
func TestUnansweredEnd(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	released := make(chan struct{})
	defer close(released)
	first := true
	w.cluster.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if !first {
			return nil, nil, false
		}
		first = false
		w.cluster.SleepControl(func() { <-released })
		return nil, errors.New("too late"), true
	})
	p := w.start("a")
	w.eventually("it is said", func() error { return contains(p.Ready(), "commit: context deadline exceeded") })
	w.caughtUp()
	w.compare()
	w.eventually("ready", p.Ready)
}

// A member that its group has lost drops the state of its partitions: somebody else has them, or will.
func TestLostPartitions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*KafkaOptions, *handler){ExactlyOnce: func(*KafkaOptions, *handler) {}, AtLeastOnce: atLeastOnce} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(1000)
			p := w.start("", change)
			w.caughtUp()
			w.eventually("ready", p.Ready)
			var lost atomic.Bool
			lost.Store(true)
			for _, key := range []kmsg.Key{kmsg.Heartbeat, kmsg.JoinGroup} {
				w.cluster.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
					w.cluster.KeepControl()
					resp := req.ResponseKind()
					switch resp := resp.(type) {
					case *kmsg.HeartbeatResponse:
						resp.ErrorCode = kerr.UnknownMemberID.Code
					case *kmsg.JoinGroupResponse:
						resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
					}
					return resp, nil, lost.Load()
				})
			}
			w.eventually("its state is dropped", func() error {
				if n := p.h.holds(); n > 0 {
					return fmt.Errorf("it holds %d partitions", n)
				}
				return nil
			})
			lost.Store(false)
			w.produce(1000)
			w.caughtUp()
			w.compareAtLeast()
		})
	}
}

// A coordinator that does not answer does not hold a clean end up.
func TestUnansweredLeave(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	released := make(chan struct{})
	defer close(released)
	w.cluster.ControlKey(kmsg.LeaveGroup.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.SleepControl(func() { <-released })
		return nil, errors.New("too late"), true
	})
	for _, instance := range []string{"", "a"} {
		p := w.start(instance)
		w.eventually("ready", p.Ready)
		w.produce(100)
		w.caughtUp()
		p.quit(t)
	}
}

// A coordinator that does not answer when a transaction is to begin costs the client, after its deadline.
func TestUnansweredBegin(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	released := make(chan struct{})
	defer close(released)
	calls := 0
	w.cluster.ControlKey(kmsg.InitProducerID.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if req.(*kmsg.InitProducerIDRequest).TransactionalID == nil {
			return nil, nil, false // of the test
		}
		if calls++; calls != 2 { // the first takes the slot over, the second is the session's
			return nil, nil, false
		}
		w.cluster.SleepControl(func() { <-released })
		return nil, errors.New("too late"), true
	})
	p := w.start("a")
	w.eventually("it is said", func() error { return contains(p.Ready(), "begin transaction: no answer") })
	w.caughtUp()
	w.compare()
}

// Ending a transaction does not wait for a rebalance that the poll before it holds back: where the brokers assign that would take its whole
// deadline, and the client with it.
func TestEndDuringARebalance(t *testing.T) {
	t.Parallel()
	for name, protocol := range map[string]func(*KafkaOptions, *handler){"classic": func(*KafkaOptions, *handler) {}, "consumer": consumerGroup} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(1000)
			a := w.start("a", protocol, every(500*time.Millisecond)) // a poll holds rebalances back nearly all the time
			w.eventually("ready", a.Ready)
			defer w.feed()()
			a.later()
			b := w.start("b", protocol)
			w.eventually("the partitions are shared", shared(t, a, b))
			a.later()
			if n := testutil.ToFloat64(a.o.Metrics.transactions.WithLabelValues("s", "failed")); n > 0 {
				t.Errorf("%v transactions have failed, want none", n)
			}
			if n := testutil.ToFloat64(a.o.Metrics.rebuilds.WithLabelValues("s")); n > 0 {
				t.Errorf("%v clients were made anew, want none", n)
			}
		})
	}
}

// An idle source leaves its transaction open, for ending one with nothing in it costs half a second and the brokers work; but once
// partitions were taken it ends soon, or the next one to hold alerts would have to be given up.
func TestIdleTransaction(t *testing.T) {
	w := newWorld(t, input)
	w.produce(500)
	var ends atomic.Int64
	w.cluster.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		ends.Add(1)
		return nil, nil, false
	})
	a := w.start("a")
	w.caughtUp()
	w.eventually("all is told", a.idle)
	outcomes := func() (n float64) {
		for _, outcome := range []string{"committed", "aborted", "failed"} {
			n += testutil.ToFloat64(a.o.Metrics.transactions.WithLabelValues("s", outcome))
		}
		return n
	}
	before, asked := outcomes(), ends.Load()
	time.Sleep(time.Second)
	if n := outcomes() - before; n > 0 || ends.Load() > asked {
		t.Errorf("%v transactions end in an idle second, and %d requests ask for it, want none", n, ends.Load()-asked)
	}
	b := w.start("b")
	w.eventually("the partitions are shared", shared(t, a, b))
	w.eventually("the transaction has ended", func() error {
		if outcomes() == before {
			return errors.New("not yet")
		}
		return nil
	})
	aborted := testutil.ToFloat64(a.o.Metrics.transactions.WithLabelValues("s", "aborted"))
	w.produce(500)
	w.caughtUp()
	if n := testutil.ToFloat64(a.o.Metrics.transactions.WithLabelValues("s", "aborted")) - aborted; n > 0 {
		t.Errorf("%v transactions are given up for a rebalance that is over", n)
	}
	w.compare()
}

// quick are times of the watchdog for a test that waits for it.
func quick(k *Kafka) {
	k.watching = watching{every: 100 * time.Millisecond, suspect: 300 * time.Millisecond, stuck: time.Second, orphaned: time.Second}
}

// A client that brings nothing although the log grows is made anew.
func TestStuckClient(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	var p *process
	var deaf atomic.Bool
	deaf.Store(true)
	w.cluster.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if !deaf.Load() {
			return nil, nil, false
		}
		w.cluster.SleepControl(func() { time.Sleep(20 * time.Millisecond) })
		return req.ResponseKind(), nil, deaf.Load()
	})
	p = w.start("a", tuned(quick))
	w.eventually("the watchdog has bitten", func() error {
		if testutil.ToFloat64(p.o.Metrics.stuck.WithLabelValues("s")) == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	deaf.Store(false)
	w.caughtUp()
	w.compare()
	w.eventually("ready", p.Ready)
}

// A partition that nobody has in a stable group gets a member again.
func TestOrphan(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	var lost atomic.Int64
	w.cluster.ControlKey(kmsg.SyncGroup.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		sync := req.(*kmsg.SyncGroupRequest)
		if len(sync.GroupAssignment) == 0 || lost.Load() > 0 {
			return nil, nil, false
		}
		lost.Add(1)
		for i := range sync.GroupAssignment { // as a leader would that has not heard of the partition
			var a kmsg.ConsumerMemberAssignment
			if err := a.ReadFrom(sync.GroupAssignment[i].MemberAssignment); err != nil {
				t.Error(err)
			}
			for j := range a.Topics {
				a.Topics[j].Partitions = a.Topics[j].Partitions[:len(a.Topics[j].Partitions)-1]
			}
			sync.GroupAssignment[i].MemberAssignment = a.AppendTo(nil)
		}
		return nil, nil, false
	})
	p := w.start("a", tuned(quick))
	w.eventually("it is told", func() error {
		if n, _ := p.metric(t, "gonomaly_partitions_unowned"); n != 1 {
			return fmt.Errorf("%v partitions are nobody's, want 1", n)
		}
		return nil
	})
	w.caughtUp() // all of it
	w.compare()
	w.eventually("it is over", func() error {
		if n, told := p.metric(t, "gonomaly_partitions_unowned"); n != 0 || told != 1 {
			return fmt.Errorf("%v partitions are nobody's, told %d times", n, told)
		}
		return nil
	})
	if lost.Load() == 0 {
		t.Error("no partition was left out: the test shows nothing")
	}
	if n := testutil.ToFloat64(p.o.Metrics.forced.WithLabelValues("s")); n == 0 {
		t.Error("no rebalance was asked for")
	}
	w.eventually("ready", p.Ready)
}

// Whose a partition is, and for how long it has been nobody's.
func TestOrphans(t *testing.T) {
	o, now := orphans{}, time.Unix(0, 0)
	logs := map[place]*bounds{{input, 0}: {}, {input, 1}: {}}
	for i, c := range []struct {
		after    time.Duration
		assigned []int32
		old      int
	}{
		{0, []int32{0}, 0}, {10 * time.Second, []int32{0}, 0}, {13 * time.Second, []int32{0}, 1},
		{14 * time.Second, []int32{0}, 0}, // it was told
		{20 * time.Second, []int32{1}, 0}, // now it is the other
		{30 * time.Second, []int32{0}, 0}, // and this again
		{45 * time.Second, []int32{0}, 1},
	} {
		assigned := map[string]map[int32]struct{}{input: {}}
		for _, id := range c.assigned {
			assigned[input][id] = struct{}{}
		}
		if old := o.see(assigned, logs, now.Add(c.after), 12*time.Second); len(old) != c.old {
			t.Errorf("look %d: %v are nobody's, want %d", i, old, c.old)
		}
	}
}

// An alert's key is its event's, so that a reader finds the alerts of one key in order, in one partition.
func TestAlertsAreKeyed(t *testing.T) {
	w := newWorld(t, input)
	w.produce(2000)
	w.start("a")
	w.caughtUp()
	events, err := kafka.ReadAll(t.Context(), w.opts, input)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]byte{}
	for _, r := range events {
		keys[fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)] = r.Key
	}
	told, err := kafka.ReadAll(t.Context(), w.opts, alerts)
	if err != nil {
		t.Fatal(err)
	}
	partition := map[string]int32{}
	for _, r := range told {
		id, _, _ := bytes.Cut(r.Value, []byte(":"))
		if !bytes.Equal(keys[string(id)], r.Key) {
			t.Errorf("the alert %s has the key %q, want %q", r.Value, r.Key, keys[string(id)])
		}
		if p, seen := partition[string(r.Key)]; seen && p != r.Partition {
			t.Errorf("alerts of %q are in the partitions %d and %d", r.Key, p, r.Partition)
		}
		partition[string(r.Key)] = r.Partition
	}
	if len(partition) < 2 {
		t.Errorf("alerts of %d keys, want more", len(partition))
	}
}
