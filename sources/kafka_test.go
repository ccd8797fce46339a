package sources

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Partitions go from one process to another and back, while records come in.
func TestRebalances(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*KafkaOptions, *handler){
		"states come at once": func(*KafkaOptions, *handler) {},
		"states come late":    tuned(func(k *Kafka) { k.patience = 0 }),
	} {
		t.Run(name, func(t *testing.T) { rebalances(newWorld(t, input), t, change) })
	}
}

func rebalances(w *world, t *testing.T, change func(*KafkaOptions, *handler)) {
	t.Helper()
	w.produce(2000)
	a := w.start("a", change)
	stop := w.feed()
	b := w.start("b", change)
	both := func(x, y *process) func() error {
		return func() error {
			if _, n := x.metric(t, "gonomaly_time_lag_seconds"); n != 2 {
				return fmt.Errorf("the first has %d partitions, want 2", n)
			}
			if _, n := y.metric(t, "gonomaly_time_lag_seconds"); n != 2 {
				return fmt.Errorf("the second has %d partitions, want 2", n)
			}
			return nil
		}
	}
	w.eventually("the partitions are shared", both(a, b))
	a.quit(t)
	w.eventually("the second has all partitions", func() error {
		if _, n := b.metric(t, "gonomaly_time_lag_seconds"); n != partitions {
			return fmt.Errorf("it has %d", n)
		}
		return nil
	})
	c := w.start("c", change)
	w.eventually("the partitions are shared again", both(b, c))
	b.kill()
	b = w.start("b", change)
	w.eventually("the killed one is back", both(b, c))
	stop()
	w.caughtUp()
	w.compare()
	if n, _ := c.metric(t, "gonomaly_kafka_rebalances_total"); n == 0 {
		t.Error("no rebalance was counted")
	}
}

// A topic that is missing is waited for, and said; what is to be written to is created with as many partitions.
func TestMissingTopic(t *testing.T) {
	w := newWorld(t)
	p := w.start("a")
	w.eventually("the missing topic is said", func() error { return contains(p.Ready(), "topic in does not exist") })
	if err := p.healthy(); err != nil {
		t.Errorf("waiting for a topic is healthy: %v", err)
	}
	if _, err := w.admin.CreateTopic(t.Context(), 3, 1, nil, input); err != nil {
		t.Fatal(err)
	}
	w.produce(500)
	w.caughtUp()
	w.compare()
	topics, err := w.admin.ListTopics(t.Context(), alerts, "in.dead-letters")
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range topics {
		if len(topic.Partitions) != 3 {
			t.Errorf("topic %s has %d partitions, want 3", topic.Topic, len(topic.Partitions))
		}
	}
}

// An output topic that is deleted under way is created again, and nothing is lost.
func TestDeletedOutput(t *testing.T) {
	w := newWorld(t, input)
	p := w.start("a")
	w.eventually("ready", p.Ready)
	if _, err := w.admin.DeleteTopics(t.Context(), alerts); err != nil {
		t.Fatal(err)
	}
	w.produce(500)
	w.caughtUp()
	w.compare()
}

// A source makes the broker abort what its predecessor has left open before it asks for partitions: their offsets would wait for that
// transaction's end.
func TestPredecessorIsFencedFirst(t *testing.T) {
	w := newWorld(t, input)
	var fenced, early atomic.Bool
	w.cluster.ControlKey(kmsg.InitProducerID.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.SleepControl(func() { time.Sleep(300 * time.Millisecond) }) // time for others to come first
		fenced.Store(true)
		return nil, nil, false
	})
	w.cluster.ControlKey(kmsg.JoinGroup.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		early.Store(early.Load() || !fenced.Load())
		return nil, nil, false
	})
	p := w.start("a")
	w.eventually("ready", p.Ready)
	if early.Load() {
		t.Error("it joins the group before its predecessor's transaction is aborted")
	}
}

