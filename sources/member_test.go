package sources

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Two processes with one instance name: one has the slot, mostly the newer, the other says so and does not fight; once the one is gone the
// other goes on. Whoever reads, the alerts are those of one.
func TestTwoProcessesOfOneInstance(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*KafkaOptions, *handler){
		"exactly once":   func(*KafkaOptions, *handler) {},
		"at least once":  atLeastOnce,
		"consumer group": consumerGroup,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(1000)
			var joins atomic.Int64
			for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.InitProducerID} {
				w.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
					w.cluster.KeepControl()
					joins.Add(1)
					return nil, nil, false
				})
			}
			waits := w.start("one", change)
			stop := w.feed()
			waits.later()
			has := w.start("one", change)
			taken := func(p *process) error { return contains(p.Ready(), "the instance's name one is taken") }
			w.eventually("one of them says so", func() error {
				if taken(has) == nil { // before it had joined the group the older looked there, and came back
					has, waits = waits, has
				}
				return taken(waits)
			})
			has.later()
			if err := waits.healthy(); err != nil {
				t.Errorf("waiting is healthy: %v", err)
			}
			rebuilds := testutil.ToFloat64(has.o.Metrics.rebuilds.WithLabelValues("s"))
			before := joins.Load()
			time.Sleep(3 * time.Second)
			if n := joins.Load() - before; n > 0 {
				t.Errorf("they join %d times in three seconds: they fight", n)
			}
			if n := testutil.ToFloat64(has.o.Metrics.rebuilds.WithLabelValues("s")) - rebuilds; n > 0 {
				t.Errorf("the one that has it has made its client anew %v times", n)
			}
			if n := testutil.ToFloat64(waits.o.Metrics.fenced.WithLabelValues("s")); n != 1 {
				t.Errorf("counted %v times, want once", n)
			}
			if n := testutil.ToFloat64(waits.o.Metrics.nameTaken.WithLabelValues("s")); n != 1 {
				t.Errorf("its name is taken, and that is told as %v", n)
			}
			if n := testutil.ToFloat64(has.o.Metrics.nameTaken.WithLabelValues("s")); n != 0 {
				t.Errorf("the other has the name, and tells that it is taken as %v", n)
			}
			has.quit(t)
			waits.later()
			stop()
			w.caughtUp()
			if name == "at least once" {
				w.compareAtLeast()
			} else {
				w.compare()
			}
			w.eventually("the other is ready", waits.Ready)
			if n := testutil.ToFloat64(waits.o.Metrics.nameTaken.WithLabelValues("s")); n != 0 {
				t.Errorf("it has its name again, and tells that it is taken as %v", n)
			}
		})
	}
}

// One that ends in good order does not throw out of the group who has taken its place.
func TestSuccessorStays(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*KafkaOptions, *handler){ExactlyOnce: func(*KafkaOptions, *handler) {}, AtLeastOnce: atLeastOnce} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			older := w.start("one", change)
			stop := w.feed()
			older.later()
			frozen, thaw := older.freeze()
			t.Cleanup(thaw)
			<-frozen
			newer := w.start("one", change)
			newer.later()
			before := w.cluster.GroupInfo(group).Members
			older.stop()
			thaw()
			<-older.done
			newer.later()
			stop()
			w.caughtUp()
			after := w.cluster.GroupInfo(group).Members
			if len(before) != 1 || len(after) != 1 || before[0].MemberID != after[0].MemberID {
				t.Errorf("the group had the members %+v, and has %+v", before, after)
			}
			if n := testutil.ToFloat64(newer.o.Metrics.fetchErrors.WithLabelValues("s")); n > 0 {
				t.Errorf("%v fetches of the newer failed", n)
			}
		})
	}
}

// One that ends leaves its group even if its last commit fails: else its partitions would rest until its session ends.
func TestFailedLastCommitLeaves(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*KafkaOptions, *handler){Classic: func(*KafkaOptions, *handler) {}, Consumer: consumerGroup} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			p := w.start("one", change)
			stop := w.feed()
			p.later()
			w.refuse(kmsg.EndTxn, 1, func(req kmsg.Request) kmsg.Response {
				p.stop()
				return refusedCommit(req, kerr.ProducerFenced)
			})
			<-p.done
			stop()
			if members := w.cluster.GroupInfo(group).Members; len(members) > 0 {
				t.Errorf("it is gone, and the group has still %+v", members)
			}
		})
	}
}

// A transactional id that is lost to the broker's own doing, for a transaction timed out, is taken back.
func TestFencedByTheBroker(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	p := w.start("one")
	stop := w.feed()
	p.later()
	w.refuse(kmsg.EndTxn, 1, func(req kmsg.Request) kmsg.Response { return refusedCommit(req, kerr.ProducerFenced) })
	p.outcomes("failed")
	p.later()
	stop()
	w.caughtUp()
	w.compare()
	if n := testutil.ToFloat64(p.o.Metrics.fenced.WithLabelValues("s")); n != 0 {
		t.Errorf("%v processes are said to have its name, want none", n)
	}
}

// What is a sign that somebody has the slot.
func TestFenced(t *testing.T) {
	for _, err := range []error{kerr.FencedInstanceID, fmt.Errorf("end: %w", kerr.ProducerFenced), errors.Join(errors.New("x"), kerr.InvalidProducerEpoch)} {
		if !fenced(err) {
			t.Errorf("fenced(%v) = false", err)
		}
	}
	for _, err := range []error{nil, kerr.RebalanceInProgress, errors.New("x")} {
		if fenced(err) {
			t.Errorf("fenced(%v) = true", err)
		}
	}
}
