package drift

import (
	"fmt"
	"math"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

// HDDMAConfig configures an HDDMA monitor.
type HDDMAConfig struct {
	Delta float64 `yaml:"delta" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1,default=1e-05" jsonschema_description:"Confidence: the smaller, the fewer false alarms and the later true ones."`
}

// New returns an HDDMA, or an *invalid.Value.
func (c *HDDMAConfig) New() (Monitor, error) {
	if !(c.Delta > 0 && c.Delta < 1) {
		return nil, &invalid.Value{Name: "delta", Value: c.Delta, Want: "between 0 and 1, both excluded"}
	}
	return &HDDMA{certainty: math.Sqrt(2 * math.Log(1/c.Delta))}, nil
}

// HDDMA holds the mean of the points since a cut against that before it, where the cut is the point up to which the mean was surely lowest, and
// for falls that up to which it was surely highest.
//
// Frías-Blanco, del Campo-Ávila, Ramos-Jiménez, Morales-Bueno, Ortiz-Díaz & Caballero-Mota (2015), "Online and Non-Parametric Drift
// Detection Methods Based on Hoeffding's Bounds", IEEE TKDE 27(3), the A-test: the cut moves on to point n when mean_n + ε_n ≤ mean_cut +
// ε_cut. Hoeffding's bound for values in [0, 1], ε_n = √(ln(1/δ) / 2n), is that of values with a deviation of a half, the largest there is; here
// it is σ·√(2 ln(1/δ) / n) with the deviation of the stream, so that any unit will do. A change is looked for every 8 points; its bound is
// that of two means, see since. The confidence is not that of the paper, 0.001: with a cut that is chosen among all points the bound of one
// comparison is passed by chance, see TestFalseAlarms.
type HDDMA struct {
	certainty float64 // √(2 ln(1/δ)), in standard errors

	all   running
	looks uint8    // points since a change was last looked for
	sides [2]since // for rises and for falls
}

// since is what came before and after a cut.
type since struct {
	older, newer bucket
	run          run
}

// error is that of the difference of two means, given the sums of the squared weights of the points in each: by the deviation within both, or
// if that is more by how far the newer points are spread, so that an outlier, which makes their mean large, makes the error as large. The
// spread has no inertia: the first points that are not yet of the change would look like it.
func (s *since) error(older, newer, spread float64) float64 {
	return max(within(s.older, s.newer)*math.Sqrt(older+newer), spread*math.Sqrt(newer))
}

// Bytes implements Monitor.
func (m *HDDMA) Bytes() int { return sizeOf[HDDMA]() }

// Add takes x in. Values beyond ±1e100 count as these.
func (m *HDDMA) Add(x float64) (c Change, changed bool) {
	x = clamp(x)
	z, known := m.all.standard(x), m.all.n >= fewestKnown
	b := m.all.add(x)
	m.looks = (m.looks + 1) % lookEvery
	half := m.certainty * m.all.deviation()
	for i, sign := range [...]float64{1, -1} {
		s := &m.sides[i]
		if known {
			s.run.add(x, sign*z-runSlack)
		}
		if s.older.n == 0 || sign*m.all.mean+half/math.Sqrt(m.all.n) <= sign*s.older.mean+half/math.Sqrt(s.older.n) {
			s.older, s.newer = m.all.bucket, bucket{}
			continue
		}
		s.newer = s.newer.merge(b)
		if m.looks > 0 || !known || s.newer.n < fewestNew {
			continue
		}
		if sign*(s.newer.mean-s.older.mean) > m.certainty*s.error(1/s.older.n, 1/s.newer.n, s.newer.spread()) {
			c = told(m.all.bucket, s.newer, s.run)
			*m = HDDMA{certainty: m.certainty}
			return c, true
		}
	}
	return Change{}, false
}

const (
	hddmVersion = 1
	hddmASize   = 1 + 1 + runningSize + 2*sinceSize
)

// AppendBinary appends the state, 218 bytes.
func (m *HDDMA) AppendBinary(b []byte) ([]byte, error) {
	b = m.all.append(append(b, hddmVersion, m.looks))
	for i := range m.sides {
		b = m.sides[i].append(b)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *HDDMA) UnmarshalBinary(b []byte) error {
	if len(b) != hddmASize || b[0] != hddmVersion || b[1] >= lookEvery {
		return fmt.Errorf("%w: hddm_a needs %d bytes of version %d", detectors.ErrState, hddmASize, hddmVersion)
	}
	m.looks = b[1]
	ok := readRunning(b[2:], &m.all)
	b = b[2+runningSize:]
	for i := range m.sides {
		ok = m.sides[i].read(b[i*sinceSize:], m.all.n) && ok
	}
	if !ok {
		return fmt.Errorf("%w: hddm_a is out of range", detectors.ErrState)
	}
	return nil
}

const sinceSize = 2*bucketSize + runSize

func (s *since) append(b []byte) []byte { return s.run.append(s.newer.append(s.older.append(b))) }

// read reads from the front of b, of a stream of n points; ok is false where that is out of range.
func (s *since) read(b []byte, n float64) (ok bool) {
	return readBucket(b, &s.older) && readBucket(b[bucketSize:], &s.newer) && readRun(b[2*bucketSize:], &s.run, n) && s.older.n+s.newer.n <= n
}