// An assignment whose state is out of reach is tried again, and costs the process nothing that it has.
func TestAssignIsTriedAgain(t *testing.T) {
	w := newWorld(t, input)
	w.produce(500)
	p := w.start("a", func(_ *KafkaOptions, h *handler) { h.refuse.Store(10) })
	w.eventually("it says why it is not ready", func() error { return contains(p.Ready(), "the store is out of reach") })
	w.caughtUp()
	w.compare()
	w.eventually("ready", p.Ready)
	for _, name := range []string{"gonomaly_kafka_client_rebuilds_total", "gonomaly_kafka_fetch_errors_total"} {
		if n, _ := p.metric(t, name); n != 0 { // a session of the group that fails shows as a failed fetch
			t.Errorf("%s = %v, want 0", name, n)
		}
	}
}

// A clean end leaves a checkpoint at the committed offset, so that the next owner folds nothing again.
func TestNothingIsReplayedAfterACleanEnd(t *testing.T) {
	t.Parallel()
	for _, instance := range []string{"", "a"} {
		t.Run("instance "+instance, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(2000)
			p := w.start(instance)
			w.caughtUp()
			w.eventually("all is committed", func() error { return p.idle() })
			p.quit(t)
			if members := w.members(); members != 0 {
				t.Errorf("the group has %d members after a clean end, want none", members)
			}
			next := w.start(instance)
			w.eventually("ready", next.Ready)
			w.eventually("assigned", next.idle)
			for _, from := range next.h.froms {
				if from <= 0 {
					t.Errorf("begins at %d, want the committed offset", from)
				}
			}
			if n := next.h.count(); n != 0 {
				t.Errorf("%d records are folded again, want none", n)
			}
			w.compare()
		})
	}
}

func (w *world) members() int {
	w.Helper()
	groups, err := w.admin.DescribeGroups(w.Context(), group)
	if err != nil {
		w.Fatal(err)
	}
	return len(groups[group].Members)
}

// idle is nil when every partition is assigned and nothing is left to do.
func (p *process) idle() error {
	left, n := p.metric(p.h.t, "gonomaly_kafka_lag_records")
	seconds, _ := p.metric(p.h.t, "gonomaly_time_lag_seconds")
	if n != partitions || left != 0 || seconds != 0 {
		return fmt.Errorf("%d partitions, %v records and %v s to go", n, left, seconds)
	}
	return nil
}

