package sources

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Partitions that are added under load are read from their first record on, also by a group that began at the end; and without a gap when
// the process restarts before it has seen a record of them.
func TestPartitionsAreAdded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		latest, restart bool
	}{"earliest": {}, "latest": {latest: true}, "latest, and a restart": {latest: true, restart: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			if c.latest {
				w.produce(1000)
			}
			begins, err := w.admin.ListEndOffsets(t.Context(), input)
			if err != nil {
				t.Fatal(err)
			}
			change := func(o *KafkaOptions, h *handler) { h.latest = c.latest }
			p := w.start("a", change)
			if c.latest {
				w.caughtUp()
			}
			w.produce(100)
			w.caughtUp()
			stop := w.feed()
			w.grow(3)
			if c.restart {
				p.kill()
				w.start("a", change)
			} else {
				p.client(t).ForceMetadataRefresh() // it would see them within half a minute
			}
			stop()
			w.caughtUp()
			want := w.replay()
			if c.latest { // the states of partitions that were read from their end on are others: only the new ones' alerts can be compared
				for id := range want {
					if partition, _ := w.position(id); partition < partitions {
						delete(want, id)
					}
				}
				got := w.alerts()
				for id := range want {
					if got[id] != 1 {
						t.Errorf("%s is told %d times, want once", id, got[id])
					}
				}
				for id := range got {
					partition, offset := w.position(id)
					if begin, ok := begins.Lookup(input, partition); ok && offset < begin.Offset {
						t.Errorf("%s is told, of a record before the group began", id)
					}
				}
				return
			}
			w.compareWith(want)
		})
	}
}

// client is the one that the process has now.
func (p *process) client(t testing.TB) *kgo.Client {
	t.Helper()
	var client *kgo.Client
	eventually(t, "it has a client", func() error {
		if client = p.current.Load(); client == nil {
			return errors.New("not yet")
		}
		return nil
	})
	return client
}

// A partition that was empty when a group began at the end is read from its first record on, although nobody read when that came.
func TestLatestOfAnEmptyPartition(t *testing.T) {
	w := newWorld(t, input)
	latest := func(_ *KafkaOptions, h *handler) { h.latest = true }
	p := w.start("a", latest)
	w.eventually("ready", p.Ready)
	w.eventually("where it begins is committed", func() error {
		committed, err := w.admin.FetchOffsets(t.Context(), group)
		if err != nil {
			return err
		}
		for id := range int32(partitions) {
			if c, ok := committed.Lookup(input, id); !ok || c.At != 0 {
				return fmt.Errorf("partition %d: %+v", id, c)
			}
		}
		return nil
	})
	p.quit(t)
	w.produce(1000)
	w.start("a", latest)
	w.caughtUp()
	w.compare()
}

