package pipeline

import (
	"hash/maphash"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/threshold"
)

// table holds the series of a partition, within the bounds of the configuration: so many series, so many bytes, and none that has been
// silent for longer than idle. When it is full, a new key takes the place of the series with the least recent event time, but only once
// it has come again, and more often than that one lately: so a flood of keys that come once pushes nothing out that is in use (TinyLFU:
// Einziger, Friedman, Manes 2017, "TinyLFU: A Highly Efficient Cache Admission Policy", ACM Transactions on Storage 13(4)).
//
// What is admitted and evicted is a function of the log alone, and never of the memory that a process happens to have.
//
// Series lie side by side in columns, and are called by their number there. Of a stream whose series are compact no column has a pointer in it, so
// that millions of series are nothing to the garbage collector.
type table struct {
	*plan
	bytes     int64
	seed      maphash.Seed
	index     index  // of the series, by the hashes of their keys
	free      uint32 // the first slot that has none, or nobody
	slots     column[slot]
	keys      keys
	states    column[float64]       // where the stream's series are compact, their detector's
	bodies    column[*body]         // where they have one each
	incidents map[uint32]*incidents // of the few series that have one
	names     map[uint32]string     // of those that were asked for again and again
	one       *alone                // the body that all series share, where that is enough
	compact   detectors.Compact     // its detector, where the series are compact
	partsOf   []part                // of the series that was read last
	common    []watched             // detectors that all series have, each in its place
	seats     seats
	young     young
	misses    sketch // keys that came while there was no room
}

// nobody is no series.
const nobody = math.MaxUint32

func newTable(p *plan) table {
	t := table{
		plan: p, seed: maphash.MakeSeed(), index: newIndex(), free: nobody,
		common: newCommon(p), slots: column[slot]{each: 1}, bodies: column[*body]{each: 1}, incidents: map[uint32]*incidents{},
	}
	if p.isBare() {
		t.one = newAlone(p, t.common)
	}
	if p.isCompact() {
		t.compact = t.one.detector[0].Detector.(detectors.Compact) //nolint:forcetypeassert // it is what the plan says
		t.states.each = t.compact.Words()
	}
	return t
}

// series is that of a number. Of compact ones only the last that was asked for is to be scored, learned or written: they have one detector
// between them.
func (t *table) series(id uint32) series { return t.of(t.slots.at(id)) }

func (t *table) of(s *slot) series {
	if t.one == nil {
		return series{s, *t.bodies.at(s.id)}
	}
	if t.compact != nil {
		t.compact.Use(t.states.row(s.id))
		t.one.detector[0].law = &s.law
	}
	return series{s, &t.one.body}
}

// find is the series of a key.
func (t *table) find(key []byte) (s series, ok bool) {
	hash := t.hashOf(key)
	for place := hash; ; place++ {
		e := t.index.at(place)
		if e == 0 {
			return series{}, false
		}
		if e.hash() != hash {
			continue
		}
		if s := t.slots.at(e.id()); string(t.keys.at(s.key)) == string(key) {
			return t.of(s), true
		}
	}
}

func (t *table) hashOf(key []byte) uint32 { return uint32(maphash.Bytes(t.seed, key)) } //nolint:gosec // some of its bits

// add makes a series, as if it had had no point.
func (t *table) add(key []byte) series {
	id := t.free
	if id != nobody {
		t.free = t.slots.at(id).next
	} else {
		id = t.slots.add()
		switch {
		case t.compact != nil:
			t.states.add()
		case t.one == nil:
			t.bodies.add()
		}
	}
	*t.slots.at(id) = slot{id: id, next: nobody, young: none, law: threshold.NewTail()}
	t.keys.add(key, id, &t.slots)
	t.index.add(t.hashOf(key), id)
	switch {
	case t.compact != nil:
		clear(t.states.row(id))
	case t.one == nil:
		b := newBody(t.plan, t.common)
		b.owner = id
		*t.bodies.at(id) = b
	}
	t.bytes += t.sizeOf(len(key))
	return t.series(id)
}

// remove takes s out of all but its seat. Its number is another's from the next add on.
func (t *table) remove(s series) {
	key := t.key(s.id)
	t.index.remove(t.hashOf(key), s.id)
	t.bytes -= t.sizeOf(len(key))
	t.keys.remove(s.key, &t.slots)
	t.young.remove(s.slot, &t.slots)
	delete(t.incidents, s.id)
	delete(t.names, s.id)
	if t.one == nil {
		s.gone = true
		*t.bodies.at(s.id) = nil
	}
	s.evicted, s.next = true, t.free
	t.free = s.id
}

// all are the numbers of the series, but for those that are made meanwhile.
func (t *table) all(yield func(uint32) bool) {
	for id := range uint32(t.slots.n) { //nolint:gosec // a number
		if !t.slots.at(id).evicted && !yield(id) {
			return
		}
	}
}

// key is the name of a series, until the next one is removed.
func (t *table) key(id uint32) []byte { return t.keys.at(t.slots.at(id).key) }

// name is the name of a series, kept where it is asked for all the time.
func (t *table) name(id uint32, again bool) string {
	if !again {
		return string(t.key(id))
	}
	name, ok := t.names[id]
	if !ok {
		name = string(t.key(id))
		if t.names == nil {
			t.names = map[uint32]string{}
		}
		t.names[id] = name
	}
	return name
}

// incident is the one of a kind that a series has open, or nil.
func (t *table) incident(s series, k Kind) *incident {
	if !s.disturbed {
		return nil
	}
	return *t.incidents[s.id].of(k)
}

// sets makes i, perhaps nil, a series' incident of a kind.
func (t *table) sets(s series, k Kind, i *incident) {
	both := t.incidents[s.id]
	if both == nil {
		both = &incidents{}
		t.incidents[s.id] = both
	}
	*both.of(k) = i
	if s.disturbed = *both != (incidents{}); !s.disturbed {
		delete(t.incidents, s.id)
	}
}

// sizeOf is about what a series holds in memory whose key has n bytes.
func (t *table) sizeOf(n int) int64 { return t.seriesBytes + 2*int64(n) }

// room says whether one more series, of a key of n bytes, is within the bounds.
func (t *table) room(n int) bool {
	return t.index.n < t.config.MaxSeries && t.bytes+t.sizeOf(n) <= t.config.MaxBytes
}

// crowded says whether there is more than the bounds let in: they were wider under a configuration before.
func (t *table) crowded() bool { return t.index.n > t.config.MaxSeries || t.bytes > t.config.MaxBytes }

// deserves counts a new key's coming, and says whether it is to take the place of s.
func (t *table) deserves(key []byte, s series) bool {
	often := t.misses.add(xxhash.Sum64(key), t.capacity)
	return often > 1 && often > s.hits.at(t.misses.age)
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
