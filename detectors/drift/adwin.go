package drift

import (
	"errors"
	"fmt"
	"math"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

// ADWINConfig configures an ADWIN monitor.
type ADWINConfig struct {
	Delta     float64 `yaml:"delta" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1,default=0.002" jsonschema_description:"Confidence: the smaller, the fewer false alarms and the later true ones."`
	MinWindow int     `yaml:"min_window" jsonschema:"minimum=5,maximum=65536,default=16" jsonschema_description:"Fewest points before and after a change."`
}

// New returns an ADWIN, or an *invalid.Value for each setting out of range.
func (c *ADWINConfig) New() (Monitor, error) {
	var errs []error
	if !(c.Delta > 0 && c.Delta < 1) {
		errs = append(errs, &invalid.Value{Name: "delta", Value: c.Delta, Want: "between 0 and 1, both excluded"})
	}
	if c.MinWindow < 5 || c.MinWindow > maxSize/2 {
		errs = append(errs, &invalid.Value{Name: "min_window", Value: c.MinWindow, Want: "between 5 and 65536"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &ADWIN{delta: c.Delta, minWindow: float64(c.MinWindow)}, nil
}

// ADWIN keeps a window of the newest points, as long as their mean has not changed: when an older and a newer part of it differ in mean
// by more than chance allows, the older part is dropped, and that is the change.
//
// Bifet & Gavaldà (2007), "Learning from Time-Changing Data with Adaptive Windowing", SDM: ADWIN2, where an exponential histogram
// holds the window in at most 5 buckets of 1, 2, 4, … points each. It differs from the paper in three ways. The paper's bound is for
// independent values in [0, 1]; bound and deviation say how it fits a metric of any unit. A cut is looked for every 32 points. And of
// several cuts the most significant is taken at once, instead of dropping a bucket at a time until none is left.
//
// The window holds at most 1.3 million points, in at most 90 buckets of 32 bytes; 10,000 points take some 55.
type ADWIN struct {
	delta     float64
	minWindow float64 // points

	sinceCheck uint8    // points
	last       float64  // the newest point
	buckets    []bucket // oldest first, sizes falling to 1
}

// Bytes implements Monitor.
func (m *ADWIN) Bytes() int { return sizeOf[ADWIN]() + (maxBuckets+1)*sizeOf[bucket]() }

// bucket sums up n consecutive points.
type bucket struct {
	n      float64 // a power of two
	mean   float64
	square float64 // sum of squared deviations from the mean
	steps  float64 // sum of squared steps from the point before, the first of a stream apart
}

const (
	perSize    = 5            // buckets of one size, the paper's M
	maxSize    = 1 << 17      // points in a bucket
	maxBuckets = 18 * perSize // of 1, 2, 4, … maxSize points
	checkEvery = 32           // points; looking for a cut costs more than adding one
)

// Add takes x in. Values beyond ±1e100 count as these.
func (m *ADWIN) Add(x float64) (c Change, changed bool) {
	x = clamp(x)
	b := bucket{n: 1, mean: x}
	if len(m.buckets) > 0 {
		b.steps = (x - m.last) * (x - m.last)
	}
	m.last = x
	m.buckets = append(m.buckets, b)
	m.compress()
	if m.sinceCheck++; m.sinceCheck < checkEvery {
		return Change{}, false
	}
	m.sinceCheck = 0
	return m.cut()
}

// compress merges the two oldest buckets of each size that has one too many, from size 1 on; of the largest size it drops the oldest.
func (m *ADWIN) compress() {
	end := len(m.buckets) // of the buckets that are at least this large
	for end > perSize && m.buckets[end-1-perSize].n == m.buckets[end-1].n {
		oldest := end - 1 - perSize
		if m.buckets[oldest].n == maxSize {
			m.drop(1)
			return
		}
		m.buckets[oldest] = m.buckets[oldest].merge(m.buckets[oldest+1])
		m.buckets = append(m.buckets[:oldest+1], m.buckets[oldest+2:]...)
		end = oldest + 1
	}
}

// drop forgets the n oldest buckets.
func (m *ADWIN) drop(n int) { m.buckets = append(m.buckets[:0], m.buckets[n:]...) }

// merge returns the sums over the points of both (Chan, Golub & LeVeque 1983, "Algorithms for Computing the Sample Variance", The
// American Statistician 37(3), eq. 2.1).
func (b bucket) merge(c bucket) bucket {
	n, d := b.n+c.n, c.mean-b.mean
	return bucket{
		n:      n,
		mean:   b.mean + d*(c.n/n),
		square: b.square + c.square + d*d*(b.n*c.n/n),
		steps:  b.steps + c.steps,
	}
}

// cut drops what is older than the most significant change of mean, if there is one.
func (m *ADWIN) cut() (c Change, changed bool) {
	var newer [maxBuckets + 1]bucket // newer[i] sums up all buckets from i on
	for i := len(m.buckets) - 1; i >= 0; i-- {
		newer[i] = m.buckets[i].merge(newer[i+1])
	}
	certainty := math.Log(2 * math.Log(newer[0].n) / m.delta)
	var older bucket
	most, at := 1.0, 0
	for i, b := range m.buckets {
		if older.n >= m.minWindow && newer[i].n >= m.minWindow {
			d := deviation(newer[0].n, older.square+newer[i].square, older.steps+newer[i].steps)
			// 0/0, of two parts that are alike and do not vary, is not more.
			if r := math.Abs(newer[i].mean-older.mean) / bound(d, older.n, newer[i].n, certainty); r > most {
				most, at = r, i
				c = Change{Before: older.mean, After: newer[i].mean}
			}
		}
		older = older.merge(b)
	}
	m.drop(at)
	return c, at > 0
}

// bound returns the difference of means that is still chance, the paper's section 3.1: with m = 1/(1/n0 + 1/n1) and δ' = δ/ln n,
//
//	ε = √(2/m · σ² · ln(2/δ')) + 2/(3m) · ln(2/δ')
//
// where the second term is for values in [0, 1]; here σ takes the place of that range, and is the deviation within the two parts, so that
// a large change does not hide itself.
func bound(deviation, n0, n1, certainty float64) float64 {
	c := certainty * (1/n0 + 1/n1)
	return deviation * (math.Sqrt(2*c) + 2./3*c)
}

const (
	adwinVersion = 1
	adwinHead    = 1 + 1 + 8 // version, sinceCheck, last
	adwinBucket  = 4 * 8
)

// AppendBinary appends the state, 10 bytes and 32 for each bucket.
func (m *ADWIN) AppendBinary(b []byte) ([]byte, error) {
	b = appendFloats(append(b, adwinVersion, m.sinceCheck), m.last)
	for _, s := range m.buckets {
		b = appendFloats(b, s.n, s.mean, s.square, s.steps)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *ADWIN) UnmarshalBinary(b []byte) error {
	if len(b) < adwinHead || (len(b)-adwinHead)%adwinBucket != 0 || b[0] != adwinVersion || b[1] >= checkEvery {
		return fmt.Errorf("%w: %d bytes are not an adwin of version %d", detectors.ErrState, len(b), adwinVersion)
	}
	m.sinceCheck = b[1]
	ok := floats(b[2:], &m.last) && value(m.last)
	n := (len(b) - adwinHead) / adwinBucket
	if !ok || n > maxBuckets {
		return fmt.Errorf("%w: adwin of %d buckets, last point %v", detectors.ErrState, n, m.last)
	}
	m.buckets = make([]bucket, n, n+1)
	alike := 0 // buckets of one size so far
	for i := range m.buckets {
		s := &m.buckets[i]
		ok := floats(b[adwinHead+i*adwinBucket:], &s.n, &s.mean, &s.square, &s.steps)
		alike++
		if i > 0 && s.n != m.buckets[i-1].n {
			alike = 1
			ok = ok && s.n < m.buckets[i-1].n
		}
		if !ok || alike > perSize || !size(s.n) || !value(s.mean) || !squares(s.square) || !squares(s.steps) {
			return fmt.Errorf("%w: bucket %d of adwin is %+v", detectors.ErrState, i, *s)
		}
	}
	return nil
}

// size says whether n is a bucket's: a power of two.
func size(n float64) bool {
	fraction, _ := math.Frexp(n)
	return n >= 1 && n <= maxSize && fraction == 0.5
}
