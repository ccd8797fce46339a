package drift

import (
	"errors"
	"fmt"
	"math"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

// HDDMWConfig configures an HDDMW monitor.
type HDDMWConfig struct {
	Delta  float64 `yaml:"delta" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1,default=1e-07" jsonschema_description:"Confidence: the smaller, the fewer false alarms and the later true ones."`
	Weight float64 `yaml:"weight" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1,default=0.05" jsonschema_description:"Weight of the newest point in the averages; less finds smaller changes, later."`
}

// New returns an HDDMW, or an *invalid.Value for each setting out of range.
func (c *HDDMWConfig) New() (Monitor, error) {
	var errs []error
	if !(c.Delta > 0 && c.Delta < 1) {
		errs = append(errs, &invalid.Value{Name: "delta", Value: c.Delta, Want: "between 0 and 1, both excluded"})
	}
	if !(c.Weight > 0 && c.Weight < 1) {
		errs = append(errs, &invalid.Value{Name: "weight", Value: c.Weight, Want: "between 0 and 1, both excluded"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &HDDMW{certainty: math.Sqrt(2 * math.Log(1/c.Delta)), weight: c.Weight}, nil
}

// HDDMW holds a moving average of the points since a cut against the one at the cut, where that is the point at which the average was surely
// lowest, and for falls that at which it was surely highest.
//
// Frías-Blanco et al. (2015), see HDDMA, the W-test: of averages with weights λ(1-λ)^k, McDiarmid's bound for values in [0, 1] is ε = √(v ln(1/δ) / 2)
// with v the sum of the squared weights. As in HDDMA, the deviation of the stream takes the place of the half that is the largest there, and the
// confidence is not the paper's 0.001. A point counts as at most four deviations from the mean, so that an outlier does not make a cut.
type HDDMW struct {
	certainty float64 // √(2 ln(1/δ)), in standard errors
	weight    float64

	all   running
	moves average // of all
	sides [2]struct {
		since
		cut, fresh average // at the cut, and of the points since
	} // for rises and for falls
}

// average is an exponentially weighted one.
type average struct {
	mean     float64
	variance float64
	v        float64 // sum of the squared weights, in (0, 1]; 0 of no points
}

// add takes x in, by West (1979), "Updating Mean and Variance Estimates: An Improved Method", Communications of the ACM 22(9).
func (a *average) add(x, weight float64) {
	if a.v == 0 {
		*a = average{mean: x, v: 1}
		return
	}
	d := x - a.mean
	a.mean += weight * d
	a.variance = (1 - weight) * (a.variance + weight*d*d)
	a.v = weight*weight + (1-weight)*(1-weight)*a.v
}

const mostDeviation = 4 // standard deviations that a point counts

// Bytes implements Monitor.
func (m *HDDMW) Bytes() int { return sizeOf[HDDMW]() }

// Add takes x in. Values beyond ±1e100 count as these.
func (m *HDDMW) Add(x float64) (c Change, changed bool) {
	x = clamp(x)
	z, known := m.all.standard(x), m.all.n >= fewestKnown
	b := m.all.add(x)
	far := mostDeviation * m.all.deviation()
	counts := min(max(x, m.all.mean-far), m.all.mean+far)
	m.moves.add(counts, m.weight)
	half := m.certainty * m.all.deviation()
	for i, sign := range [...]float64{1, -1} {
		s := &m.sides[i]
		if known {
			s.run.add(x, sign*z-runSlack)
		}
		if s.cut.v == 0 || sign*m.moves.mean+half*math.Sqrt(m.moves.v) <= sign*s.cut.mean+half*math.Sqrt(s.cut.v) {
			s.older, s.newer, s.cut, s.fresh = m.all.bucket, bucket{}, m.moves, average{}
			continue
		}
		s.newer = s.newer.merge(b)
		s.fresh.add(counts, m.weight)
		if !known || s.newer.n < fewestNew {
			continue
		}
		if sign*(s.fresh.mean-s.cut.mean) > m.certainty*s.error(s.cut.v, s.fresh.v, math.Sqrt(s.fresh.variance)) {
			c = told(m.all.bucket, s.newer, s.run)
			*m = HDDMW{certainty: m.certainty, weight: m.weight}
			return c, true
		}
	}
	return Change{}, false
}

const (
	averageSize = 3 * 8
	hddmWSize   = 1 + runningSize + averageSize + 2*(sinceSize+2*averageSize)
)

// AppendBinary appends the state, 289 bytes.
func (m *HDDMW) AppendBinary(b []byte) ([]byte, error) {
	b = m.moves.append(m.all.append(append(b, hddmVersion)))
	for i := range m.sides {
		s := &m.sides[i]
		b = s.fresh.append(s.cut.append(s.append(b)))
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *HDDMW) UnmarshalBinary(b []byte) error {
	if len(b) != hddmWSize || b[0] != hddmVersion {
		return fmt.Errorf("%w: hddm_w needs %d bytes of version %d", detectors.ErrState, hddmWSize, hddmVersion)
	}
	ok := readRunning(b[1:], &m.all)
	b = b[1+runningSize:]
	ok = m.moves.read(b) && ok
	b = b[averageSize:]
	for i := range m.sides {
		s := &m.sides[i]
		ok = s.read(b, m.all.n) && s.cut.read(b[sinceSize:]) && s.fresh.read(b[sinceSize+averageSize:]) && ok
		b = b[sinceSize+2*averageSize:]
	}
	if !ok {
		return fmt.Errorf("%w: hddm_w is out of range", detectors.ErrState)
	}
	return nil
}

func (a average) append(b []byte) []byte { return appendFloats(b, a.mean, a.variance, a.v) }

// read reads from the front of b; ok is false where that is out of range.
func (a *average) read(b []byte) (ok bool) {
	return floats(b, &a.mean, &a.variance, &a.v) && value(a.mean) && squares(a.variance) && a.v >= 0 && a.v <= 1
}
