package detectors

import (
	"encoding/binary"
	"math"
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
	longest  = 16
)

// watched are the channels. The run counts half, as many metrics repeat themselves for good reasons.
var watched = [channels]channel{
	{ofValue, 1, 1}, {ofValue, 4, 1}, {ofValue, longest, 1},
	{ofDeparture, 1, 1}, {ofDeparture, 4, 1}, {ofDeparture, longest, 1},
	{ofSize, 1, 1}, {ofSize, longest, 1},
	{ofRun, 1, 0.5},
}

// members are two opinions, averaged: one forgets rare values soon and asks for the 16 greatest surprises, the other forgets late and
// asks for 32.
var members = [2]struct {
	life  int // rows that a remembered value lives per visit; 0: the horizon
	ranks int // how many of a horizon's numbers surprise
}{{life: 1000, ranks: 16}, {life: 0, ranks: 32}}

const (
	settle  = 10   // rows, and as many as a channel's scale, before its numbers count
	hold    = 0.8  // of a surprise is left a row later, so that channels which peak a few rows apart add up
	level   = 0.03 // of the mean deviation: less than that is no difference
	perSum  = 6.0  // the score's unit: the sum over six channels of weight 1
	weights = 8.5  // sum of the channels' weights
	wide    = 1e38 // bounds what is kept as float32
	widest  = 1e37 // bounds values, so that departures and differences stay within wide
)

// metricField is the model of one field.
type metricField struct {
	trend
	calendar   calendar
	values     [longest]float64 // the last ones, by row modulo longest
	departures [longest]float64
	opinions   [len(members)]opinion
	sizes      [2]tail // of the size channels
	runs       tail
}

// opinion is what the members do not share.
type opinion struct {
	memories [memories]memory
	tails    [memories]tail
	held     [channels]float64 // decayed surprises, in decades
}

// trend is a field's moving averages.
type trend struct {
	row       uint64  // points learned
	run       uint64  // points for which the value has been the same as the one before
	previous  float64 // value
	local     float64 // mean of the last few values: what is expected before there is a calendar
	mean      float64
	deviation float64 // mean of |x - mean|, over 1000 rows
	spread    float64 // the same over 500 rows, to be compared with:
	departure float64 // mean of |x - expected|
}

// after returns the trend with x in it, of which departure is what the calendar did not expect.
func (t trend) after(x, departure float64) trend {
	if t.row == 0 {
		t.local, t.mean = x, x
	}
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
	next      trend
	x         float64
	departure float64
	floor     float64
	feature   [channels]float64               // what the channels look at
	place     [len(members)][memories]int     // of the features in the memories
	number    [len(members)][channels]float64 // whose rank counts
	held      [len(members)][channels]float64 // surprises of the numbers, or what is left of earlier ones
	score     float64
}

// look computes a point's score and what learn needs of it.
func (f *metricField) look(day, week int, x float64) (l look) {
	l.x = clip(x, widest)
	if f.row > 0 {
		l.departure = clip(l.x-f.calendar.expect(day, week, l.x, f.local), wide)
	}
	l.floor = f.floor()
	l.next = f.after(l.x, l.departure)
	trust := l.next.trust()
	for c, ch := range watched {
		if !f.filled(ch) {
			continue
		}
		l.feature[c] = f.featureOf(ch, &l)
		weight := ch.weight
		if ch.kind == ofDeparture || ch.kind == ofSize {
			weight *= trust
		}
		for m, member := range members {
			o := &f.opinions[m]
			number := l.feature[c]
			if c < memories {
				l.place[m][c] = o.memories[c].place(number)
				number, _ = o.memories[c].nearest(l.place[m][c], number)
			}
			if ch.kind != ofRun && number <= l.floor {
				number = 0
			}
			l.number[m][c] = number
			l.held[m][c] = hold * o.held[c]
			if f.ready(ch) {
				l.held[m][c] = max(l.held[m][c], f.tail(m, c).surprise(number, member.ranks))
			}
			l.score += weight * l.held[m][c]
		}
	}
	l.score *= perSum / weights / float64(len(members))
	return l
}

