package detectors

import "math"

// streak is for how long a field has kept its value, and how often it does so: a sensor that is stuck is within its level.
type streak struct {
	value   float64
	length  uint32  // points in a row that have had the value of the one before
	repeats float64 // share of the last shiftMemory points or so that have had it
}

const (
	leastStreak  = 5                 // repeats from which on they count: a record or two may be sent again
	mostStreak   = 1_000_000_000     // repeats that are counted
	leastRepeats = 0.5 / shiftMemory // share, where there was none
	evenRepeats  = 5                 // points that the probability of a repeat is known from, whatever the share: it changes with the level
)

func newStreak() streak { return streak{repeats: 0.5} }

// surprise returns how rarely x makes the streak so long, in decades: by the beta-geometric law, in which the probability of a repeat is another one in each streak.
//
// Weinberg, Gladen (1986), "The Beta-Geometric Distribution Applied to Comparative Fecundability Studies", Biometrics 42(3).
func (s *streak) surprise(x float64) float64 {
	if x != s.value || s.length+1 < leastStreak {
		return 0
	}
	a := evenRepeats * min(max(s.repeats, leastRepeats), 1-leastRepeats)
	b := evenRepeats - a
	return (logBeta(a, b) - logBeta(a+float64(s.length+1), b)) / math.Ln10
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// learn takes in x, before which there were n points.
func (s *streak) learn(x float64, n uint64) {
	repeat := 0.0
	if n > 0 && x == s.value {
		repeat, s.length = 1, min(s.length+1, mostStreak)
	} else {
		s.length = 0
	}
	s.value = x
	s.repeats += (repeat - s.repeats) / float64(min(n+2, shiftMemory))
}

func (s *streak) append(b []byte) []byte {
	return appendFloat64(appendCount(appendFloat64(b, s.value), uint64(s.length)), s.repeats)
}

func (s *streak) read(r *reader) {
	s.value = r.float64(-wide, wide)
	length := r.count()
	if length > mostStreak {
		r.fail("%d repeats, want at most %d", length, mostStreak)
	}
	s.length = uint32(length) //nolint:gosec // at most mostStreak
	s.repeats = r.float64(0, 1)
}
