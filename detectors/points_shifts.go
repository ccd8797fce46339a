package detectors

import (
	"math"
)

// shifts looks for changes in time, field by field: means of the last few points leave the mean of many, or the value does not change any more.
type shifts struct {
	n      uint64 // points learned
	fields []shift
	past   excursions // of the level's decades

	// Scratch: each field's surprise in decades.
	raw     []float64 // by Student's law, or by the streak's
	decades []float64 // held against its past
	level   float64   // of all fields, before it is held against the past
}

// shift is the level of one field.
type shift struct {
	slow   float64 // mean of the last slowPoints or so
	fast   [len(shiftScales)]departure
	streak streak
	past   excursions // of the surprise by Student's law, or by the streak's
}

// departure is how a fast mean departs from the slow one.
type departure struct {
	fast     float64
	last     float64 // departure at the point before
	variance float64 // mean square of departures
	steps    float64 // mean square of their differences from point to point
}

// shiftScales are the lengths of the fast means: one for what is large, one for what lasts.
var shiftScales = [...]float64{4, 16}

const (
	slowPoints  = 200  // of the slow mean
	shiftMemory = 1000 // points that departures are measured on
	shiftWarmUp = 30   // points before the first surprise
	youngPoints = 1250 // a field that a new stream is taken to have seen: its first excursion may claim 3.1 decades by Student's law
	youngStream = 4000 // points that a new stream is taken to have seen: four times it may claim three decades
	runsEnd     = 30   // points below one decade that end an excursion
	clipped     = 3    // standard deviations that a departure counts for at most, lest one mutes the next
)

// stuck stands for a scale where it is the streak that surprises.
const stuck = -1

// surprise returns how rarely field j departs so far, in decades, and at which scale; or stays the same for so long.
//
// Departures wander. Their correlation time tau follows from the mean squares of departures and steps, as for an autoregressive
// process of order one, where steps/variance = 2(1 - phi). Of m points m/(4 tau) are taken for independent; one less are the degrees
// of freedom nu of Student's t, whose tail is about -(nu+1)/2 log(1 + t²/nu): a field that wanders must go far. The law is corrected by the field's
// own past.
func (s *shifts) surprise(j int, x float64) (decades float64, scale int) {
	f := &s.fields[j]
	s.raw[j] = 0
	if s.n <= shiftWarmUp {
		return 0, 0
	}
	points := float64(min(s.n, shiftMemory))
	floor := f.floor()
	for k, length := range shiftScales {
		d := &f.fast[k]
		now := nearer(d.fast+s.rate(length)*(x-d.fast)-f.slow, x-f.slow)
		variance := max(d.variance, floor)
		tau := max(length, 2*variance/max(d.steps, math.SmallestNonzeroFloat64))
		nu := max(1, points/(4*tau)-1)
		half, square := (nu+1)/2, now*now/(variance*nu)
		if half*square*math.Log10E <= s.raw[j] {
			continue // its logarithm is less: one of those takes longer than all the rest
		}
		if raw := half * math.Log10(1+square); raw > s.raw[j] {
			s.raw[j], scale = raw, k
		}
	}
	if raw := f.streak.surprise(x); raw > s.raw[j] {
		s.raw[j], scale = raw, stuck
	}
	seen := float64(min(s.n, horizon))
	n := max(seen, float64(youngPoints*len(s.fields))*(1-seen/horizon))
	if decades = s.raw[j]; decades > 1 && decades > math.Log10(n/(excursionsKept+1)) { // below, no past corrects it
		decades = min(decades, f.past.surprise(decades, n))
	}
	return decades, scale
}

// nearer is the departure of a mean as far as the newest value bears it out: after a spike the value is back, and what its means are still away by is
// no news.
func nearer(mean, value float64) float64 {
	if mean < 0 {
		return -nearer(-mean, -value)
	}
	return min(mean, max(value, 0))
}

// look returns the decades by which the fields of x have left their levels, held against how often they have done so.
func (s *shifts) look(x []float64) (level float64) {
	for j, v := range x {
		s.decades[j], _ = s.surprise(j, v)
	}
	if s.level = harmonicMean(s.decades); s.level == 0 {
		return 0
	}
	return min(s.level, s.past.surprise(s.level, max(float64(min(s.n, horizon)), youngStream)))
}

// rate is the weight of the next point in a mean over length points: until there are as many, all weigh alike.
func (s *shifts) rate(length float64) float64 { return max(1/length, 1/float64(s.n+1)) }

func (f *shift) floor() float64 { return leastVariance(f.slow) }

// leastVariance is that of a field that never moved: it is known to a millionth of its level.
func leastVariance(level float64) float64 { return 1e-12*level*level + 1e-18 }

// learn takes in x, whose surprises raw holds.
func (s *shifts) learn(x []float64) {
	rate := max(1.0/shiftMemory, 1/float64(max(s.n, 1)))
	for j, v := range x {
		f := &s.fields[j]
		if s.n == 0 {
			f.slow = v
		}
		floor := f.floor()
		for k, length := range shiftScales {
			d := &f.fast[k]
			if s.n == 0 {
				d.fast = v
				continue
			}
			d.fast += s.rate(length) * (v - d.fast)
			now := d.fast - f.slow
			step := now - d.last
			d.last = now
			square, stepped := now*now, step*step
			if s.n > shiftWarmUp && d.variance > floor { // what has never moved has no deviation, and its first departure is all that is known of one
				square = min(square, clipped*clipped*max(d.variance, floor))
				stepped = min(stepped, clipped*clipped*max(d.steps, floor))
			}
			d.variance += rate * (square - d.variance)
			d.steps += rate * (stepped - d.steps)
		}
		f.slow += s.rate(slowPoints) * (v - f.slow)
		f.streak.learn(v, s.n)
		f.past.learn(s.raw[j], s.n)
	}
	s.past.learn(s.level, s.n)
	s.n++
}

func (s *shifts) bytes() int { return len(s.fields)*sizeOf[shift]() + 8*(len(s.raw)+len(s.decades)) }

func (s *shifts) append(b []byte) []byte {
	b = s.past.append(appendCount(b, s.n))
	for j := range s.fields {
		f := &s.fields[j]
		b = appendFloat64(b, f.slow)
		for _, d := range f.fast {
			b = appendFloat64(appendFloat64(b, d.fast), d.last)
			b = appendFloat64(appendFloat64(b, d.variance), d.steps)
		}
		b = f.past.append(b)
	}
	for j := range s.fields {
		b = s.fields[j].streak.append(b)
	}
	return b
}

// read restores what append wrote; before version 5 without the streaks.
func (s *shifts) read(r *reader, streaks bool) {
	s.n = r.count()
	s.past.read(r)
	for j := range s.fields {
		f := &s.fields[j]
		f.slow = r.float64(-wide, wide)
		for k := range f.fast {
			f.fast[k] = departure{
				fast: r.float64(-wide, wide), last: r.float64(-wide, wide),
				variance: r.float64(0, wide*wide), steps: r.float64(0, wide*wide),
			}
		}
		f.past.read(r)
		f.streak = newStreak()
	}
	for j := range s.fields {
		if streaks {
			s.fields[j].streak.read(r)
		}
	}
}
