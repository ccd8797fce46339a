package sources

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
)

// A partition whose state is long in coming holds up nothing of the others, neither those that are taken over with it nor those that the process
// has already: their records are processed and committed. Once it has its state, it goes on as if nothing had been.
func TestSlowRestoreHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	exactly := func(*KafkaOptions, *handler) {}
	for name, c := range map[string]struct {
		change func(*KafkaOptions, *handler)
		late   bool // the partition comes to a process that has others
	}{
		"at the start": {change: exactly}, "later": {change: exactly, late: true},
		"at least once": {change: atLeastOnce, late: true}, "in a consumer group": {change: consumerGroup, late: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.produce(1000)
			var id atomic.Int32
			id.Store(2)
			come := make(chan struct{})
			slow := func(_ *KafkaOptions, h *handler) {
				h.slow = func(ctx context.Context, p pipeline.Partition) {
					if p.ID != id.Load() {
						return
					}
					select {
					case <-come:
					case <-ctx.Done():
					}
				}
			}
			if c.late {
				b := w.start("b", c.change)
				id.Store(-1)
				a := w.start("a", c.change, slow)
				w.eventually("the partitions are shared", shared(t, a, b))
				w.caughtUp()
				id.Store(b.h.some())
				b.quit(t)
			} else {
				w.start("a", c.change, slow)
			}
			for range 3 {
				w.produce(1000)
				w.eventually("the others go on", func() error { return w.behindIn(func(p int32) bool { return p != id.Load() }) })
			}
			if w.behind() == nil {
				t.Error("the slow one has gone on without its state")
			}
			close(come)
			w.caughtUp()
			if name == "at least once" {
				w.compareAtLeast()
				return
			}
			w.compare()
		})
	}
}

// A state that is long in coming is given up when the partition goes to another process, and at the end: neither waits for it.
func TestSlowRestoreIsGivenUp(t *testing.T) {
	w := newWorld(t, input)
	w.produce(1000)
	var waiting atomic.Int32
	a := w.start("a", func(_ *KafkaOptions, h *handler) {
		h.slow = func(ctx context.Context, _ pipeline.Partition) {
			waiting.Add(1)
			<-ctx.Done()
			waiting.Add(-1)
		}
	})
	w.eventually("the states are waited for", func() error {
		if n := waiting.Load(); n != partitions {
			return fmt.Errorf("%d of %d", n, partitions)
		}
		return contains(a.Ready(), "partitions are being assigned")
	})
	b := w.start("b")
	w.eventually("the other has its share", func() error {
		if _, n := b.metric(t, "gonomaly_time_lag_seconds"); n != partitions/2 || waiting.Load() != partitions/2 {
			return fmt.Errorf("it has %d, and %d are waited for, want %d", n, waiting.Load(), partitions/2)
		}
		return nil
	})
	a.quit(t)
	if n := waiting.Load(); n != 0 {
		t.Errorf("%d are waited for after the end", n)
	}
	w.caughtUp()
	w.compare()
}
