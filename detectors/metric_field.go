package detectors

import (
	"math"
	"slices"
)

// channel is one thing that a field is watched for.
type channel struct {
	kind   channelKind
	scale  int     // points whose mean it looks at
	weight float64 // of its surprise in the score
}

type channelKind uint8

const (
	ofValue     channelKind = iota // distance from the nearest remembered value
	ofDeparture                    // the same for departures from the calendar
	ofSize                         // size of the departure, which unlike its novelty knows no habituation
	ofRun                          // points for which the value has not changed: a stuck sensor
)

const (
	channels = 9
	memories = 6 // the first of the channels look for novelty
)

// watched are the channels. The run counts half, as many metrics repeat themselves for good reasons.
var watched = [channels]channel{
	{ofValue, 1, 1}, {ofValue, brief, 1}, {ofValue, long, 1},
	{ofDeparture, 1, 1}, {ofDeparture, brief, 1}, {ofDeparture, long, 1},
	{ofSize, 1, 1}, {ofSize, long, 1},
	{ofRun, 1, 0.5},
}

// members are two opinions, averaged: one forgets rare values soon and asks for the 16 greatest surprises, the other forgets late and
// asks for 32.
var members = [2]struct {
	life  int // rows that a remembered value lives per visit; 0: the horizon
	ranks int // how many of a horizon's numbers surprise
}{{life: 1000, ranks: 16}, {life: 0, ranks: 32}}

const (
	brief   = 4    // rows, and
	long    = 16   // rows: the scales beside the single row
	settle  = 10   // rows, and as many as a channel's scale, before its numbers count
	hold    = 0.8  // of a surprise is left a row later, so that channels which peak a few rows apart add up
	level   = 0.03 // of the mean deviation: less than that is no difference
	perSum  = 6.0  // the score's unit: the sum over six channels of weight 1
	weights = 8.5  // sum of the channels' weights
	wide    = 1e38 // bounds what is kept as float32
	widest  = 1e37 // bounds values, so that departures and differences stay within wide
)

// metricField is the model of one field. Values are kept as their differences from an early one, so that a large offset costs no digits.
type metricField struct {
	trend
	calendar   calendar
	values     [long]float32 // the last ones, by row modulo long
	departures [long]float32 // times the weights of their hours
	rhythm     rhythm
	routine    routine
	opinions   [len(members)]opinion
	sizes      [2]tail // of the size channels
	runs       tail    // of the lengths of runs that are over
	last       look    // what the last Score found, for the Learn that follows it; no part of the state
}

// opinion is what the members do not share.
type opinion struct {
	memories [memories]memory
	tails    [memories]tail
	held     [channels]float32 // decayed surprises, in decades
}

// positive says that no remembered value is below zero, but for what the differences from the origin lack in digits.
func (f *metricField) positive() bool {
	m := &f.opinions[1].memories[0]
	return m.n > 0 && f.origin+float64(m.value[0]) >= -digits*math.Abs(f.origin)
}

// digits is the relative error of a float32.
const digits = 1e-7

// trend is a field's moving averages.
type trend struct {
	row       uint64  // points learned
	run       uint64  // points for which the value has been the same as the one before
	origin    float64 // an early value; the others are less it
	previous  float64 // value
	local     float64 // mean of the last few values: what is expected before there is a calendar
	mean      float64
	deviation float64 // mean of |x - mean|, over 1000 rows
	spread    float64 // the same over 500 rows, to be compared with:
	departure float64 // mean of |x - expected|
}

// after returns the trend with x in it, of which departure is what the calendar did not expect.
func (t trend) after(x, departure float64) trend {
	if t.row > 0 && x == t.previous {
		t.run++
	} else {
		t.run = 0
	}
	first := 1 / float64(t.row+1) // so that early rows weigh alike
	t.local += max(1./2, first) * (x - t.local)
	t.deviation += max(1./1000, first) * (math.Abs(x-t.mean) - t.deviation)
	t.mean += max(1./1000, first) * (x - t.mean)
	t.departure += max(1./500, first) * (math.Abs(departure) - t.departure)
	t.spread += max(1./500, first) * (math.Abs(x-t.mean) - t.spread)
	t.previous = x
	t.row++
	return t
}

// floor is the distance under which values are the same.
func (t *trend) floor() float64 { return level * t.deviation }

// trust is the weight of the channels that look at departures: none where the calendar explains less than -10 % of the spread, full
// weight from 40 %.
func (t *trend) trust() float64 {
	if t.spread == 0 {
		return 1
	}
	return clip(max(2*(1-t.departure/t.spread)+0.2, 0), 1)
}

