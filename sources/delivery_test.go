package sources

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

func atLeastOnce(o *KafkaOptions, _ *handler)   { o.Config.Delivery = AtLeastOnce }
func consumerGroup(o *KafkaOptions, _ *handler) { o.Config.GroupProtocol = Consumer }
func every(d time.Duration) func(*KafkaOptions, *handler) {
	return func(o *KafkaOptions, _ *handler) { o.Config.CommitEvery = d }
}

// Without transactions alerts may repeat, with the same ids; none is lost, and none is wrong.
func TestAtLeastOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		once    bool // still
		disturb func(*world, *process) *process
	}{
		"nothing": {true, func(w *world, p *process) *process {
			p.later()
			return p
		}},
		"restarts": {true, func(w *world, p *process) *process {
			for range 3 {
				p.later()
				p.quit(w.TB)
				p = w.start("a", atLeastOnce)
			}
			return p
		}},
		"kills": {false, func(w *world, p *process) *process {
			for range 3 {
				p.later()
				p.kill()
				p = w.start("a", atLeastOnce)
			}
			return p
		}},
		"a kill and no checkpoints": {false, func(w *world, p *process) *process {
			p.later()
			p.kill()
			w.store.forget(0)
			return w.start("a", atLeastOnce)
		}},
		"a frozen process": {false, func(w *world, p *process) *process {
			p.later()
			frozen, thaw := p.freeze()
			w.Cleanup(thaw)
			<-frozen
			next := w.start("a", atLeastOnce)
			next.later()
			p.stop()
			thaw()
			<-p.done
			return next
		}},
		"a rebalance": {false, func(w *world, p *process) *process {
			p.later()
			b := w.start("b", atLeastOnce)
			w.eventually("the partitions are shared", shared(w.TB, p, b))
			b.later()
			b.quit(w.TB)
			return p
		}},
		"refused offsets":          {false, afterRefusals(kmsg.OffsetCommit, 3, refusedPlainOffsets, kerr.RebalanceInProgress, "aborted")},
		"offsets refused for good": {false, afterRefusals(kmsg.OffsetCommit, 2, refusedPlainOffsets, kerr.GroupAuthorizationFailed, "failed")},
		"refused alerts":           {false, afterRefusals(kmsg.Produce, 6, refusedRecords, kerr.TopicAuthorizationFailed, "aborted")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(2000)
			p := w.start("a", atLeastOnce)
			stop := w.feed()
			p = c.disturb(w, p)
			stop()
			w.produceTransactions()
			w.caughtUp()
			if doubled := w.compareAtLeast(); doubled > 0 && c.once {
				t.Errorf("%d alerts are doubled, want none", doubled)
			}
			w.eventually("ready", p.Ready)
		})
	}
}

// Without transactions there are none: no right to them is needed. Offsets are committed behind the alerts, not before.
func TestNoTransactions(t *testing.T) {
	w := newWorld(t, input)
	var transactional, refused atomic.Int64
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		w.cluster.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			transactional.Add(1)
			return nil, nil, false
		})
	}
	w.cluster.ControlKey(kmsg.InitProducerID.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if req.(*kmsg.InitProducerIDRequest).TransactionalID != nil {
			transactional.Add(1)
		}
		return nil, nil, false
	})
	var open atomic.Bool // for commits
	w.cluster.ControlKey(kmsg.OffsetCommit.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if open.Load() {
			return nil, nil, false
		}
		refused.Add(1)
		return refusedPlainOffsets(req, kerr.RebalanceInProgress), nil, true
	})
	w.produce(1000)
	p := w.start("a", atLeastOnce)
	w.eventually("commits are refused", func() error {
		if refused.Load() == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if lost, _, _ := w.differences(w.replay()); lost > 0 {
		t.Errorf("%d alerts are not written when their offsets are committed", lost)
	}
	p.kill()
	open.Store(true)
	w.start("a", atLeastOnce)
	w.caughtUp()
	if w.compareAtLeast() == 0 {
		t.Error("no alert is doubled, although the first process was killed before it could commit: the test shows nothing")
	}
	if n := transactional.Load(); n > 0 {
		t.Errorf("%d requests belong to transactions, want none", n)
	}
}

// Offsets are not committed while alerts are on their way.
func TestOffsetsWaitForAlerts(t *testing.T) {
	w := newWorld(t, input)
	var writing, commits, early atomic.Int64
	w.cluster.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		writing.Add(1)
		w.cluster.SleepControl(func() { time.Sleep(2 * DefaultKafka().CommitEvery) })
		writing.Add(-1)
		return nil, nil, false
	})
	w.cluster.ControlKey(kmsg.OffsetCommit.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		commits.Add(1)
		early.Add(writing.Load())
		return nil, nil, false
	})
	w.produce(1000)
	w.start("a", atLeastOnce)
	w.caughtUp()
	w.compare()
	if n := early.Load(); n > 0 || commits.Load() == 0 {
		t.Errorf("%d messages are being written while offsets are committed, of %d commits", n, commits.Load())
	}
}

func refusedPlainOffsets(req kmsg.Request, err *kerr.Error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range req.(*kmsg.OffsetCommitRequest).Topics {
		topic := kmsg.NewOffsetCommitResponseTopic()
		topic.Topic, topic.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			partition := kmsg.NewOffsetCommitResponseTopicPartition()
			partition.Partition, partition.ErrorCode = p.Partition, err.Code
			topic.Partitions = append(topic.Partitions, partition)
		}
		resp.Topics = append(resp.Topics, topic)
	}
	return resp
}

