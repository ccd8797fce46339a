//go:build sim

package sim

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/sources"
)

// watcher looks at the world ten times a second for what must hold all the time, not only at the end.
type watcher struct {
	w        *world
	pointers map[string]pointer // of each partition
	waiting  map[string][]mark  // of partitions that have something to wait for
	longest  time.Duration      // that something waited
	unequal  time.Time          // since when a process has less than its share; zero where none has
	unfair   time.Duration      // that this lasted at most
	bad      []string
}

// mark says that a log ended at an offset, and since when.
type mark struct {
	offset int64
	since  time.Time
}

func newWatcher(w *world) *watcher {
	return &watcher{w: w, pointers: map[string]pointer{}, waiting: map[string][]mark{}}
}

// watch looks until the end is closed.
func (o *watcher) watch(end, done chan struct{}) {
	defer close(done)
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-end:
			tick.Stop()
			return
		case <-tick.C:
			o.look()
			o.delays()
			o.shares()
		}
	}
}

// look takes the pointers in. They never move back, but in a Redis that loses what it has confirmed, and an owner may begin another epoch.
func (o *watcher) look() {
	for _, key := range o.w.redis.Keys() {
		if o.w.redis.Type(key) != "hash" {
			continue
		}
		now, ok := parsePointer(o.w.redis.HGet(key, "newest"))
		if !ok {
			continue
		}
		before := o.pointers[key]
		if !o.w.loses() && cmp.Or(cmp.Compare(now.epoch, before.epoch), cmp.Compare(now.end, before.end)) < 0 {
			o.bad = append(o.bad, fmt.Sprintf("the pointer %s moved back from %v to %v", key, before, now))
		}
		if before.end > 0 && now.begin != before.begin {
			o.w.keep(key, before.end)
		}
		o.pointers[key] = now
	}
}

// pointer is what Redis has of a chain of checkpoints: "EPOCH OFFSET CHUNKS TAG…".
type pointer struct{ epoch, begin, end int64 }

func parsePointer(text string) (p pointer, ok bool) {
	words := strings.Fields(text)
	if len(words) < 4 {
		return p, false
	}
	_, err1 := fmt.Sscan(words[0], &p.epoch)
	_, err2 := fmt.Sscan(words[1], &p.begin)
	_, err3 := fmt.Sscan(words[len(words)-3], &p.end)
	return p, errors.Join(err1, err2, err3) == nil
}

// delays measures how long records wait to be committed, and alerts to be seen.
func (o *watcher) delays() {
	if g := o.w.cluster.GroupInfo(o.w.stream.Group); g != nil {
		for _, p := range o.w.cluster.PartitionInfos(input) {
			o.wait(fmt.Sprintf("%s/%d", input, p.Partition), p.HighWatermark, g.Commits[input][p.Partition].Offset)
		}
	}
	for _, p := range o.w.cluster.PartitionInfos(alerts) {
		o.wait(fmt.Sprintf("%s/%d", alerts, p.Partition), p.HighWatermark, p.LastStableOffset)
	}
}

// shares measures how long a process waits for its share of the partitions.
func (o *watcher) shares() {
	w, has, fair := o.w, map[string]int{}, true
	if g := w.cluster.GroupInfo(w.stream.Group); g != nil {
		for _, m := range g.Members {
			has[m.ClientID] += len(m.Assignment[input])
		}
	}
	for _, s := range w.slots {
		p := s.process()
		if p == nil { // it has none to wait
			fair = true
			break
		}
		fair = fair && has[p.name] >= int(w.partitions)/len(w.slots)
	}
	switch {
	case fair:
		o.unequal = time.Time{}
	case o.unequal.IsZero():
		o.unequal = time.Now()
	default:
		o.unfair = max(o.unfair, time.Since(o.unequal))
	}
}

func (o *watcher) wait(name string, end, done int64) {
	marks := o.waiting[name]
	if n := len(marks); end > done && (n == 0 || marks[n-1].offset < end) {
		marks = append(marks, mark{end, time.Now()})
	}
	for len(marks) > 0 && marks[0].offset <= done {
		marks = marks[1:]
	}
	o.waiting[name] = marks
	if len(marks) > 0 {
		o.longest = max(o.longest, time.Since(marks[0].since))
	}
}

// judge adds what was seen to a verdict.
func (o *watcher) judge(v *verdict) {
	v.bad = append(v.bad, o.bad...)
	if o.w.gentle == "" {
		return
	}
	v.longest = o.longest
	if o.longest > gentleWait {
		v.wrong("in a gentle run something waited for %v, want at most %v", o.longest, gentleWait)
	}
	v.unfair = o.unfair
	if o.unfair > fairWait {
		v.wrong("in a gentle run a process waited %v for its share, want at most %v", o.unfair, fairWait)
	}
	for _, s := range o.w.slots {
		for _, p := range s.all {
			if n := p.count("gonomaly_kafka_client_rebuilds_total"); n > 0 {
				v.wrong("in a gentle run %s made its client anew %v times", p.name, n)
			}
		}
	}
}

// gentleWait is how long a record or an alert may wait where processes do nothing worse than end and start in a slot of their own: the
// pause until the next starts, a rebalance, which a member hears of with its next heartbeat, and a transaction.
const gentleWait = 3500 * time.Millisecond

// fairWait is how long a process may wait for its share of the partitions, while records come.
const fairWait = 6 * time.Second

// gently says whether a run of nothing but one kind of fault can be a gentle one: one that waits for no time-out.
func (p *plan) gently(what string) bool {
	return p.stream.Delivery == sources.ExactlyOnce && (what == terminate || p.static && p.stream.GroupProtocol == sources.Classic)
}