// look is all that a point makes of a field, before anything is learned.
type look struct {
	given     float64 // the point's value
	next      trend
	departure float64
	score     float64                         // before what is routine at its hour
	feature   [memories]float64               // the means that the channels look at
	number    [len(members)][memories]float32 // how far these are from what is remembered
	held      [len(members)][channels]float32 // surprises of the numbers, or what is left of earlier ones
	place     [len(members)][memories]uint8   // of the features in the memories
	day, week uint8
}

// look computes a point's score and what learn needs of it, into f.last.
func (f *metricField) look(day, week int, x float64) *look {
	l := &f.last
	if l.given == x && int(l.day) == day && int(l.week) == week && l.next.row == f.row+1 {
		return l
	}
	*l = look{day: uint8(day), week: uint8(week), given: x} //nolint:gosec // hours
	before := f.trend
	if x = clip(x, widest); f.row == 0 {
		before.origin = x
	}
	x -= before.origin
	if f.row > 0 {
		l.departure = clip(x-f.expect(day, week, x), wide)
	}
	floor := f.floor()
	l.next = before.after(x, l.departure)
	l.feature[0], l.feature[1], l.feature[2] = f.means(&f.values, x)
	l.feature[3], l.feature[4], l.feature[5] = f.means(&f.departures, clip(l.departure*f.rhythm.weight(week), wide))
	trust := l.next.trust()
	for c := range watched {
		ch := &watched[c]
		if !f.filled(ch) {
			continue
		}
		weight := ch.weight
		if ch.kind == ofDeparture || ch.kind == ofSize {
			weight *= trust
		}
		ready := f.ready(ch)
		for m := range members {
			o := &f.opinions[m]
			number := l.at(c)
			if c < memories {
				at := o.memories[c].place(number)
				l.place[m][c] = uint8(at) //nolint:gosec // at most remembered
				number, _ = o.memories[c].nearest(at, number)
				number = min(number, math.MaxFloat32) // nothing is near where nothing is remembered
			}
			held := hold * o.held[c]
			switch {
			case ch.kind == ofRun:
				held = max(held, float32(f.runs.surprise(number, members[m].ranks, 1, longRun)))
			case number <= floor:
				number = 0
			case ready:
				held = max(held, float32(f.tail(m, c).surprise(number, members[m].ranks, 0, beyond)))
			}
			if c < memories {
				l.number[m][c] = float32(number)
			}
			l.held[m][c] = held
			l.score += weight * float64(held)
		}
	}
	l.score *= perSum / weights / float64(len(members))
	return l
}

// score is what counts of a look's.
func (f *metricField) score(l *look) float64 { return f.routine.above(int(l.day), l.score) }

// longRun bounds, in nats, what a run may gain by being longer than the longest before: enough for a sensor that is stuck, one of eight, to
// reach the limit of 1 in 10,000 by that alone.
const longRun = 120

// mostHeld is no less than any surprise, in decades: the longest run's is (ln(horizon+1) + longRun) / ln 10, 56.4.
const mostHeld = 57

// filled says whether a channel has points enough to look at, ready whether its numbers count.
func (f *metricField) filled(ch *channel) bool { return f.row+1 >= uint64(ch.scale) }      //nolint:gosec // a small constant
func (f *metricField) ready(ch *channel) bool  { return f.row >= settle+uint64(ch.scale) } //nolint:gosec // a small constant

// at is what a channel looks at: one of the means, the size of one, or the run's length.
func (l *look) at(channel int) float64 {
	switch channel {
	case memories:
		return math.Abs(l.feature[3])
	case memories + 1:
		return math.Abs(l.feature[5])
	case memories + 2:
		return float64(l.next.run)
	}
	return l.feature[channel]
}

// means are the newest row, the mean of the last few, and of the last many. They are summed anew each time: a running sum would drift.
func (f *metricField) means(ring *[long]float32, newest float64) (one, few, many float64) {
	sum := newest
	for back := range uint64(long - 1) {
		if back == brief-1 {
			few = sum / brief
		}
		sum += float64(ring[(f.row-1-back)%long])
	}
	return newest, few, sum / long
}

func (f *metricField) tail(member, channel int) *tail {
	if channel < memories {
		return &f.opinions[member].tails[channel]
	}
	return &f.sizes[channel-memories]
}

