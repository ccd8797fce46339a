package sources

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// The rules of Burrow's wiki, "Consumer Lag Evaluation Rules", and its evaluator's for rewind, each with its own examples in mind: offsets
// and lags of ten intervals.
func TestJudge(t *testing.T) {
	const every = 3 * time.Second
	start := time.Unix(10_000, 0)
	window := func(offsets, lags []int64) (w []sample) {
		for i, o := range offsets {
			w = append(w, sample{at: start.Add(time.Duration(i) * every), offset: o, lag: lags[i]})
		}
		return w
	}
	ten := func(first, step int64) (all []int64) {
		for i := range int64(samples) {
			all = append(all, first+i*step)
		}
		return all
	}
	with := func(all []int64, at int, value int64) []int64 { all[at] = value; return all }
	restoring := window(ten(100, 0), ten(50, 0))
	for i := range restoring {
		restoring[i].folded = int64(i)
	}
	for name, c := range map[string]struct {
		window []sample
		lag    int64
		after  time.Duration // the last sample
		want   status
	}{
		"no sample":                  {nil, 5, 0, statusOK},
		"the lag shrinks":            {window(ten(100, 10), ten(50, -1)), 41, every, statusOK},
		"rule 1: no lag at one time": {window(ten(100, 0), with(ten(50, 1), 4, 0)), 60, every, statusOK},
		"no lag now":                 {window(ten(100, 0), ten(50, 1)), 0, every, statusOK},
		"rule 2: the offset stays, the lag grows": {window(ten(100, 0), ten(50, 1)), 60, every, statusStall},
		"rule 2: the offset stays, the lag too":   {window(ten(100, 0), ten(50, 0)), 50, every, statusStall},
		"rule 3: the offset grows, the lag too":   {window(ten(100, 1), ten(50, 1)), 60, every, statusWarn},
		"rule 3: the offset grows, the lag stays": {window(ten(100, 1), ten(50, 0)), 50, every, statusWarn},
		"rule 3: the lag shrinks once":            {window(ten(100, 1), with(ten(50, 1), 5, 40)), 60, every, statusOK},
		"rule 4: older than the window is long":   {window(ten(100, 1), ten(50, 1)), 60, samples * every, statusStop},
		"rule 4: just not":                        {window(ten(100, 1), ten(50, 1)), 60, (samples - 1) * every, statusWarn},
		"rule 4: all was processed":               {window(ten(100, 1), ten(50, 1)), 0, samples * every, statusOK},
		"stopped after there was no lag":          {window(ten(100, 1), ten(0, 0)), 60, samples * every, statusStop},
		"the offset goes back":                    {window(with(ten(100, 1), 5, 90), ten(50, -1)), 60, every, statusRewind},
		"a window that is not whole":              {window([]int64{5, 5}, []int64{7, 7}), 7, every, statusOK},
		"not whole, and the loop has stopped":     {window([]int64{5}, []int64{7}), 7, samples * every, statusStop},
		"not whole, and set back":                 {window([]int64{5, 3}, []int64{7, 9}), 9, every, statusRewind},
		"folding what was committed is no stall":  {restoring, 50, every, statusWarn},
	} {
		t.Run(name, func(t *testing.T) {
			now := start.Add(time.Duration(max(0, len(c.window)-1))*every + c.after)
			if got := judge(c.window, c.lag, now, (samples-1)*every); got != c.want {
				t.Errorf("judge = %s, want %s", statusNames[got], statusNames[c.want])
			}
		})
	}
}

