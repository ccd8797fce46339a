package sources

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// position splits an alert's id.
func (w *world) position(id string) (partition int32, offset int64) {
	w.Helper()
	_, rest, _ := strings.Cut(id, "/")
	p, rest, _ := strings.Cut(rest, "@")
	o, _, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(p)
	m, err2 := strconv.ParseInt(o, 10, 64)
	if err != nil || err2 != nil {
		w.Fatalf("the id %s: %v, %v", id, err, err2)
	}
	return int32(n), m
}

// move commits other offsets for a group without members: where of each partition's log.
func (w *world) move(where func(committed, end int64) int64) map[int32]int64 {
	w.Helper()
	ends, err := w.admin.ListEndOffsets(w.Context(), input)
	if err != nil {
		w.Fatal(err)
	}
	committed, err := w.admin.FetchOffsets(w.Context(), group)
	if err != nil {
		w.Fatal(err)
	}
	to, at := kadm.Offsets{}, map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		c, _ := committed.Lookup(input, end.Partition)
		at[end.Partition] = where(c.At, end.Offset)
		to.AddOffset(input, end.Partition, at[end.Partition], -1)
	})
	if err := w.admin.CommitAllOffsets(w.Context(), group, to); err != nil {
		w.Fatal(err)
	}
	return at
}

// The group's offsets are moved by hand while nobody reads. Back: what comes after them is told again, with the ids it had. Forward: what
// lies before them is folded, and not told.
func TestOffsetsAreMoved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		where       func(committed, end int64) int64
		checkpoints int // that are kept of each partition
		times       func(offset, moved, before int64) int
	}{
		"back": {func(c, _ int64) int64 { return c / 2 }, 1000, func(offset, moved, before int64) int {
			if offset >= moved && offset < before {
				return 2
			}
			return 1
		}},
		"back, below every checkpoint": {func(c, _ int64) int64 { return c / 2 }, 0, func(offset, moved, before int64) int {
			if offset >= moved && offset < before {
				return 2
			}
			return 1
		}},
		"to the start": {func(int64, int64) int64 { return 0 }, 1000, func(offset, _, before int64) int {
			if offset < before {
				return 2
			}
			return 1
		}},
		"forward": {func(c, end int64) int64 { return (c + end) / 2 }, 1000, func(offset, moved, before int64) int {
			if offset >= before && offset < moved {
				return 0
			}
			return 1
		}},
		"to the end": {func(_, end int64) int64 { return end }, 1000, func(offset, moved, before int64) int {
			if offset >= before && offset < moved {
				return 0
			}
			return 1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(1000)
			p := w.start("a")
			w.caughtUp()
			p.quit(t)
			before := w.move(func(c, _ int64) int64 { return c })
			w.produce(1000)
			w.store.forget(c.checkpoints)
			moved := w.move(c.where)
			p = w.start("a")
			w.caughtUp()
			w.produce(500)
			w.caughtUp()
			got := w.alerts()
			for id := range w.replay() {
				partition, offset := w.position(id)
				if want := c.times(offset, moved[partition], before[partition]); got[id] != want {
					t.Errorf("%s is told %d times, want %d: committed %d before, moved to %d", id, got[id], want, before[partition], moved[partition])
				}
				delete(got, id)
			}
			if len(got) > 0 {
				t.Errorf("%d alerts are wrong", len(got))
			}
			w.eventually("ready", p.Ready)
		})
	}
}

// The group's offsets have expired: the state goes on from its checkpoint, and nothing is lost. Without one all is told again.
func TestOffsetsHaveExpired(t *testing.T) {
	t.Parallel()
	for _, checkpoints := range []int{1000, 0} {
		t.Run(fmt.Sprint(checkpoints), func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(1000)
			p := w.start("a")
			w.caughtUp()
			p.quit(t)
			if _, err := w.admin.DeleteGroup(t.Context(), group); err != nil {
				t.Fatal(err)
			}
			w.produce(1000)
			w.store.forget(checkpoints)
			w.start("a")
			w.caughtUp()
			if doubled := w.compareAtLeast(); (doubled > 0) != (checkpoints == 0) {
				t.Errorf("%d alerts are told again, with %d checkpoints", doubled, checkpoints)
			}
		})
	}
}

// While the group has members nobody else moves its offsets: the brokers refuse it, and nothing comes of the attempt.
func TestOffsetsAreNotMovedUnderAReader(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	p := w.start("a")
	w.eventually("ready", p.Ready)
	stop := w.feed()
	for range 5 {
		to := kadm.Offsets{}
		to.AddOffset(input, 0, 0, -1)
		if err := w.admin.CommitAllOffsets(t.Context(), group, to); err == nil {
			t.Error("the offsets of a group with members are moved: the test shows something else")
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	w.caughtUp()
	w.compare()
}

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
			if _, err := w.admin.CreatePartitions(t.Context(), 3, input); err != nil {
				t.Fatal(err)
			}
			w.eventually("the new partitions have records", func() error {
				w.client.ForceMetadataRefresh()
				ends, err := w.admin.ListEndOffsets(t.Context(), input)
				if err != nil {
					return err
				}
				for id := range int32(partitions + 3) {
					if end, ok := ends.Lookup(input, id); !ok || end.Offset == 0 {
						return fmt.Errorf("partition %d has none", id)
					}
				}
				return nil
			})
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
func (p *process) client(t *testing.T) *kgo.Client {
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
	w.produce(100)
	w.caughtUp()
	w.eventually("ready", p.Ready)
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

// What is written beside an offset is read back; what others write there is not ours.
func TestMark(t *testing.T) {
	want := mark{topic: [16]byte{1, 2, 255}, partitions: 7}
	text := want.String()
	if got := parseMark(&text); got != want {
		t.Errorf("parseMark(%q) = %+v, want %+v", text, got, want)
	}
	for _, text := range []string{"", "consumer-1-abc", "gonomaly topic=xyz partitions=1", "gonomaly topic= partitions=", strings.Repeat("gonomaly ", 1000)} {
		if got := parseMark(&text); got.topic != [16]byte{} {
			t.Errorf("parseMark(%q) = %+v, want no topic", text, got)
		}
	}
	if got := parseMark(nil); got != (mark{}) {
		t.Errorf("parseMark(nil) = %+v", got)
	}
}
