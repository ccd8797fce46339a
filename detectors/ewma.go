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
		warmUp: uint64(c.WarmUp),                    //nolint:gosec // positive
		fields: make([]moments, fields),
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
	warmUp uint64
	n      uint64 // points learned
	fields []moments
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
	if d.n < d.warmUp {
		return 0, false
	}
	largest := 0.0
	for i := range d.fields {
		largest = max(largest, d.fields[i].distance2(p.X[i]))
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
func (d *EWMA) Left() int { return left(d.warmUp, d.n) }

// Learn takes p in. The first 1/alpha points weigh alike, so that the very first does not dominate.
func (d *EWMA) Learn(p Point) {
	d.n++
	a := d.alpha
	if n := float64(d.n); a*n < 1 {
		a = 1 / n
	}
	for i := range d.fields {
		d.fields[i].learn(a, p.X[i])
	}
}

// learn takes x in with weight a.
func (m *moments) learn(a, x float64) {
	delta := clip(x, huge) - m.mean
	m.mean += a * delta
	m.variance = (1 - a) * (m.variance + a*delta*delta)
}

// Bytes implements Detector.
func (d *EWMA) Bytes() int { return sizeOf[EWMA]() + len(d.fields)*sizeOf[moments]() }

// Shares splits the score among the fields by their squared distances.
func (d *EWMA) Shares(p Point, shares []float64) {
	for i := range d.fields {
		shares[i] = d.fields[i].distance2(p.X[i])
	}
	normalise(shares)
}

// Expect returns the field's moving average, and a band of three moving standard deviations on either side of it.
func (d *EWMA) Expect(_ Point, field int) (expected, low, high float64, ok bool) {
	m := d.fields[field]
	half := band * math.Sqrt(m.variance)
	return m.mean, m.mean - half, m.mean + half, d.n >= d.warmUp
}

const ewmaVersion = 1

// AppendBinary appends version, points learned, and mean and variance of each field: 9 bytes and 16 a field.
func (d *EWMA) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, ewmaVersion)
	b = appendCount(b, d.n)
	for _, m := range d.fields {
		b = appendFloat64(b, m.mean)
		b = appendFloat64(b, m.variance)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *EWMA) UnmarshalBinary(b []byte) error {
	r := newReader(b, ewmaVersion)
	d.n = r.count()
	for i := range d.fields {
		d.fields[i] = moments{mean: r.float64(-huge, huge), variance: r.float64(0, 4*huge*huge)}
	}
	return r.end()
}
