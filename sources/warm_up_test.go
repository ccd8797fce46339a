package sources

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// A group that begins at the end of a topic knows as much of what is before as is wanted, and tells from the end on what a process tells
// that has folded just that, each alert once, whatever becomes of the processes.
func TestWarmUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		warmUp  time.Duration
		since   int64 // the first record that the state knows
		disturb func(*world, *process, func() *process) *process
	}{
		"undisturbed":              {100 * time.Hour, hours - 101, nil},
		"longer than the history":  {2 * hours * time.Hour, 0, nil},
		"shorter than to a record": {time.Minute, hours - 1, nil},
		"a kill on the way": {100 * time.Hour, hours - 101, func(w *world, p *process, start func() *process) *process {
			p.kill()
			return start()
		}},
		"a kill later, without a state": {100 * time.Hour, hours - 101, func(w *world, p *process, start func() *process) *process {
			p.h.before.Store(nil)
			p.warm()
			w.produce(200)
			w.caughtUp()
			p.kill()
			return start()
		}},
		"another process": {100 * time.Hour, hours - 101, func(w *world, p *process, start func() *process) *process {
			next := start()
			p.quit(w.TB)
			return next
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.history(t)
			w.warmsUp(t, c.warmUp, c.since, c.disturb)
		})
	}
}

// history writes a record for each of many hours to partition 1.
func (w *world) history(t *testing.T) {
	t.Helper()
	client := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	begin := time.Now().Add(-hours * time.Hour)
	for i := range hours {
		r := &kgo.Record{Topic: input, Partition: 1, Value: fmt.Append(nil, i), Timestamp: begin.Add(time.Duration(i) * time.Hour)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// warmsUp starts a process that warms up on a history, and compares what it tells in the end.
func (w *world) warmsUp(t *testing.T, warmUp time.Duration, since int64, disturb func(*world, *process, func() *process) *process) {
	t.Helper()
	start := func() *process {
		return w.start(fmt.Sprint("a", time.Now().UnixNano()), func(o *KafkaOptions, h *handler) {
			h.latest, o.Config.WarmUp, o.Config.CommitEvery = true, warmUp, minCommitEvery
			slow := func() { time.Sleep(100 * time.Millisecond) }
			h.before.Store(&slow)
		})
	}
	p := start()
	p.h.forgets.Store(true) // so it makes no difference how far it comes
	w.eventually("where it begins is committed", func() error { return w.beginsAt(hours) })
	w.produce(500)
	if disturb != nil {
		p = disturb(w, p, start)
	}
	w.produce(500)
	p.h.before.Store(nil)
	p.warm()
	w.caughtUp()
	records, err := kafka.ReadAll(t.Context(), w.opts, input)
	if err != nil {
		t.Fatal(err)
	}
	var known []kafka.Record
	for _, r := range records {
		if r.Partition != 1 || r.Offset >= since {
			known = append(known, r)
		}
	}
	want := w.fold(known)
	for id := range want {
		if partition, offset := w.position(id); partition == 1 && offset < hours {
			delete(want, id)
		}
	}
	w.compareWith(want)
	w.eventually("ready", p.Ready)
	if n := testutil.ToFloat64(p.o.Metrics.gaps.WithLabelValues("s")); n != 0 {
		t.Errorf("%v gaps are said, want none", n)
	}
}

// warm waits until all that was committed before is folded.
func (p *process) warm() {
	p.h.t.Helper()
	eventually(p.h.t, "it is warm", func() error {
		if left, n := p.metric(p.h.t, "gonomaly_restore_records_left"); n == 0 || left > 0 {
			return fmt.Errorf("%v records are left", left)
		}
		return nil
	})
}

// beginsAt says whether this is the group's offset in partition 1, and 0 that in the others.
func (w *world) beginsAt(offset int64) error {
	committed, err := w.admin.FetchOffsets(w.Context(), group)
	if err != nil {
		return err
	}
	for partition := range int32(partitions) {
		want := int64(0)
		if partition == 1 {
			want = offset
		}
		if c, ok := committed.Lookup(input, partition); !ok || c.At != want {
			err = errors.Join(err, fmt.Errorf("partition %d: it is %+v, want %d", partition, c, want))
		}
	}
	return err
}

// A topic without records has no history: its partitions begin at their first record.
func TestWarmUpWithoutHistory(t *testing.T) {
	w := newWorld(t, input)
	warm := func(o *KafkaOptions, h *handler) { h.latest, o.Config.WarmUp = true, time.Hour }
	p := w.start("a", warm)
	w.eventually("where it begins is committed", func() error { return w.beginsAt(0) })
	p.quit(t)
	w.produce(1000)
	w.start("a", warm)
	w.caughtUp()
	w.compare()
}

// Who has a state needs no history: it goes on from there. Nor does a group that has an offset, whatever it is started with now.
func TestWarmUpIsOnce(t *testing.T) {
	w := newWorld(t, input)
	w.history(t)
	w.produce(200)
	p := w.start("a")
	w.caughtUp()
	p.quit(t)
	w.produce(200)
	p = w.start("a", func(o *KafkaOptions, h *handler) { h.latest, o.Config.WarmUp = true, 10*time.Hour })
	w.caughtUp()
	w.compare()
	if n := p.h.count(); n > 300 {
		t.Errorf("%d records are folded, want those that came since", n)
	}
	p.quit(t)
	w.store.forget(0)
	w.produce(200)
	w.start("a", func(o *KafkaOptions, h *handler) { h.latest, o.Config.WarmUp = true, 10*time.Hour })
	w.caughtUp()
	w.compare()
}

// What is written beside offsets is read by programs before and after this one.
func TestMarks(t *testing.T) {
	id := [16]byte{1, 2}
	for text, want := range map[string]mark{
		mark{id, 3, 0}.String():                   {id, 3, 0},
		mark{id, 3, 99}.String():                  {id, 3, 99},
		mark{id, 3, 99}.String() + " and=so on":   {id, 3, 99},
		"gonomaly topic=zz partitions=3 since=7":  {[16]byte{}, 3, 7},
		"gonomaly topic=zz partitions=3 since=-7": {[16]byte{}, 3, 0},
		"gonomaly topic=zz":                       {},
		"somebody else's":                         {},
		"":                                        {},
	} {
		if got := parseMark(&text); got != want {
			t.Errorf("parseMark(%q) = %+v, want %+v", text, got, want)
		}
	}
}

// An offset that was set back to before the state began wants a state of all that is before it, whatever is written beside it.
func TestOffsetBeforeTheState(t *testing.T) {
	w := newWorld(t, input)
	w.history(t)
	p := w.start("a", func(_ *KafkaOptions, h *handler) { h.latest = true })
	w.eventually("where it begins is committed", func() error { return w.beginsAt(hours) })
	p.quit(t)
	w.store.forget(0)
	w.produce(200)
	back := kadm.Offsets{}
	back.Add(kadm.Offset{Topic: input, Partition: 1, At: hours / 2, LeaderEpoch: -1, Metadata: mark{partitions: 2, since: hours}.String()})
	w.eventually("the offset is moved", func() error { return w.admin.CommitAllOffsets(t.Context(), group, back) })
	w.start("a")
	w.caughtUp()
	want := w.replay()
	for id := range want {
		if partition, offset := w.position(id); partition == 1 && offset < hours/2 {
			delete(want, id)
		}
	}
	w.compareWith(want)
}
