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

// cut drops what is older than the most significant change of mean, if there is one.
func (m *ADWIN) cut() (Change, bool) {
	points := 0.0
	for _, b := range m.buckets {
		points += b.n
	}
	certainty := math.Log(2 * math.Log(points) / m.delta)
	older, newer, at := split(m.buckets, m.minWindow, func(older, newer bucket) float64 {
		// 0/0, of two parts that are alike and do not vary, is not more.
		return math.Abs(newer.mean-older.mean)/bound(older, newer, certainty) - 1
	})
	m.drop(at)
	return Change{Before: older.mean, After: newer.mean}, at > 0
}

const (
	adwinVersion = 1
	adwinHead    = 1 + 1 + 8 // version, sinceCheck, last
)

// AppendBinary appends the state, 10 bytes and 32 for each bucket.
func (m *ADWIN) AppendBinary(b []byte) ([]byte, error) {
	b = appendFloats(append(b, adwinVersion, m.sinceCheck), m.last)
	for _, s := range m.buckets {
		b = s.append(b)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *ADWIN) UnmarshalBinary(b []byte) error {
	if len(b) < adwinHead || (len(b)-adwinHead)%bucketSize != 0 || b[0] != adwinVersion || b[1] >= checkEvery {
		return fmt.Errorf("%w: %d bytes are not an adwin of version %d", detectors.ErrState, len(b), adwinVersion)
	}
	m.sinceCheck = b[1]
	ok := floats(b[2:], &m.last) && value(m.last)
	n := (len(b) - adwinHead) / bucketSize
	if !ok || n > maxBuckets {
		return fmt.Errorf("%w: adwin of %d buckets, last point %v", detectors.ErrState, n, m.last)
	}
	m.buckets = make([]bucket, n, n+1)
	alike := 0 // buckets of one size so far
	for i := range m.buckets {
		s := &m.buckets[i]
		ok := readBucket(b[adwinHead+i*bucketSize:], s)
		alike++
		if i > 0 && s.n != m.buckets[i-1].n {
			alike = 1
			ok = ok && s.n < m.buckets[i-1].n
		}
		if !ok || alike > perSize || !size(s.n) {
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