// shared says whether two processes have half of the partitions each.
func shared(t testing.TB, a, b *process) func() error {
	return func() error {
		_, n := a.metric(t, "gonomaly_time_lag_seconds")
		_, m := b.metric(t, "gonomaly_time_lag_seconds")
		if n != partitions/2 || m != partitions/2 {
			return fmt.Errorf("they have %d and %d partitions", n, m)
		}
		return nil
	}
}

// The interval between commits is the configured one, and a long one does not hold a rebalance back.
func TestCommitEvery(t *testing.T) {
	t.Parallel()
	t.Run("often", func(t *testing.T) {
		w := newWorld(t, input)
		w.produce(1000)
		often, seldom := w.start("often", every(minCommitEvery)), w.start("seldom", every(maxCommitEvery/2))
		commits := func(p *process) float64 {
			n, _ := p.metric(t, "gonomaly_transactions_total")
			return n
		}
		w.eventually("the partitions are shared", shared(t, often, seldom))
		defer w.feed()()
		first, before := commits(often), commits(seldom)
		w.eventually("three turns of the one pass", func() error {
			if n := commits(seldom) - before; n < 3 {
				return fmt.Errorf("%v commits", n)
			}
			return nil
		})
		if n := commits(often) - first; n < 4*3 {
			t.Errorf("%v commits every %v in the time of three every %v", n, minCommitEvery, maxCommitEvery/2)
		}
	})
	long := tuned(func(k *Kafka) { k.o.Config.CommitEvery = 5 * time.Minute }) // no test waits so long
	for name, change := range map[string]func(*KafkaOptions, *handler){"exactly once": long, "at least once": func(o *KafkaOptions, h *handler) {
		long(o, h)
		atLeastOnce(o, h)
	}} {
		t.Run("a rebalance ends a turn, "+name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(1000)
			a := w.start("a", change)
			defer w.feed()()
			w.eventually("it has all partitions", func() error {
				if _, n := a.metric(t, "gonomaly_time_lag_seconds"); n != partitions {
					return fmt.Errorf("%d", n)
				}
				return nil
			})
			b := w.start("b", change)
			w.eventually("the partitions are shared", shared(t, a, b))
		})
	}
}

// In a consumer group (KIP-848) the brokers assign; what is promised is the same.
func TestConsumerGroup(t *testing.T) {
	t.Parallel()
	for name, instances := range map[string][2]string{"with instances": {"a", "b"}, "without": {"", ""}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(2000)
			a := w.start(instances[0], consumerGroup)
			stop := w.feed()
			b := w.start(instances[1], consumerGroup)
			w.eventually("the partitions are shared", shared(t, a, b))
			a.later()
			b.later()
			b.quit(t)
			w.eventually("the first has all partitions", func() error {
				if _, n := a.metric(t, "gonomaly_time_lag_seconds"); n != partitions {
					return fmt.Errorf("it has %d", n)
				}
				return nil
			})
			b = w.start(instances[1], consumerGroup)
			w.eventually("the partitions are shared again", shared(t, a, b))
			w.eventually("all have an owner", func() error {
				if n, told := a.metric(t, "gonomaly_partitions_unowned"); n != 0 || told != 1 {
					return fmt.Errorf("%v have none, told %d times", n, told)
				}
				return nil
			})
			stop()
			w.caughtUp()
			w.compare()
			a.quit(t)
			b.quit(t)
			if info := w.cluster.GroupInfo(group); info == nil || len(info.Members) > 0 {
				t.Errorf("the group is %+v after a clean end, want it without members", info)
			}
		})
	}
}

// Where the brokers cannot do what is configured, that is said, and nothing else is done in its place.
func TestConsumerGroupOfOldBrokers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		versions *kversion.Versions
		says     string
	}{"Kafka 4.2": {kversion.V4_2_0(), "wants Kafka 4.3 or newer"}, "Kafka 3.9": {kversion.V3_9_0(), "wants Kafka 4.3 or newer"}} {
		t.Run(name, func(t *testing.T) {
			w := newWorldWith(t, kfake.SeedTopics(partitions, input), kfake.MaxVersions(c.versions))
			p := w.start("a", consumerGroup)
			w.eventually("it is said", func() error { return contains(p.Ready(), c.says) })
			if err := p.healthy(); err != nil {
				t.Errorf("waiting for other brokers is healthy: %v", err)
			}
			if n := w.members(); n > 0 {
				t.Errorf("the group has %d members, want none", n)
			}
		})
	}
}

// What is out of range is told by name.
func TestKafkaConfigIsChecked(t *testing.T) {
	if err := DefaultKafka().Check(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for name, bad := range map[string]func(*KafkaConfig){
		"delivery":       func(c *KafkaConfig) { c.Delivery = "at-most-once" },
		"commit_every":   func(c *KafkaConfig) { c.CommitEvery = time.Minute },
		"group_protocol": func(c *KafkaConfig) { c.GroupProtocol = "share" },
	} {
		c := DefaultKafka()
		bad(&c)
		if err := contains(c.Check(), name+" is "); err != nil {
			t.Errorf("%s: Check() = %v", name, err)
		}
		o := KafkaOptions{Client: kafka.Config{Brokers: []string{"localhost:1"}}, Config: c, Group: group, Topics: []string{input}, Outputs: []string{alerts}, Log: logTo("")}
		if _, err := NewKafka(o); err == nil {
			t.Errorf("%s: NewKafka succeeds", name)
		}
	}
}
