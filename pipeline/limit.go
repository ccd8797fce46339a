package pipeline

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/gonomaly/gonomaly/internal/figure"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

// bounds are those within which a field is valid.
type bounds struct {
	field     int
	low, high float64
}

// checkLimits checks what an operator asks of values, and works out the valid ranges.
func (p *plan) checkLimits(a AlertConfig) (errs []error) {
	for _, d := range []struct {
		name  string
		value float64
	}{{"absolute", a.MinDeviation.Absolute}, {"relative", a.MinDeviation.Relative}} {
		if !(d.value >= 0 && d.value <= math.MaxFloat64) {
			errs = append(errs, &invalid.Value{Name: "alert.min_deviation." + d.name, Value: d.value, Want: "≥ 0"})
		}
	}
	for i, r := range a.ValidRange {
		at := fmt.Sprintf("alert.valid_range[%d]", i)
		b := bounds{field: slices.Index(p.fields, r.Field), low: math.Inf(-1), high: math.Inf(1)}
		if b.field < 0 {
			errs = append(errs, &invalid.Value{Name: at + ".field", Value: r.Field, Want: "one of " + joined(p.fields)})
		}
		if r.Low != nil {
			b.low = *r.Low
		}
		if r.High != nil {
			b.high = *r.High
		}
		switch {
		case r.Low == nil && r.High == nil:
			errs = append(errs, &invalid.Value{Name: at, Value: "without bounds", Want: "low, high or both"})
		case !(b.low <= b.high):
			errs = append(errs, &invalid.Value{Name: at + ".high", Value: b.high, Want: fmt.Sprintf("at least low, %v", b.low)})
		}
		p.valid = append(p.valid, b)
	}
	return errs
}

// outside is the first field of x that is not valid, or none.
func (p *plan) outside(x []float64) int {
	for _, b := range p.valid {
		if !(b.low <= x[b.field] && x[b.field] <= b.high) {
			return b.field
		}
	}
	return none
}

// validRange says in words what a field is that is not valid, and what would be.
func (p *plan) validRange(field int, x float64) string {
	for _, b := range p.valid {
		switch {
		case b.field != field:
		case x < b.low:
			value, low := figure.Apart(x, b.low)
			return value + ", below " + low + ", the lowest that is valid"
		case x > b.high:
			value, high := figure.Apart(x, b.high)
			return value + ", above " + high + ", the highest that is valid"
		}
	}
	return ""
}

// enough says whether x is as far from what was expected as it has to be.
func (d Deviation) enough(x, expected float64) bool {
	by := math.Abs(x - expected)
	return by >= d.Absolute && by >= d.Relative*math.Abs(expected)
}

// Limits of time turn into a share of points by the pace of a series.
const (
	unpaced  = 1e-4 // share, until the pace is known
	paceOf   = 1000 // intervals that weigh in it
	leastOf  = 3    // intervals before it is known
	rarest   = 1e-9 // least share
	mostOf   = 0.1  // largest share: beyond it nothing is odd
	paceSize = 1 + 3*8
	paceMade = 1 // version
)

// pace is how fast the points of a series come, in event time.
type pace struct {
	n    int64   // points seen
	last int64   // time of the newest, Unix nanoseconds
	mean float64 // interval between the last thousand or so, in nanoseconds
}

// learn takes the time of a point in. Points that come at one time, or late, have an interval of 0.
func (p *pace) learn(at int64) {
	if p.n > 0 {
		gap := max(0, float64(at)-float64(p.last))
		p.mean += (gap - p.mean) / float64(min(p.n, paceOf))
	}
	p.last = max(p.last, at)
	if p.n == 0 {
		p.last = at
	}
	p.n++
}

// AppendBinary appends the state, 25 bytes.
func (p *pace) AppendBinary(b []byte) ([]byte, error) {
	return appendFloat(appendInt(appendInt(append(b, paceMade), p.n), p.last), p.mean), nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (p *pace) UnmarshalBinary(b []byte) error {
	if len(b) != paceSize || b[0] != paceMade {
		return fmt.Errorf("%w: pace of %d bytes, want %d of version %d", errState, len(b), paceSize, paceMade)
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[1+8*i:]) }
	r := pace{n: int64(word(0)), last: int64(word(1)), mean: math.Float64frombits(word(2))} //nolint:gosec // checked next
	if r.n < 0 || !(r.mean >= 0 && r.mean <= math.MaxInt64*2) {
		return fmt.Errorf("%w: pace %+v is out of range", errState, r)
	}
	*p = r
	return nil
}

// rateOf is the share of s' points that may raise a false alarm. Where it is asked for by time, it follows from the mean interval between
// points; for a whole partition each of its series has an equal part.
func (w *Worker) rateOf(s series) float64 {
	if s.pace == nil || s.pace.n <= leastOf {
		return w.rate
	}
	r := w.config.Alert.FalseAlarms
	share := r.Alarms * s.pace.mean / float64(r.Every)
	if r.Partition {
		share /= float64(w.index.n)
	}
	return min(max(share, rarest), mostOf)
}
