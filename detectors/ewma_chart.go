package detectors

import (
	"errors"
	"math"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// EWMAChartConfig configures an EWMAChart.
type EWMAChartConfig struct {
	Weight   float64 `yaml:"weight" jsonschema:"exclusiveMinimum=0,maximum=1,default=0.1" jsonschema_description:"Weight of the newest point in the average, lambda: 0.05 to 0.25 finds small shifts, 1 judges each point alone."`
	Target   float64 `yaml:"target" jsonschema:"default=0" jsonschema_description:"Value that every field is held against, where spread is set."`
	Spread   float64 `yaml:"spread" jsonschema:"minimum=0,default=0" jsonschema_description:"Standard deviation of every field around the target; 0 lets both be learned."`
	HalfLife float64 `yaml:"half_life" jsonschema:"minimum=1,maximum=1000000000,default=1000" jsonschema_description:"Points after which a point weighs half in what is learned."`
	WarmUp   int     `yaml:"warm_up" jsonschema:"minimum=2,maximum=1000000000,default=100" jsonschema_description:"Points learned before the first score."`
}

// New returns an EWMAChart for points of the given number of fields.
func (c *EWMAChartConfig) New(fields int) (Detector, error) {
	b, err := newBaseline(c.Target, c.Spread, c.HalfLife, c.WarmUp, fields)
	if !(c.Weight > 0 && c.Weight <= 1) {
		err = errors.Join(&invalid.Value{Name: "weight", Value: c.Weight, Want: "> 0 and at most 1"}, err)
	}
	if err != nil {
		return nil, err
	}
	return &EWMAChart{
		baseline: b, normal: normal(fields), weight: c.Weight, deviate: math.Sqrt(c.Weight / (2 - c.Weight)), averages: make([]float64, fields),
	}, nil
}

// EWMAChart is the control chart of Roberts (1959): it averages the deviations from a target with falling weights, so that many small ones
// of one sign add up. The score is the largest average of a field in its own standard deviations, √(weight/(2-weight)) of those of a
// point: an alarm at a score over L is the chart with limits ±L of Lucas & Saccucci (1990), "Exponentially Weighted Moving Average
// Control Schemes: Properties and Enhancements", Technometrics 32(1), section 2.
type EWMAChart struct {
	baseline
	normal
	weight   float64 // of the newest point, in (0, 1]
	deviate  float64 // standard deviation of an average, in spreads
	averages []float64
}

// Score returns the largest |average| that a field has once p is in it, in the average's standard deviations.
func (d *EWMAChart) Score(p Point) (score float64, ok bool) {
	if !d.ready() {
		return 0, false
	}
	for i := range d.averages {
		score = max(score, math.Abs(d.average(i, p.X[i])))
	}
	return score / d.deviate, true
}

// average is that of field i with x in it, in spreads.
func (d *EWMAChart) average(i int, x float64) float64 {
	return d.averages[i] + d.weight*(d.deviation(i, x)-d.averages[i])
}

// Learn takes p in.
func (d *EWMAChart) Learn(p Point) {
	if d.ready() {
		for i := range d.averages {
			d.averages[i] = d.average(i, p.X[i])
		}
	}
	d.learn(p.X)
}

// Bytes implements Detector.
func (d *EWMAChart) Bytes() int { return sizeOf[EWMAChart]() + len(d.fields)*(sizeOf[moments]()+8) }

// Shares splits the score among the fields by their squared averages.
func (d *EWMAChart) Shares(p Point, shares []float64) {
	for i := range shares {
		z := d.average(i, p.X[i])
		shares[i] = z * z
	}
	normalise(shares)
}

// Expect returns the field's target, and three spreads on either side of it.
func (d *EWMAChart) Expect(_ Point, field int) (expected, low, high float64, ok bool) {
	return d.expect(field)
}

const ewmaChartVersion = 1

// AppendBinary appends version, points learned, mean and variance of each field, and the averages: 9 bytes and 24 a field.
func (d *EWMAChart) AppendBinary(b []byte) ([]byte, error) {
	b = d.append(append(b, ewmaChartVersion))
	for _, z := range d.averages {
		b = appendFloat64(b, z)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *EWMAChart) UnmarshalBinary(b []byte) error {
	r := newReader(b, ewmaChartVersion)
	d.read(r)
	for i := range d.averages {
		d.averages[i] = r.float64(-mostDeviation, mostDeviation)
	}
	return r.end()
}