// A member tells the status of its partitions, exactly one each, and how many partitions nobody has.
func TestStatusIsTold(t *testing.T) {
	w := newWorld(t, input)
	w.produce(400)
	quick := tuned(func(k *Kafka) { k.watching.every = 50 * time.Millisecond })
	p := w.start("a", quick)
	is := func(id int, want string) func() error {
		return func() error {
			all, n := p.metric(t, "gonomaly_partition_status", fmt.Sprint(id))
			if on, _ := p.metric(t, "gonomaly_partition_status", fmt.Sprint(id), want); all != 1 || n != int(statuses) || on != 1 {
				return fmt.Errorf("partition %d: %s is %v, %v in all %d, want 1, 1, %d", id, want, on, all, n, statuses)
			}
			return nil
		}
	}
	w.caughtUp()
	for id := range partitions {
		w.eventually("ok", is(id, "ok"))
	}
	w.eventually("all have an owner", func() error {
		if sum, n := p.metric(t, "gonomaly_partitions_unowned"); n != 1 || sum != 0 {
			return fmt.Errorf("%v partitions have none, told %d times", sum, n)
		}
		return nil
	})
	release, held := make(chan struct{}), make(chan struct{}, partitions)
	hold := func() {
		held <- struct{}{}
		<-release
	}
	p.h.before.Store(&hold)
	w.produceAt(time.Now(), 2)
	<-held
	w.eventually("the loop has stopped", is(2, "stop"))
	w.eventually("what has no lag is ok", is(1, "ok"))
	p.h.before.Store(nil)
	close(release)
	w.eventually("it goes on", is(2, "ok"))
	p.quit(t)
	if _, n := p.metric(t, "gonomaly_partition_status"); n != 0 {
		t.Errorf("%d are told after the end", n)
	}
}

// A partition of which nothing is fetched, although the loop turns, stalls: here for lack of memory.
func TestStall(t *testing.T) {
	w := newWorld(t, input)
	w.produce(400)
	var short atomic.Bool
	p := w.start("a", tuned(func(k *Kafka) {
		k.watching.every = 50 * time.Millisecond
		k.memory = func(bool) (held, limit int64) {
			if short.Load() {
				return 100, 100
			}
			return 0, 100
		}
	}))
	w.caughtUp()
	w.eventually("idle", p.idle)
	short.Store(true)
	time.Sleep(2 * lookEvery) // it rests, or is about to
	for range 20 {
		w.produceAt(time.Now(), 3)
	}
	w.eventually("it stalls", func() error {
		if on, _ := p.metric(t, "gonomaly_partition_status", "3", "stall"); on != 1 {
			return fmt.Errorf("stall is %v", on)
		}
		return nil
	})
	short.Store(false)
	w.eventually("it goes on", func() error {
		if on, _ := p.metric(t, "gonomaly_partition_status", "3", "ok"); on != 1 {
			return fmt.Errorf("ok is %v", on)
		}
		return nil
	})
}

// An offset that was set back shows when the partition is taken over again.
func TestRewind(t *testing.T) {
	k := unconnected(t)
	at := place{input, 0}
	k.windowOf(at, taken{committed: 90, log: &bounds{0, 100}})
	if got := k.windowOf(at, taken{committed: 90, log: &bounds{0, 100}}).status(10, time.Now()); got != statusOK {
		t.Errorf("taken over where it was left: %s", statusNames[got])
	}
	if got := k.windowOf(at, taken{committed: 40, log: &bounds{0, 100}}).status(60, time.Now()); got != statusRewind {
		t.Errorf("taken over from further back: %s, want rewind", statusNames[got])
	}
}

// A loop that is long at a turn and processes records in it is slow, and healthy; one that does nothing is stuck.
func TestLoop(t *testing.T) {
	for _, c := range []struct {
		turned, progressed time.Duration
		want               Pace
	}{{0, 0, Turning}, {slowTurn / 2, slowTurn / 2, Turning}, {2 * maxIdle, time.Second, Slow}, {2 * maxIdle, maxIdle + time.Second, Stuck}} {
		k := unconnected(t).Kafka
		k.turn, k.progress = time.Now().Add(-c.turned), time.Now().Add(-c.progressed)
		if got, _, _ := k.Loop(); got != c.want {
			t.Errorf("a turn %v ago, progress %v: %s, want %s", c.turned, c.progressed, got, c.want)
		}
	}
}
