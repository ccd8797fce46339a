package pipeline

import (
	"math"

	"github.com/gonomaly/gonomaly/detectors"
)

// ceiling bounds the decades of a law from above, for much less than they take to compute: most points are ordinary, and of an ordinary
// one nothing but that is asked for.
type ceiling struct {
	scale   float64   // steps in a unit of score
	decades []float64 // that no score in a step exceeds
}

const (
	ceilingSteps = 256 // 2 KiB a detector, which stay in the cache
	ceilingTop   = 2   // decades where the last step ends: nine points in ten lie below one
)

func newCeiling(l detectors.Law) ceiling {
	c := ceiling{scale: ceilingSteps / l.ScoreAt(ceilingTop)}
	if !(c.scale > 0 && c.scale <= math.MaxFloat64) {
		return ceiling{}
	}
	for step := range ceilingSteps {
		c.decades = append(c.decades, l.Decades(float64(step+2)/c.scale)) // the end of the next step: a score is in its own but for rounding
	}
	return c
}

// of is at least the decades of score.
func (c *ceiling) of(score float64) float64 {
	if step := score * c.scale; step >= 0 && step < float64(len(c.decades)) {
		return c.decades[int(step)]
	}
	return math.Inf(1)
}
