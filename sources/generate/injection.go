package generate

import (
	"math"
	"math/rand/v2"
)

// Kind is a way in which a machine goes wrong.
type Kind string

const (
	Spike            Kind = "spike"             // a few points far above
	Drop             Kind = "drop"              // a few points far below
	LevelShift       Kind = "level_shift"       // half an hour off, above or below, with the usual noise
	Stuck            Kind = "stuck"             // the sensor sits at its lower rail: 0, without noise
	CorrelationBreak Kind = "correlation_break" // temp rises while load falls
	NoiseBurst       Kind = "noise_burst"       // several times the usual noise around the usual level
)

// disturbance is what a kind does. Strengths are in standard deviations of a sensor's short-term noise: six would do to be seen, and a
// little above is where detectors differ.
type disturbance struct {
	kind                Kind
	least, most         int // points that it lasts
	weakest, strongest  float64
	rises, falls, noisy bool
}

var disturbances = [...]disturbance{
	{kind: Spike, least: 2, most: 3, weakest: 10, strongest: 16, rises: true},
	{kind: Drop, least: 3, most: 5, weakest: 10, strongest: 16, falls: true},
	{kind: LevelShift, least: 25, most: 35, weakest: 8, strongest: 12, rises: true, falls: true},
	{kind: Stuck, least: 20, most: 40},
	{kind: CorrelationBreak, least: 30, most: 40, weakest: 10, strongest: 14},
	{kind: NoiseBurst, least: 15, most: 20, weakest: 8, strongest: 10, noisy: true},
}

const (
	coolDown = 60 // fewest undisturbed points between two injections of a machine, so that each is an incident of its own
	rampUp   = 3  // points in which a correlation break grows to its full strength
)

// episode is one injection as a machine lives it: points first to last, counted from its 0th.
type episode struct {
	disturbance
	first, last int64
	sensor      int
	strength    float64 // standard deviations, with sign
}

// schedule is the sequence of a machine's episodes. It draws from a source of its own, so that it can be told without the events.
type schedule struct {
	rng  *rand.Rand
	free float64 // mean number of points from the end of one cool-down to the next episode; infinite where there are none
	from int64   // first point that may be disturbed
}

// newSchedule takes the rate in episodes per 10,000 points.
func newSchedule(rng *rand.Rand, rate float64, warmUp int) *schedule {
	length := 0.0
	for _, d := range disturbances {
		length += float64(d.least+d.most) / 2 / float64(len(disturbances))
	}
	free := math.Inf(1)
	if rate > 0 {
		free = 1e4/rate - coolDown - length
	}
	return &schedule{rng: rng, free: free, from: int64(warmUp)}
}

// next returns the following episode. The times between are exponential, as of faults that do not know of each other.
func (s *schedule) next() episode {
	if math.IsInf(s.free, 1) {
		return episode{first: math.MaxInt64, last: math.MaxInt64}
	}
	first := s.from + int64(s.rng.ExpFloat64()*s.free)
	d := disturbances[s.rng.IntN(len(disturbances))]
	e := episode{disturbance: d, first: first, last: first + int64(d.least+s.rng.IntN(d.most-d.least+1)) - 1}
	e.sensor = s.rng.IntN(len(sensors))
	e.strength = d.weakest + s.rng.Float64()*(d.strongest-d.weakest)
	if d.falls && (!d.rises || s.rng.IntN(2) == 0) {
		e.strength = -e.strength
	}
	if d.kind == CorrelationBreak {
		e.sensor = temp
	}
	s.from = e.last + 1 + coolDown
	return e
}

// disturb returns what a sensor shows at a point of the machine: level is what it would show without noise, and sigma
// how far it strays in the short term, its own noise and the load's together.
func (e *episode) disturb(point int64, sensor int, level, noise, sigma float64) float64 {
	if point < e.first || (sensor != e.sensor && (e.kind != CorrelationBreak || sensor != load)) {
		return level + noise
	}
	switch e.kind {
	case Stuck:
		return 0
	case NoiseBurst:
		return level + e.strength*sigma*noise/sensors[sensor].noise
	case CorrelationBreak:
		grown := min(1, float64(point-e.first+1)/rampUp)
		if sensor == load {
			grown = -grown
		}
		return level + noise + grown*e.strength*sigma
	default:
		return level + noise + e.strength*sigma
	}
}
