package threshold

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gonomaly/gonomaly/detectors"
)

const (
	level  = 0.1  // share of points above t: few enough to be a tail, enough to learn it from a few hundred points
	gap    = 0.1  // between t and the tail's start, in scales: room for t to rest on a value that many points share
	priorN = 100  // points that the nominal law is worth at the start
	maxN   = 2e4  // points that weigh in the law: a change is half followed after ln 2 of them, some 14,000
	rareP  = 2e-3 // of a rarer point only that is learned: how much rarer does not matter
	alarmP = 1e-4 // rarer points weigh the less, the more of them come together

	calm        = 1.0 / 128 // share of a storm that a point ends
	leastWeight = 1.0 / 64  // of a point in a storm, so that a storm without end is learned

	maxShape   = 2            // P falls at least like 1/√u: with a normal nominal law, 1/z of a score z
	minShape   = 1e-6         // below it the generalised Pareto law is taken for exponential, its limit
	minT       = 0.05         // decades
	maxT       = 1e6          // decades
	maxLog     = 640          // of 1 + shape·z: beyond 1e-300 there is room for any scale
	narrowest  = 1.0 / 64     // least scale, in t
	minMass    = 0.03 * level // more than rareP
	maxMass    = 0.99 * level // less than level, so that P decreases strictly
	maxDecades = 300          // p-values stay above 1e-300, where floats have all their digits
	minP       = 1e-300

	rungs   = 4    // at 2, 3, 4 and 5 decades
	base    = 1    // decades, below which nothing is put right
	maxLift = 1.0  // decades that a rung may lie above its own: anomalies are points too, and must not lift it out of reach
	minStep = 1e-4 // decades from one rung to the next
	beyond  = 10   // points expected beyond a rung that weigh: it follows a change of law within so many
	fewest  = 1e4  // points that weigh, where there are more than beyond of them out there
	maxSeen = 1e6  // points: beyond of them lie out past the last rung
	hurry   = 2    // times the gain that is best for an exponential law: an old error is gone as n^-2, for 1.15 times the deviation
)

// Tail estimates the law of the decades u of one series' scores. It begins as the nominal law, P(u) = 10^-u, and follows the points it
// learns: within a few hundred where they differ, and for ever by those of the last 14,000 or so.
//
// Up to t, exceeded by a tenth of the points, the p-value is a power of the nominal one; the excess over t has a generalised Pareto law
// (peaks over threshold: Siffer et al. 2017, "Anomaly Detection in Streams with Extreme Value Theory", KDD, section 3). The
// parameters move with each point by stochastic approximation: t as a quantile (Robbins & Monro 1951), scale and shape by natural
// gradient (Amari 1998), which with a gain of 1/n is as good as maximum likelihood.
//
// What the law says is put right once more, by counting: rung k is the decades, by the law, that one point in 10^k reaches. It falls
// a little with each point and rises with each that reaches it, so that over time as many do as should, whatever the law (Gibbs & Candès 2021,
// "Adaptive Conformal Inference Under Distribution Shift", NeurIPS; with falling gains, Angelopoulos, Barber & Bates 2024, "Online
// Conformal Prediction with Decaying Step Sizes", ICML).
//
// The anomalies themselves are among the points, and must not mute the next. So a point beyond 1 in 500 is learned as censored there,
// which leaves the law unbiased; those beyond 1 in 10,000 weigh the less, the more of them came lately; and a rung rises by a decade at
// most.
//
// A Tail is 80 bytes, never allocates, and belongs to one goroutine at a time.
type Tail struct {
	n     float64        // points that weigh, the nominal law's included
	t     float64        // decades
	mass  float64        // share of points above t + gap*scale, where the tail starts; lower than level where many points share t
	scale float64        // of the excess over that start, in decades
	shape float64        // of the excess, in [0, maxShape]; 0 is an exponential law
	storm float64        // points beyond alarmP, fading
	rung  [rungs]float64 // decades by the law above of 2, 3, 4 and 5, increasing
}

// levelDecades is level in decades, which each point wants.
var levelDecades = -math.Log10(level)

// NewTail returns the nominal law.
func NewTail() Tail {
	return Tail{n: priorN, t: levelDecades, mass: level * math.Exp(-gap), scale: math.Log10E, rung: [rungs]float64{2, 3, 4, 5}}
}

