package detectors

import (
	"errors"
	"math"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// baseline is what a control chart holds each field against: a target and a spread, which an operator has set or which are learned.
//
// Learned ones follow the points slowly, so that a shift shows for a while before it is normal; and a point counts as at most mostDeviation
// spreads away, so that a lone outlier neither moves the baseline much nor fills a chart's sums.
type baseline struct {
	alpha  float64 // weight of the newest point, in (0, 1/2]
	warmUp uint64  // points
	known  bool    // target and spread are set: nothing is learned
	n      uint64  // points learned
	fields []moments
}

const mostDeviation = 20 // spreads

// newBaseline checks the settings that all control charts have. spread 0 is for both to be learned.
func newBaseline(target, spread, halfLife float64, warmUp, fields int) (baseline, error) {
	var errs []error
	if !(math.Abs(target) <= huge) {
		errs = append(errs, &invalid.Value{Name: "target", Value: target, Want: "a number up to 1e150"})
	}
	if !(spread >= 0 && spread <= huge) {
		errs = append(errs, &invalid.Value{Name: "spread", Value: spread, Want: "0, or a standard deviation up to 1e150"})
	}
	if target != 0 && spread == 0 {
		errs = append(errs, &invalid.Value{Name: "spread", Value: spread, Want: "> 0 where a target is set"})
	}
	if !(halfLife >= 1 && halfLife <= 1e9) {
		errs = append(errs, &invalid.Value{Name: "half_life", Value: halfLife, Want: "1 to 1000000000"})
	}
	if warmUp < 2 || warmUp > 1e9 {
		errs = append(errs, &invalid.Value{Name: "warm_up", Value: warmUp, Want: "2 to 1000000000"})
	}
	if len(errs) > 0 {
		return baseline{}, errors.Join(errs...)
	}
	b := baseline{
		alpha: -math.Expm1(-math.Ln2 / halfLife), warmUp: uint64(warmUp), //nolint:gosec // positive
		known: spread > 0, fields: make([]moments, fields),
	}
	for i := range b.fields {
		b.fields[i] = moments{mean: target, variance: spread * spread}
	}
	return b, nil
}

// Left implements Detector.
func (b *baseline) Left() int {
	if b.known {
		return 0
	}
	return left(b.warmUp, b.n)
}

func (b *baseline) ready() bool { return b.known || b.n >= b.warmUp }

// deviation is how many spreads x is above field i's target, within ±mostDeviation.
func (b *baseline) deviation(i int, x float64) float64 {
	m := &b.fields[i]
	delta := clip(x, huge) - m.mean
	if delta == 0 {
		return 0 // also where the spread is 0
	}
	return clip(delta/math.Sqrt(m.variance), mostDeviation)
}

// learn takes x in. The first 1/alpha points weigh alike.
func (b *baseline) learn(x []float64) {
	if b.known {
		return
	}
	settled := b.ready()
	b.n++
	a := b.alpha
	if n := float64(b.n); a*n < 1 {
		a = 1 / n
	}
	for i := range b.fields {
		m, v := &b.fields[i], x[i]
		if settled && m.variance > 0 {
			v = m.mean + b.deviation(i, v)*math.Sqrt(m.variance)
		}
		m.learn(a, v)
	}
}

// expect is what a Forecaster says: the target, and three spreads on either side of it.
func (b *baseline) expect(i int) (expected, low, high float64, ok bool) {
	m := b.fields[i]
	half := band * math.Sqrt(m.variance)
	return m.mean, m.mean - half, m.mean + half, b.ready()
}

func (b *baseline) append(to []byte) []byte {
	to = appendCount(to, b.n)
	for _, m := range b.fields {
		to = appendFloat64(appendFloat64(to, m.mean), m.variance)
	}
	return to
}

func (b *baseline) read(r *reader) {
	b.n = r.count()
	for i := range b.fields {
		b.fields[i] = moments{mean: r.float64(-2*huge, 2*huge), variance: r.float64(0, 400*huge*huge)}
	}
}
