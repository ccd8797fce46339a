package detectors

import (
	"errors"
	"math"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// CUSUMConfig configures a CUSUM.
type CUSUMConfig struct {
	Slack    float64 `yaml:"slack" jsonschema:"exclusiveMinimum=0,maximum=5,default=0.5" jsonschema_description:"Deviation that is let pass at every point, in spreads: half of the shift to be found is best."`
	Target   float64 `yaml:"target" jsonschema:"default=0" jsonschema_description:"Value that every field is held against, where spread is set."`
	Spread   float64 `yaml:"spread" jsonschema:"minimum=0,default=0" jsonschema_description:"Standard deviation of every field around the target; 0 lets both be learned."`
	HalfLife float64 `yaml:"half_life" jsonschema:"minimum=1,maximum=1000000000,default=1000" jsonschema_description:"Points after which a point weighs half in what is learned."`
	WarmUp   int     `yaml:"warm_up" jsonschema:"minimum=2,maximum=1000000000,default=100" jsonschema_description:"Points learned before the first score."`
}

// New returns a CUSUM for points of the given number of fields.
func (c *CUSUMConfig) New(fields int) (Detector, error) {
	b, err := newBaseline(c.Target, c.Spread, c.HalfLife, c.WarmUp, fields)
	if !(c.Slack > 0 && c.Slack <= 5) {
		err = errors.Join(&invalid.Value{Name: "slack", Value: c.Slack, Want: "> 0 and at most 5"}, err)
	}
	if err != nil {
		return nil, err
	}
	return &CUSUM{baseline: b, slack: c.Slack, sums: make([]sides, fields)}, nil
}

// CUSUM is the two-sided cumulative sum of Page (1954), "Continuous Inspection Schemes", Biometrika 41: on each side, what deviations from
// the target exceed the slack piles up, and what they fall short of it is taken off again, down to zero. The score is the largest of the
// sums, in spreads: an alarm at a score over h is the decision interval scheme.
type CUSUM struct {
	baseline
	slack float64 // spreads
	sums  []sides
}

// sides are what has piled up above the target and below it, in spreads, in [0, mostSum].
type sides struct{ up, down float64 }

// mostSum bounds a sum, so that after a long shift, once it is learned or over, the chart is at rest again within 100 points at the
// default slack.
const mostSum = 50

// with returns the sums with a deviation in them.
func (s sides) with(deviation, slack float64) sides {
	return sides{up: min(max(0, s.up+deviation-slack), mostSum), down: min(max(0, s.down-deviation-slack), mostSum)}
}

// Score returns the largest sum that a field has once p is in it.
func (d *CUSUM) Score(p Point) (score float64, ok bool) {
	if !d.ready() {
		return 0, false
	}
	for i, s := range d.sums {
		s = s.with(d.deviation(i, p.X[i]), d.slack)
		score = max(score, s.up, s.down)
	}
	return score, true
}

// Learn takes p in.
func (d *CUSUM) Learn(p Point) {
	if d.ready() {
		for i, s := range d.sums {
			d.sums[i] = s.with(d.deviation(i, p.X[i]), d.slack)
		}
	}
	d.learn(p.X)
}

// Bytes implements Detector.
func (d *CUSUM) Bytes() int {
	return sizeOf[CUSUM]() + len(d.fields)*(sizeOf[moments]()+sizeOf[sides]())
}

// Shares splits the score among the fields by their larger sums.
func (d *CUSUM) Shares(p Point, shares []float64) {
	for i, s := range d.sums {
		s = s.with(d.deviation(i, p.X[i]), d.slack)
		shares[i] = max(s.up, s.down)
	}
	normalise(shares)
}

// Expect returns the field's target, and three spreads on either side of it.
func (d *CUSUM) Expect(_ Point, field int) (expected, low, high float64, ok bool) {
	return d.expect(field)
}

// Decades takes the two sides of all fields for independent, and a sum for exponential with rate 2·slack, the stationary law of a Brownian
// motion with that drift (Siegmund 1985, "Sequential Analysis", section 2.6).
func (d *CUSUM) Decades(score float64) float64 {
	return max(-sidak(-2*d.slack*min(max(score, 0), MaxScore), d.sidesOfAll())/math.Ln10, 0)
}

// ScoreAt is the inverse of Decades.
func (d *CUSUM) ScoreAt(decades float64) float64 {
	return min(-sidak(-max(decades, 0)*math.Ln10, 1/d.sidesOfAll())/(2*d.slack), MaxScore)
}

func (d *CUSUM) sidesOfAll() float64 { return 2 * float64(len(d.sums)) }

const cusumVersion = 101 // far from that of an ewma_chart, whose state may be as long

// AppendBinary appends version, points learned, mean and variance of each field, and the sums: 9 bytes and 32 a field.
func (d *CUSUM) AppendBinary(b []byte) ([]byte, error) {
	b = d.append(append(b, cusumVersion))
	for _, s := range d.sums {
		b = appendFloat64(appendFloat64(b, s.up), s.down)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *CUSUM) UnmarshalBinary(b []byte) error {
	r := newReader(b, cusumVersion)
	d.read(r)
	for i := range d.sums {
		d.sums[i] = sides{up: r.float64(0, mostSum), down: r.float64(0, mostSum)}
	}
	return r.end()
}