// Metrics tell what happened, and the lag of a partition that has gone goes with it.
func TestMetrics(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	w.produceTransactions()
	p := w.start("a")
	w.caughtUp()
	w.eventually("caught up, markers included", p.idle)
	told := 0
	for range w.alerts() {
		told++
	}
	for name, want := range map[string]float64{"gonomaly_messages_written_total": float64(told), "gonomaly_alert_latency_seconds": float64(told), "gonomaly_kafka_client_rebuilds_total": 0} {
		w.eventually(name, func() error {
			if got, _ := p.metric(t, name); got != want {
				return fmt.Errorf("%s = %v, want %v", name, got, want)
			}
			return nil
		})
	}
	for _, name := range []string{"gonomaly_transactions_total", "gonomaly_stage_seconds_total", "gonomaly_poll_interval_seconds", "gonomaly_batch_records", "gonomaly_loop_last_progress_timestamp_seconds"} {
		if n, _ := p.metric(t, name); n == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	if n, _ := p.metric(t, "gonomaly_restore_seconds"); n != partitions {
		t.Errorf("%v partitions were taken over, want each once, %d", n, partitions)
	}
	p.quit(t)
	if _, n := p.metric(t, "gonomaly_time_lag_seconds"); n != 0 {
		t.Errorf("%d partitions have a lag after the end, want none", n)
	}
}

// A group that begins at the end of a topic commits that it did: what is written while nobody reads is not skipped.
func TestLatestIsHeld(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	latest := func(_ *KafkaOptions, h *handler) { h.latest = true }
	p := w.start("a", latest)
	w.caughtUp()
	if n := len(w.alerts()); n != 0 {
		t.Errorf("%d alerts on records from before the start, want none", n)
	}
	p.quit(t)
	ends, err := w.admin.ListEndOffsets(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	w.produce(1000)
	next := w.start("a", latest)
	w.caughtUp()
	if want := int64(1000); next.h.count() < want {
		t.Errorf("%d records are folded, want %d", next.h.count(), want)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset == 0 {
			t.Fatal("a partition without records shows nothing")
		}
	})
}

// Records that retention has taken are said, and the rest is processed.
func TestRetention(t *testing.T) {
	w := newWorld(t, input)
	w.produce(2000)
	p := w.start("a")
	w.caughtUp()
	p.quit(t)
	w.produce(2000)
	offsets, err := w.admin.ListEndOffsets(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	cut := kadm.Offsets{}
	offsets.Each(func(o kadm.ListedOffset) { cut.AddOffset(o.Topic, o.Partition, o.Offset-10, -1) })
	if _, err := w.admin.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	next := w.start("a")
	w.caughtUp()
	w.eventually("the gaps are counted", func() error {
		if n, _ := next.metric(t, "gonomaly_kafka_gaps_total"); n != partitions {
			return fmt.Errorf("%v gaps, want %d", n, partitions)
		}
		return nil
	})
	if n, _ := next.metric(t, "gonomaly_kafka_gap_offsets_total"); n != 2000-10*partitions {
		t.Errorf("%v offsets are counted, want %d: the second 2000 but for the 10 of each partition that are left", n, 2000-10*partitions)
	}
	w.eventually("ready", next.Ready)
}

// A batch that decompresses to more than it may is stepped over; what stands before and after it is processed.
func TestTooLargeBatch(t *testing.T) {
	w := newWorld(t, input)
	w.produce(300)
	bomb := w.newClient(kgo.ProducerBatchCompression(kgo.ZstdCompression()), kgo.ProducerBatchMaxBytes(4<<20))
	big := &kgo.Record{Topic: input, Key: []byte("key-1"), Value: []byte(strings.Repeat("0", 2<<20))}
	if err := bomb.ProduceSync(t.Context(), big, &kgo.Record{Topic: input, Key: []byte("key-1"), Value: []byte("after")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p := w.start("a", func(o *KafkaOptions, _ *handler) { o.Client.MaxBatchBytes = 1 << 20 })
	w.caughtUp()
	w.produce(300)
	w.caughtUp()
	if n, _ := p.metric(t, "gonomaly_kafka_batches_skipped_total"); n == 0 {
		t.Error("the batch was not counted")
	}
	w.eventually("ready and caught up", func() error { return errors.Join(p.Ready(), p.idle()) })
	seen := int64(0)
	for id := range w.alerts() {
		if at := strings.Index(id, "@"); at > 0 {
			seen++
		}
	}
	if seen == 0 {
		t.Error("no alerts")
	}
}

// A committed offset beyond the end of the log belongs to another log: nothing is skipped in silence.
func TestOffsetBeyondTheEnd(t *testing.T) {
	w := newWorld(t, input)
	w.produce(100)
	beyond := kadm.Offsets{}
	beyond.AddOffset(input, 0, 1_000_000, -1)
	if err := w.admin.CommitAllOffsets(t.Context(), group, beyond); err != nil {
		t.Fatal(err)
	}
	p := w.start("a")
	w.eventually("it is said", func() error { return contains(p.Ready(), "beyond the end of its log") })
}

// A broker's refusal to let the source into the group or to the topic keeps it from being ready.
func TestRefusedMembership(t *testing.T) {
	w := newWorld(t, input)
	w.cluster.ControlKey(kmsg.JoinGroup.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
		return resp, nil, true
	})
	p := w.start("a")
	w.eventually("it is said", func() error { return contains(p.Ready(), "GROUP_AUTHORIZATION_FAILED") })
}
