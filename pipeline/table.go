package pipeline

import (
	"cmp"
	"container/heap"
	"math"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// table holds the series of a partition, within the bounds of the configuration: so many series, so many bytes, and none that has been
// silent for longer than idle. When it is full, a new key takes the place of the series with the least recent event time, but only once
// it has come again, and more often than that one lately: so a flood of keys that come once pushes nothing out that is in use (TinyLFU:
// Einziger, Friedman, Manes 2017, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions on Storage 13(4)).
//
// What is admitted and evicted is a function of the log alone, and never of the memory that a process happens to have.
type table struct {
	*plan
	byKey  map[string]*series
	all    []*series // in no order that matters
	bytes  int64     // about what they hold
	seats  seats
	young  young
	misses sketch // keys that came while there was no room
}

func newTable(p *plan) table { return table{plan: p, byKey: map[string]*series{}} }

// add takes s in.
func (t *table) add(s *series) {
	t.byKey[s.key] = s
	s.index = len(t.all)
	t.all = append(t.all, s)
	t.bytes += t.sizeOf(s.key)
	t.young.add(s)
	heap.Push(&t.seats, seat{s.last, s})
}

// remove takes s out of all but its seat, which is given up when it comes up.
func (t *table) remove(s *series) {
	delete(t.byKey, s.key)
	end := len(t.all) - 1
	t.all[s.index] = t.all[end]
	t.all[s.index].index = s.index
	t.all[end] = nil
	t.all = t.all[:end]
	t.bytes -= t.sizeOf(s.key)
	t.young.remove(s)
	s.evicted = true
}

// sizeOf is about what a series of that key holds in memory.
func (t *table) sizeOf(key string) int64 { return t.seriesBytes + 2*int64(len(key)) }

// room says whether one more series, of a key of n bytes, is within the bounds.
func (t *table) room(n int) bool {
	return len(t.all) < t.config.MaxSeries && t.bytes+t.seriesBytes+2*int64(n) <= t.config.MaxBytes
}

// crowded says whether there is more than the bounds let in: they were wider under a configuration before.
func (t *table) crowded() bool { return len(t.all) > t.config.MaxSeries || t.bytes > t.config.MaxBytes }

// deserves counts a new key's coming, and says whether it is to take the place of s.
func (t *table) deserves(key []byte, s *series) bool {
	often := t.misses.add(xxhash.Sum64(key), t.capacity)
	return often > 1 && often > s.hits.at(t.misses.age)
}

// oldest is the series with the least recent event time, of several the first by key; nil for none. A seat is as of when it was taken: one
// whose series has moved on since, or is gone, is put right only here.
func (t *table) oldest() *series {
	for len(t.seats) > 0 {
		top := &t.seats[0]
		switch {
		case top.s.evicted:
			heap.Pop(&t.seats)
		case top.s.last > top.last:
			top.last = top.s.last
			heap.Fix(&t.seats, 0)
		default:
			return top.s
		}
	}
	return nil
}

// silentSince is an event time at or before the oldest series' newest sample: cheap, where oldest is exact.
func (t *table) silentSince() int64 {
	if len(t.seats) == 0 {
		return math.MaxInt64
	}
	return t.seats[0].last
}

// seat is a series' place in the order of event times.
type seat struct {
	last int64 // event time of the newest sample when the seat was taken
	s    *series
}

// seats is a heap, for package heap.
type seats []seat

func (h seats) Len() int      { return len(h) }
func (h seats) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *seats) Push(x any)   { *h = append(*h, x.(seat)) }
func (h seats) Less(i, j int) bool {
	if c := cmp.Compare(h[i].last, h[j].last); c != 0 {
		return c < 0
	}
	return strings.Compare(h[i].s.key, h[j].s.key) < 0
}

func (h *seats) Pop() any {
	old := *h
	end := len(old) - 1
	top := old[end]
	old[end] = seat{}
	*h = old[:end]
	return top
}

// frequency counts how often a series came lately: up to 3, halved with each age of the sketch. The count is in its last two bits, the age
// of the last hit in the others.
type frequency uint64

const mostFrequent = 3

func newFrequency(n uint8, age uint64) frequency { return frequency(age<<2 | uint64(n&mostFrequent)) }

func (f frequency) n() uint8 { return uint8(f & mostFrequent) }

func (f frequency) age() uint64 { return uint64(f >> 2) }

func (f frequency) at(age uint64) uint8 { return f.n() >> min(age-f.age(), 2) }

func (f *frequency) hit(age uint64) { *f = newFrequency(min(f.at(age)+1, mostFrequent), age) }

// sketch counts keys in constant space, and now and then one too often: a count-min sketch (Cormode and Muthukrishnan 2005, "An Improved
// Data Stream Summary", Journal of Algorithms 55(1)) of two-bit counters with conservative update, halved with each age. It is 16
// bytes for each series that there is room for.
type sketch struct {
	counters []byte // four a byte, rows one after the other; nil until something is added
	added    uint64
	age      uint64
}

const (
	sketchRows = 4

	// An age is eight times as many misses as there is room for. So keys that come in turns are seen again in it, and a series keeps its
	// place against a flood that is some sixteen times as fast as all series in use together, where these fill half of the room. With
	// twice as many counters in a row, a key that came once is taken for one that came again in 2 % of cases at most.
	missesPerAge   = 8
	countersPerKey = 16
)

// sketchWidth is the number of counters in a row, a power of two.
func sketchWidth(capacity int) int {
	width := 64
	for width < countersPerKey*capacity {
		width *= 2
	}
	return width
}

func sketchBytes(capacity int) int { return sketchRows * sketchWidth(capacity) / 4 }

// add counts a key, and returns how often it came.
func (k *sketch) add(hash uint64, capacity int) uint8 {
	if k.counters == nil {
		k.counters = make([]byte, sketchBytes(capacity))
	}
	if k.added++; k.added >= uint64(missesPerAge*capacity) { //nolint:gosec // positive
		k.added = 0
		k.age++
		for i, four := range k.counters {
			k.counters[i] = four >> 1 & 0b01010101
		}
	}
	least := uint8(mostFrequent)
	for row := range sketchRows {
		at, shift := k.counter(hash, row)
		least = min(least, k.counters[at]>>shift&mostFrequent)
	}
	if least == mostFrequent {
		return least
	}
	for row := range sketchRows {
		if at, shift := k.counter(hash, row); k.counters[at]>>shift&mostFrequent == least {
			k.counters[at] += 1 << shift
		}
	}
	return least + 1
}

// counter is that of a hash in a row: rows draw from one hash as Kirsch and Mitzenmacher (2006), "Less Hashing, Same Performance", do.
func (k *sketch) counter(hash uint64, row int) (at, shift uint64) {
	width := uint64(len(k.counters) / sketchRows * 4)
	i := uint64(row)*width + (hash+uint64(row)*(hash>>32|1))&(width-1) //nolint:gosec // a row
	return i / 4, i % 4 * 2
}