// filled says whether a channel has points enough to look at, ready whether its numbers count.
func (f *metricField) filled(ch channel) bool { return f.row+1 >= uint64(ch.scale) }      //nolint:gosec // a small constant
func (f *metricField) ready(ch channel) bool  { return f.row >= settle+uint64(ch.scale) } //nolint:gosec // a small constant

func (f *metricField) featureOf(ch channel, l *look) float64 {
	switch ch.kind {
	case ofValue:
		return f.average(&f.values, l.x, ch.scale)
	case ofDeparture:
		return f.average(&f.departures, l.departure, ch.scale)
	case ofSize:
		return math.Abs(f.average(&f.departures, l.departure, ch.scale))
	default:
		return float64(l.next.run)
	}
}

// average is the mean of the newest and the n - 1 before it. It is summed anew each time: a running sum would drift.
func (f *metricField) average(ring *[longest]float64, newest float64, n int) float64 {
	sum := 0.0
	for back := n - 1; back > 0; back-- {
		sum += ring[(f.row-uint64(back))%longest]
	}
	return (sum + newest) / float64(n)
}

func (f *metricField) tail(member, channel int) *tail {
	switch {
	case channel < memories:
		return &f.opinions[member].tails[channel]
	case watched[channel].kind == ofSize:
		return &f.sizes[channel-memories]
	default:
		return &f.runs
	}
}

func (f *metricField) learn(day, week int, x float64) {
	l := f.look(day, week, x)
	for c, ch := range watched {
		if !f.filled(ch) {
			continue
		}
		for m, member := range members {
			o := &f.opinions[m]
			if f.ready(ch) && (c < memories || m == 0) { // the tails of sizes and runs are shared
				f.tail(m, c).learn(l.number[m][c], f.row)
			}
			if c < memories {
				o.memories[c].learn(l.place[m][c], l.feature[c], l.floor, f.row, member.life)
			}
			o.held[c] = l.held[m][c]
		}
	}
	f.calendar.learn(day, week, l.x)
	f.values[f.row%longest], f.departures[f.row%longest] = l.x, l.departure
	f.trend = l.next
}

func (f *metricField) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, f.row)
	b = binary.LittleEndian.AppendUint64(b, f.run)
	for _, x := range []float64{f.previous, f.local, f.mean, f.deviation, f.spread, f.departure} {
		b = appendFloat64(b, x)
	}
	for i := range longest {
		b = appendFloat64(appendFloat64(b, f.values[i]), f.departures[i])
	}
	b = f.calendar.append(b)
	for m := range f.opinions {
		o := &f.opinions[m]
		for c := range memories {
			b = o.tails[c].append(o.memories[c].append(b))
		}
		for _, h := range o.held {
			b = appendFloat64(b, h)
		}
	}
	b = f.sizes[0].append(b)
	b = f.sizes[1].append(b)
	return f.runs.append(b)
}

func (f *metricField) read(r *reader) {
	f.trend = trend{
		row: r.uint64(), run: r.uint64(), previous: r.float64(-wide, wide), local: r.float64(-wide, wide), mean: r.float64(-wide, wide),
		deviation: r.float64(0, 4*wide), spread: r.float64(0, 4*wide), departure: r.float64(0, 4*wide),
	}
	for i := range longest {
		f.values[i], f.departures[i] = r.float64(-wide, wide), r.float64(-wide, wide)
	}
	f.calendar.read(r)
	for m := range f.opinions {
		o := &f.opinions[m]
		for c := range memories {
			o.memories[c].read(r)
			o.tails[c].read(r)
		}
		for c := range o.held {
			o.held[c] = r.float64(0, 10)
		}
	}
	f.sizes[0].read(r)
	f.sizes[1].read(r)
	f.runs.read(r)
}