// Decades returns -log10 of the estimated probability of a point with at least u decades. It increases strictly from 0 at 0, but ends
// at 300.
func (t *Tail) Decades(u float64) float64 {
	d := t.byLaw(u)
	if d <= base {
		return d
	}
	k, low := 0, float64(base)
	for k < rungs && d > t.rung[k] {
		low = t.rung[k]
		k++
	}
	d -= low
	if k < rungs {
		d /= t.rung[k] - low
	}
	return min(d+float64(base+k), maxDecades)
}

// byLaw is Decades without the rungs, and without an end.
func (t *Tail) byLaw(u float64) float64 {
	if u <= t.t {
		return max(0, u/t.t*levelDecades)
	}
	atStart := -math.Log10(t.mass)
	z := (u-t.t)/t.scale - gap
	if z <= 0 {
		return atStart + z/gap*(atStart-levelDecades)
	}
	return atStart + t.exponent(z)*math.Log10E
}

// Ordinary says whether u lies where nine points in ten do. Their Decades are at most 1, and Learn makes no difference between them.
func (t *Tail) Ordinary(u float64) bool { return u <= t.t }

// P returns the estimated probability of a point with at least u decades, in (0, 1].
func (t *Tail) P(u float64) float64 { return math.Exp(-math.Ln10 * t.Decades(u)) }

// At returns the u for which P is p, in (0, 1]: for a rate of false alarms p it is the limit.
func (t *Tail) At(p float64) float64 {
	d := -math.Log10(max(p, minP))
	if d <= base {
		return t.lawAt(d)
	}
	k, low := min(int(d)-base, rungs), float64(base)
	if k > 0 {
		low = t.rung[k-1]
	}
	d -= float64(base + k)
	if k < rungs {
		d *= t.rung[k] - low
	}
	return t.lawAt(low + d)
}

// lawAt is the inverse of byLaw.
func (t *Tail) lawAt(d float64) float64 {
	if d <= levelDecades {
		return t.t * d / levelDecades
	}
	y := d*math.Ln10 + math.Log(t.mass)
	z := gap + gap*y/math.Log(level/t.mass)
	if y > 0 {
		z = gap + t.excess(y)
	}
	return t.t + z*t.scale
}

// exponent returns -ln of the probability of an excess of more than z scales, given that there is one.
func (t *Tail) exponent(z float64) float64 {
	if t.shape < minShape {
		return z
	}
	return math.Log1p(t.shape*z) / t.shape
}

// excess is the inverse of exponent.
func (t *Tail) excess(y float64) float64 {
	if t.shape < minShape {
		return y
	}
	return math.Expm1(min(t.shape*y, maxLog)) / t.shape
}

// Young returns the law for a series of which nothing is known but that others like it have the law t. It counts for no more than the nominal
// law does at the start.
func (t *Tail) Young() Tail {
	young := *t
	young.n, young.storm = priorN, 0
	return young
}

// Unsettle lets what is known count for no more than the nominal law does at the start: the points to come may be of another law.
func (t *Tail) Unsettle() { t.n = priorN }

// Learn takes in a point's decades.
func (t *Tail) Learn(u float64) {
	t.storm -= t.storm * calm
	t.climb(t.byLaw(u))
	gain := 1 / min(t.n, maxN)
	t.n = min(t.n+1, maxSeen)
	// The gain of a quantile is best at 1/density, here that of an exponential law through (t, level).
	if u <= t.t {
		t.t = max(t.t*(1-gain*math.Log10E), minT)
		t.mass = max(t.mass*(1-gain), minMass)
		return
	}
	z := (u-t.t)/t.scale - gap
	if z <= 0 {
		t.mass = max(t.mass*(1-gain), minMass)
	} else {
		y := t.exponent(z)
		if y > math.Log(t.mass/alarmP) {
			gain *= max(1/((1+t.storm)*(1+t.storm)), leastWeight)
			t.storm++
		}
		t.learnExcess(z, y, min(gain/t.mass, 1/(priorN*level)))
		t.mass = min(t.mass+gain*(1-t.mass), maxMass)
	}
	t.t = min(t.t*(1+gain*math.Log10E*(1-level)/level), maxT)
}

