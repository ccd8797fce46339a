package sources

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/gonomaly/gonomaly/pipeline"
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
	// A member that is on its way out may still be one for a moment.
	w.eventually("the offsets are moved", func() error { return w.admin.CommitAllOffsets(w.Context(), group, to) })
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
			w.eventually("the group is deleted", func() error { // a leave that came late is made up for by the end of the session
				_, err := w.admin.DeleteGroup(t.Context(), group)
				return err
			})
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

// Nor does a state go on where its log does not reach, when no offset is there to tell: records that are written below would be skipped.
func TestStateBeyondTheEnd(t *testing.T) {
	w := newWorld(t, input)
	w.produce(100)
	topics, err := w.admin.ListTopics(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	w.store.save(pipeline.Partition{Topic: input, TopicID: kafka.Topic{ID: topics[input].ID}.HexID()}, machine{position: 1000})
	p := w.start("a")
	w.eventually("it is said", func() error {
		return contains(p.Ready(), "the state's offset 1000 of in/0 lies beyond the end of its log")
	})
	w.eventually("the other partitions are read", func() error { return w.behindIn(func(id int32) bool { return id > 0 }) })
	committed, err := w.admin.FetchOffsets(t.Context(), group)
	if c, ok := committed.Lookup(input, 0); err != nil || ok {
		t.Errorf("%d is committed, %v: want nothing", c.At, err)
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
