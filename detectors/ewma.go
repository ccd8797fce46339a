package detectors

import (
	"errors"
	"math"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// EWMAConfig configures an EWMA.
type EWMAConfig struct {
	HalfLife float64 `yaml:"half_life" jsonschema:"minimum=1,maximum=1000000000,default=100" jsonschema_description:"Points after which a point weighs half."`
	WarmUp   int     `yaml:"warm_up" jsonschema:"minimum=2,maximum=1000000000,default=30" jsonschema_description:"Points learned before the first score."`
}

// New returns an EWMA for points of the given number of fields.
func (c *EWMAConfig) New(fields int) (Detector, error) {
	var errs []error
	if !(c.HalfLife >= 1 && c.HalfLife <= 1e9) {
		errs = append(errs, &invalid.Value{Name: "half_life", Value: c.HalfLife, Want: "1 to 1000000000"})
	}
	if c.WarmUp < 2 || c.WarmUp > 1e9 {
		errs = append(errs, &invalid.Value{Name: "warm_up", Value: c.WarmUp, Want: "2 to 1000000000"})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &EWMA{
		alpha:  -math.Expm1(-math.Ln2 / c.HalfLife), // keeps the digits that 1 - exp loses when the half-life is long
		warmUp: float64(c.WarmUp),
		state:  make([]float64, 1+2*fields),
		normal: normal(fields),
	}, nil
}

// EWMA scores a point by the largest distance of a field from its exponentially weighted moving average, in moving standard
// deviations.
//
// It suits fields whose level moves slowly: it knows no seasons, and a lasting shift is learned within a few half-lives. The average is
// that of Roberts (1959), "Control Chart Tests Based on Geometric Moving Averages", Technometrics 1(3); the variance is updated as in
// West (1979), "Updating Mean and Variance Estimates: An Improved Method", CACM 22(9), with weights that decay.
type EWMA struct {
	alpha  float64 // weight of the newest point, in (0, 1/2]
	warmUp float64
	state  []float64 // points learned, and for each field its moments: mean and variance
	normal
}

// moments are the weighted moments of one field.
type moments struct {
	mean     float64 // in units of the field
	variance float64 // in squared units of the field
}

// band is the half-width of what a Forecaster expects, in standard deviations: of normal points 1 in 370 lies outside.
const band = 3

// Score returns the largest |x - mean| / stddev of the fields. A field that never varied scores 0 at its value and MaxScore anywhere
// else.
func (d *EWMA) Score(p Point) (score float64, ok bool) {
	if d.state[0] < d.warmUp {
		return 0, false
	}
	largest, of := 0.0, d.state[1:]
	for _, x := range p.X {
		m := moments{of[0], of[1]}
		largest = max(largest, m.distance2(x))
		of = of[2:]
	}
	return math.Sqrt(largest), true
}

// distance2 is the squared distance of x from the mean, in variances, at most MaxScore²: one root for all the fields is cheaper than
// one for each.
func (m *moments) distance2(x float64) float64 {
	delta := clip(x, huge) - m.mean
	if delta == 0 {
		return 0 // also where the variance is 0
	}
	if m.variance == 0 {
		return MaxScore * MaxScore
	}
	return min(delta*delta/m.variance, MaxScore*MaxScore)
}

// Left implements Detector.
func (d *EWMA) Left() int { return int(max(d.warmUp-d.state[0], 0)) }

// Words implements Compact.
func (d *EWMA) Words() int { return len(d.state) }

// Use implements Compact.
func (d *EWMA) Use(state []float64) { d.state = state }

// at returns the moments of a field.
func (d *EWMA) at(field int) moments { return moments{d.state[1+2*field], d.state[2+2*field]} }

// Learn takes p in. The first 1/alpha points weigh alike, so that the very first does not dominate.
func (d *EWMA) Learn(p Point) {
	d.state[0]++ // until 2^53, and then it stays
	a := d.alpha
	if n := d.state[0]; a*n < 1 {
		a = 1 / n
	}
	of := d.state[1:]
	for _, x := range p.X {
		m := moments{of[0], of[1]}
		m.learn(a, x)
		of[0], of[1] = m.mean, m.variance
		of = of[2:]
	}
}

// learn takes x in with weight a.
func (m *moments) learn(a, x float64) {
	delta := clip(x, huge) - m.mean
	m.mean += a * delta
	m.variance = (1 - a) * (m.variance + a*delta*delta)
}

// Bytes implements Detector.
func (d *EWMA) Bytes() int { return sizeOf[EWMA]() + 8*len(d.state) }

// Shares splits the score among the fields by their squared distances.
func (d *EWMA) Shares(p Point, shares []float64) {
	for i, x := range p.X {
		m := d.at(i)
		shares[i] = m.distance2(x)
	}
	normalise(shares)
}

// Expect returns the field's moving average, and a band of three moving standard deviations on either side of it.
func (d *EWMA) Expect(_ Point, field int) (expected, low, high float64, ok bool) {
	m := d.at(field)
	half := band * math.Sqrt(m.variance)
	return m.mean, m.mean - half, m.mean + half, d.state[0] >= d.warmUp
}

const ewmaVersion = 1

// AppendBinary appends version, points learned, and mean and variance of each field: 9 bytes and 16 a field.
func (d *EWMA) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, ewmaVersion)
	b = appendCount(b, uint64(d.state[0]))
	for _, v := range d.state[1:] {
		b = appendFloat64(b, v)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *EWMA) UnmarshalBinary(b []byte) error {
	r := newReader(b, ewmaVersion)
	d.state[0] = float64(r.count())
	for i := 1; i < len(d.state); i += 2 {
		d.state[i], d.state[i+1] = r.float64(-huge, huge), r.float64(0, 4*huge*huge)
	}
	return r.end()
}