// climb moves the rungs as a point of d decades by the law has them move. A rung takes those above it along: what is rarer is known
// from fewer points.
func (t *Tail) climb(d float64) {
	low, p, shift := float64(base), 0.1, 0.0
	weight := 1 / ((1 + t.storm) * (1 + t.storm))
	for k := range t.rung {
		p /= 10
		gain := hurry * math.Log10E / (2 + p*min(t.n, max(fewest, beyond/p)))
		if d >= t.rung[k] {
			shift += gain * weight * (1 - p)
		} else {
			shift -= gain * p
		}
		next := max(min(t.rung[k]+shift, float64(base+1+k)+maxLift), low+minStep)
		shift = next - t.rung[k]
		t.rung[k], low = next, next
	}
}

// learnExcess moves scale and shape by gain times the inverse Fisher information times the gradient of the log-likelihood of z, as in
// Smith (1984), "Threshold Methods for Sample Extremes", with k for the shape:
//
//	log f = -ln(scale) - (1+1/k)·ln(1+kz),  its integral from z on  log S = -1/k·ln(1+kz)
//	information for (ln scale, k) = 1/(1+2k) · | 1         1/(1+k) |
//	                                           | 1/(1+k)   2/(1+k) |
func (t *Tail) learnExcess(z, exponent, gain float64) {
	k := t.shape
	rare := math.Log(t.mass / rareP)
	censored := exponent > rare
	if censored {
		exponent, z = rare, t.excess(rare)
	}
	w := z / (1 + k*z) // of log S: the derivative by ln scale; the one by shape is
	byShape := z * z / 2
	if k >= minShape {
		byShape = (exponent - w) / k
	}
	byScale := w
	if !censored {
		byScale += k*w - 1
		byShape -= w
	}
	shape := k + gain*(1+k)*((1+k)*byShape-byScale)
	step := gain * (1 + k) * (2*byScale - byShape)
	if shape < 0 || shape > maxShape {
		shape = min(max(shape, 0), maxShape)
		step = gain * (1 + 2*k) * byScale // the shape is held, and only the scale moves
	}
	t.shape = shape
	t.scale = min(max(t.scale*math.Exp(step), t.t*narrowest), maxT)
}

// Bytes implements Law.
func (t *Tail) Bytes() int { return tailSize - 1 }

const (
	tailVersion  = 2
	withoutRungs = 1               // which begin nominal
	tailSize     = 1 + (6+rungs)*8 // a byte and the floats
)

// AppendBinary appends the state, 81 bytes.
func (t *Tail) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, tailVersion)
	for _, v := range [...]float64{t.n, t.t, t.mass, t.scale, t.shape, t.storm, t.rung[0], t.rung[1], t.rung[2], t.rung[3]} {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote. Other bytes are refused with an error that wraps detectors.ErrState, and leave t as
// it was.
func (t *Tail) UnmarshalBinary(b []byte) error {
	size := tailSize
	if len(b) > 0 && b[0] == withoutRungs {
		size -= rungs * 8
	}
	if len(b) != size {
		return fmt.Errorf("%w: tail of %d bytes, want %d", detectors.ErrState, len(b), size)
	}
	if b[0] != tailVersion && b[0] != withoutRungs {
		return fmt.Errorf("%w: tail of version %d, want %d", detectors.ErrState, b[0], tailVersion)
	}
	r := NewTail()
	for i, v := range [...]*float64{&r.n, &r.t, &r.mass, &r.scale, &r.shape, &r.storm, &r.rung[0], &r.rung[1], &r.rung[2], &r.rung[3]} {
		if 1+8*i == size {
			break
		}
		*v = math.Float64frombits(binary.LittleEndian.Uint64(b[1+8*i:]))
	}
	within := func(v, low, high float64) bool { return v >= low && v <= high } // false for NaN
	ok := within(r.n, priorN, maxSeen) && within(r.t, minT, maxT) && within(r.mass, minMass, maxMass) &&
		within(r.scale, minT*narrowest, maxT) && within(r.shape, 0, maxShape) && within(r.storm, 0, 1/calm)
	low := float64(base)
	for k, rung := range r.rung {
		ok = ok && within(rung, low+minStep, float64(base+1+k)+maxLift)
		low = rung
	}
	if !ok {
		return fmt.Errorf("%w: tail %+v is out of range", detectors.ErrState, r)
	}
	*t = r
	return nil
}