// expect is what is usual for x's hours.
func (f *metricField) expect(day, week int, x float64) float64 {
	if mean, ok := f.calendar.ofWeek(week); ok && f.rhythm.weekly {
		return mean
	}
	return f.calendar.expect(day, week, x, f.local)
}

func (f *metricField) learn(day, week int, x float64) {
	l := f.look(day, week, x)
	x = clip(x, widest) - l.next.origin
	floor, known := f.floor(), f.rhythm.window(f.row)
	for c := range memories {
		ch := &watched[c]
		if !f.filled(ch) {
			continue
		}
		window := uint16(horizon)
		if ch.kind != ofValue {
			window = known
		}
		for m := range members {
			o := &f.opinions[m]
			if f.ready(ch) {
				o.tails[c].learn(l.number[m][c], f.row, window)
			}
			o.memories[c].learn(int(l.place[m][c]), l.feature[c], floor, f.row, window, members[m].life)
		}
	}
	for i := range f.sizes {
		if f.ready(&watched[memories+i]) {
			size := l.at(memories + i)
			if size <= floor {
				size = 0
			}
			f.sizes[i].learn(float32(size), f.row, known)
		}
	}
	if f.row > 0 && l.next.run == 0 {
		f.runs.learn(float32(f.run), f.row, horizon)
	}
	for m := range members {
		f.opinions[m].held = l.held[m]
	}
	f.rhythm.learn(&f.calendar, f.row, week, x, l.departure, f.departure, floor)
	f.routine.learn(day, f.calendar.visits(day) > 0, l.score)
	f.calendar.learn(day, week, x, f.rhythm.rate(f.row))
	f.values[f.row%long], f.departures[f.row%long] = float32(x), float32(l.feature[memories/2])
	f.trend = l.next
	if f.row == settle {
		f.center()
	}
}

// center makes the newest value the origin where that is nearer to the median of the first few than the first one is: that may have been
// anything, and to be so far away would cost all others their digits.
func (f *metricField) center() {
	first := f.values
	slices.Sort(first[:settle])
	shift := f.previous
	if median := float64(first[settle/2]); math.Abs(median) <= math.Abs(median-shift) {
		return
	}
	for i := range f.values[:settle] {
		f.values[i] -= float32(shift)
	}
	for m := range f.opinions {
		for c := range memories {
			if watched[c].kind == ofValue {
				f.opinions[m].memories[c].move(float32(shift))
			}
		}
	}
	f.calendar.move(float32(shift))
	f.origin += shift
	f.previous -= shift
	f.local -= shift
	f.mean -= shift
}

func (f *metricField) append(b []byte) []byte {
	b = appendCount(b, f.row)
	b = appendCount(b, f.run)
	for _, x := range []float64{f.origin, f.previous, f.local, f.mean, f.deviation, f.spread, f.departure} {
		b = appendFloat64(b, x)
	}
	for i := range long {
		b = appendFloat32(appendFloat32(b, f.values[i]), f.departures[i])
	}
	b = f.rhythm.append(b)
	b = f.calendar.append(b)
	for m := range f.opinions {
		o := &f.opinions[m]
		for c := range memories {
			b = o.tails[c].append(o.memories[c].append(b))
		}
		for _, h := range o.held {
			b = appendFloat32(b, h)
		}
	}
	b = f.sizes[0].append(b)
	b = f.sizes[1].append(b)
	b = f.runs.append(b)
	return f.routine.append(b)
}

// read reads what append wrote, or wrote before there was a routine.
func (f *metricField) read(r *reader, version byte) {
	f.trend = trend{
		row: r.count(), run: r.count(), origin: r.float64(-wide, wide), previous: r.float64(-wide, wide), local: r.float64(-wide, wide), mean: r.float64(-wide, wide),
		deviation: r.float64(0, 4*wide), spread: r.float64(0, 4*wide), departure: r.float64(0, 4*wide),
	}
	for i := range long {
		f.values[i], f.departures[i] = r.float32(-wide, wide), r.float32(-wide, wide)
	}
	f.rhythm.read(r)
	f.calendar.read(r)
	for m := range f.opinions {
		o := &f.opinions[m]
		for c := range memories {
			o.memories[c].read(r)
			o.tails[c].read(r)
		}
		for c := range o.held {
			o.held[c] = r.float32(0, mostHeld)
		}
	}
	f.sizes[0].read(r)
	f.sizes[1].read(r)
	f.runs.read(r)
	if f.routine = (routine{}); version > withoutRoutine {
		f.routine.read(r)
	}
	f.last = look{}
}