// What retention takes of a partition that was empty when a group began at the end is said: the group was to read it.
func TestRetentionOfWhatCameFirst(t *testing.T) {
	w := newWorld(t, input)
	latest := func(_ *KafkaOptions, h *handler) { h.latest = true }
	p := w.start("a", latest)
	w.eventually("where it begins is committed", func() error {
		committed, err := w.admin.FetchOffsets(t.Context(), group)
		if err == nil && len(committed[input]) < partitions {
			err = errors.New("not all is")
		}
		return err
	})
	p.quit(t)
	w.produce(1000)
	offsets, err := w.admin.ListEndOffsets(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	cut := kadm.Offsets{}
	offsets.Each(func(o kadm.ListedOffset) { cut.AddOffset(o.Topic, o.Partition, o.Offset-10, -1) })
	if _, err := w.admin.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	next := w.start("a", latest)
	w.caughtUp()
	if n := testutil.ToFloat64(next.o.Metrics.gaps.WithLabelValues("s")); n != partitions {
		t.Errorf("%v gaps, want %d", n, partitions)
	}
	if n := testutil.ToFloat64(next.o.Metrics.gapOffsets.WithLabelValues("s")); n != 1000-10*partitions {
		t.Errorf("%v offsets are counted, want %d", n, 1000-10*partitions)
	}
}

// A topic that is deleted and made anew is another log: its state starts cold at its first record, whatever offsets are left of the one
// before, and that is said once.
func TestTopicIsMadeAnew(t *testing.T) {
	t.Parallel()
	anew := func(w *world, records int) {
		w.Helper()
		if err := w.cluster.DeleteTopic(input); err != nil {
			w.Fatal(err)
		}
		if err := w.cluster.CreateTopic(input, partitions, nil); err != nil {
			w.Fatal(err)
		}
		w.client = w.newClient() // a client does not write to a topic that was made anew
		w.admin = kadm.NewClient(w.client)
		w.produce(records)
	}
	for name, latest := range map[string]bool{"earliest": false, "latest": true} {
		for where, running := range map[string]bool{"under a running process": true, "between two": false} {
			t.Run(name+", "+where, func(t *testing.T) {
				w := newWorld(t, input)
				change := func(_ *KafkaOptions, h *handler) { h.latest = latest }
				p := w.start("a", change)
				w.eventually("ready", p.Ready)
				w.produce(1000)
				w.caughtUp()
				before := w.alerts()
				committed, err := w.admin.FetchOffsets(t.Context(), group)
				if err != nil {
					t.Fatal(err)
				}
				if running {
					anew(w, 2000)
				} else {
					p.quit(t)
					anew(w, 2000)
					left := kadm.Offsets{} // the brokers delete a topic's offsets with it; suppose they did not
					committed.Each(func(o kadm.OffsetResponse) { left.Add(o.Offset) })
					if err := w.admin.CommitAllOffsets(t.Context(), group, left); err != nil {
						t.Fatal(err)
					}
					p = w.start("a", change)
				}
				w.caughtUp()
				want := w.replay()
				for id := range before {
					want[id] = true
				}
				w.compareWith(want)
				if n := testutil.ToFloat64(p.o.Metrics.recreated.WithLabelValues("s")); n != 1 {
					t.Errorf("it is said %v times, want once", n)
				}
				w.eventually("ready", p.Ready)
			})
		}
	}
}

// Retention overtakes the reader while it runs: what is gone is said, the rest is processed.
func TestRetentionOvertakes(t *testing.T) {
	w := newWorld(t, input)
	w.produce(200)
	p := w.start("a")
	w.caughtUp()
	frozen, thaw := p.freeze()
	defer thaw()
	stop := w.feed()
	<-frozen
	time.Sleep(500 * time.Millisecond)
	stop()
	w.produce(100_000) // more than a fetch brings
	offsets, err := w.admin.ListEndOffsets(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	cut := kadm.Offsets{}
	offsets.Each(func(o kadm.ListedOffset) { cut.AddOffset(o.Topic, o.Partition, o.Offset-10, -1) })
	if _, err := w.admin.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	thaw()
	w.caughtUp()
	w.eventually("the gaps are counted", func() error {
		if n := testutil.ToFloat64(p.o.Metrics.gaps.WithLabelValues("s")); n == 0 {
			return errors.New("none is")
		}
		return nil
	})
	lost := testutil.ToFloat64(p.o.Metrics.gapOffsets.WithLabelValues("s"))
	if read := p.h.count(); lost == 0 || int64(lost)+read < int64(len(w.log)) {
		t.Errorf("%v offsets are counted as lost, and %d were read, of %d", lost, read, len(w.log))
	}
	w.produce(100)
	w.caughtUp()
	w.eventually("ready", p.Ready)
}

// What is gone of a log from which a state is rebuilt is said, too, where the brokers do not tell where it begins when it is taken over.
func TestCutOffIsSaid(t *testing.T) {
	w := newWorld(t, input)
	w.produce(2000)
	before := w.start("a")
	w.caughtUp()
	before.quit(t)
	w.store.mu.Lock()
	clear(w.store.saved)
	w.store.mu.Unlock()
	offsets, err := w.admin.ListEndOffsets(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	cut := kadm.Offsets{}
	offsets.Each(func(o kadm.ListedOffset) { cut.AddOffset(o.Topic, o.Partition, o.Offset-10, -1) })
	if _, err := w.admin.DeleteRecords(t.Context(), cut); err != nil {
		t.Fatal(err)
	}
	var told atomic.Bool
	w.cluster.ControlKey(kmsg.ListOffsets.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if told.Load() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, asked := range req.(*kmsg.ListOffsetsRequest).Topics {
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = asked.Topic
			for _, p := range asked.Partitions {
				refused := kmsg.NewListOffsetsResponseTopicPartition()
				refused.Partition, refused.ErrorCode = p.Partition, kerr.UnknownServerError.Code
				topic.Partitions = append(topic.Partitions, refused)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	next := w.start("a", func(_ *KafkaOptions, h *handler) {
		h.slow = func(context.Context, pipeline.Partition) { told.Store(true) } // it is taken over
	})
	w.eventually("the gaps are counted", func() error {
		if n := testutil.ToFloat64(next.o.Metrics.gaps.WithLabelValues("s")); n != partitions {
			return fmt.Errorf("%v gaps, want %d", n, partitions)
		}
		return nil
	})
	w.caughtUp()
	if n := testutil.ToFloat64(next.o.Metrics.gapOffsets.WithLabelValues("s")); n != 0 {
		t.Errorf("%v offsets are counted as never read, want none: all were, before", n)
	}
}

// silence has the leader of the even partitions say nothing of their logs until speaks is set.
func (w *world) silence(t *testing.T) (speaks *atomic.Bool) {
	t.Helper()
	for id := range int32(partitions) {
		if err := w.cluster.MoveTopicPartition(input, id, id%2); err != nil {
			t.Fatal(err)
		}
	}
	speaks = &atomic.Bool{}
	w.cluster.ControlKey(kmsg.ListOffsets.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		if speaks.Load() || req.(*kmsg.ListOffsetsRequest).Topics[0].Partitions[0].Partition%2 != 0 {
			return nil, nil, false
		}
		return nil, errors.New("no answer"), true
	})
	return speaks
}

// A broker that says nothing of its logs does not hold up the partitions of the others.
func TestSilentLeader(t *testing.T) {
	w := newWorld(t, input)
	speaks := w.silence(t)
	w.produce(1000)
	others := 0
	for _, r := range w.log {
		if r.Partition%2 != 0 {
			others++
		}
	}
	p := w.start("a")
	w.eventually("what others lead is processed", func() error {
		if n := p.h.count(); n < int64(others) {
			return fmt.Errorf("%d records are, of %d", n, others)
		}
		return nil
	})
	speaks.Store(true)
	w.caughtUp()
	w.compare()
}

// What nobody could say when a partition was taken over, that its committed offset lies beyond the end of its log, is said as soon as the
// leader speaks.
func TestOffsetBeyondTheEndOfASilentLeader(t *testing.T) {
	w := newWorld(t, input)
	speaks := w.silence(t)
	w.produce(100)
	beyond := kadm.Offsets{}
	beyond.AddOffset(input, 0, 1_000_000, -1)
	if err := w.admin.CommitAllOffsets(t.Context(), group, beyond); err != nil {
		t.Fatal(err)
	}
	p := w.start("a", tuned(quick))
	w.eventually("the partition is taken over as well as that can be done", func() error {
		if n := p.h.holds(); n != partitions {
			return fmt.Errorf("%d partitions are, of %d", n, partitions)
		}
		return nil
	})
	speaks.Store(true)
	w.eventually("it is said", func() error { return contains(p.Ready(), "beyond the end of its log") })
	committed, err := w.admin.FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	if at, _ := committed.Lookup(input, 0); at.At != 1_000_000 {
		t.Errorf("the group's offset is %d, want it as it was", at.At)
	}
}

// Offsets jump where the log was compacted, and where transactions were aborted: that is no gap.
func TestOffsetsJump(t *testing.T) {
	w := newWorldWith(t)
	compact, dirty := "compact", "0.0"
	if err := w.cluster.CreateTopic(input, partitions, map[string]string{"cleanup.policy": compact, "min.cleanable.dirty.ratio": dirty, "segment.bytes": "2000"}); err != nil {
		t.Fatal(err)
	}
	w.produce(3000)
	w.produceTransactions()
	w.cluster.Compact()
	records, err := kafka.ReadAll(t.Context(), w.opts, input)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) > 2500 {
		t.Fatalf("%d records are left of 3020: the test shows nothing", len(records))
	}
	p := w.start("a")
	w.caughtUp()
	w.produce(1000)
	w.caughtUp()
	w.compare()
	if n := testutil.ToFloat64(p.o.Metrics.gaps.WithLabelValues("s")); n > 0 {
		t.Errorf("%v gaps, want none", n)
	}
	w.eventually("ready", p.Ready)
}
