package sources

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"
)

// A restore that takes long is told of every ten seconds, and once more when it is over; a short one is not.
func TestProgress(t *testing.T) {
	begin := time.Unix(1000, 0)
	p := progress{from: 100, to: 1100, began: begin}
	for _, c := range []struct {
		after    time.Duration
		position int64
		due      bool
		left     int64
		eta      time.Duration
	}{
		{0, -1, false, 1000, 0},
		{9 * time.Second, 150, false, 950, 171 * time.Second}, // 50 in 9 s
		{10 * time.Second, 200, true, 900, 90 * time.Second},  // 100 in 10 s
		{15 * time.Second, 300, false, 800, 60 * time.Second},
		{20 * time.Second, 600, true, 500, 20 * time.Second},
		{21 * time.Second, 1100, true, 0, 0},
		{40 * time.Second, 2000, false, 0, 0},
	} {
		now := begin.Add(c.after)
		if due, left, eta := p.due(c.position, now), p.left(c.position), p.eta(c.position, now); due != c.due || left != c.left || eta != c.eta {
			t.Errorf("at %d after %v: due %v, %d left, eta %v, want %v, %d and %v", c.position, c.after, due, left, eta, c.due, c.left, c.eta)
		}
	}
	short := progress{from: 0, to: 1100, began: begin}
	if short.due(500, begin.Add(time.Second)) || short.due(1100, begin.Add(time.Minute)) {
		t.Error("a short restore is told of")
	}
	for _, none := range []progress{{from: 7, to: 7}, {from: 5, to: -1}, {from: -2, to: 0}} {
		if n := none.total(); n != 0 || none.left(-1) != 0 {
			t.Errorf("%+v has %d to fold, want none", none, n)
		}
	}
}

// diary keeps what a process logs at INFO and above.
type diary struct {
	mu      sync.Mutex
	entries []slog.Record
}

func (d *diary) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (d *diary) WithAttrs([]slog.Attr) slog.Handler           { return d }
func (d *diary) WithGroup(string) slog.Handler                { return d }
func (d *diary) Handle(_ context.Context, r slog.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, r)
	return nil
}

// lines are those that say msg, each as the values of its attributes.
func (d *diary) lines(msg string) (lines []map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.entries {
		if r.Message != msg {
			continue
		}
		line := map[string]any{}
		r.Attrs(func(a slog.Attr) bool {
			line[a.Key] = a.Value.Any()
			return true
		})
		lines = append(lines, line)
	}
	return lines
}

// worst are the lines above INFO.
func (d *diary) worst() (lines []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.entries {
		if r.Level > slog.LevelInfo {
			lines = append(lines, r.Message)
		}
	}
	return lines
}

// A partition that comes or goes makes one line in the log, with its offsets; a rebalance is no reason to warn.
func TestRebalanceInTheLog(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	written := func(d *diary) func(*KafkaOptions, *handler) {
		return func(o *KafkaOptions, _ *handler) { o.Log = slog.New(d) }
	}
	var first, second, third diary
	a := w.start("a", written(&first))
	w.caughtUp()
	stop := w.feed()
	b := w.start("b", written(&second))
	w.eventually("the partitions are shared", shared(t, a, b))
	a.later()
	stop()
	w.caughtUp()
	if all, gone, come := first.lines("partition assigned"), first.lines("partition revoked"), second.lines("partition assigned"); len(all) != partitions ||
		len(gone) != partitions/2 || len(come) != partitions/2 {
		t.Errorf("%d partitions are assigned, %d revoked, and %d assigned to the other; want %d, and half of them", len(all), len(gone), len(come), partitions)
	}
	for _, gone := range first.lines("partition revoked") {
		i := slices.IndexFunc(second.lines("partition assigned"), func(come map[string]any) bool { return come["partition"] == gone["partition"] })
		if i < 0 || second.lines("partition assigned")[i]["committed"].(int64) < gone["committed"].(int64) {
			t.Errorf("%v is revoked, and not assigned so to the other: %v", gone, second.lines("partition assigned"))
		}
	}
	if lines := append(first.worst(), second.worst()...); len(lines) > 0 {
		t.Errorf("a rebalance is warned of: %v", lines)
	}

	// One without checkpoints says what it is to fold, and that it has.
	a.quit(t)
	b.quit(t)
	w.store.forget(0)
	c := w.start("c", written(&third))
	w.eventually("all is folded", func() error {
		if left, n := c.metric(t, "gonomaly_restore_records_left"); n != partitions || left > 0 {
			return fmt.Errorf("%v records of %d partitions are left", left, n)
		}
		return nil
	})
	ends, err := w.admin.ListEndOffsets(t.Context(), input)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range third.lines("partition assigned") {
		var id int32
		if _, err := fmt.Sscanf(line["partition"].(string), input+"/%d", &id); err != nil {
			t.Fatal(err)
		}
		end, _ := ends.Lookup(input, id)
		if line["committed"] != end.Offset || line["to_fold"] != end.Offset || line["state"] != int64(0) {
			t.Errorf("assigned: %v, want all %d records to fold", line, end.Offset)
		}
	}
}
