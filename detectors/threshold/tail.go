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
	alarmP = 1e-4 // rarer points weigh the less, the sooner one comes after another

	rest        = 128      // points after one beyond alarmP, until the next weighs in full
	leastWeight = 1.0 / 64 // of a point in a storm, so that a storm without end is learned

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
	judges  = 2    // rungs that judge the law: the others are rarer than what it is learned of
	judging = 1000 // points that still weigh in a law that is proven wrong: of so many one lies beyond the last of the judges
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
// which leaves the law unbiased; those beyond 1 in 10,000 weigh the less, the sooner one comes after another; and a rung rises by a decade at
// most. What would lift it further, point by point, is another law than was learned, which is then forgotten the faster.
//
// A Tail is 40 bytes, never allocates, and belongs to one goroutine at a time. Its numbers are short: the smallest step of one, gain·log10(e) or
// 2·10^-5 of it, is hundreds of times its last digit. Only a rung falls by less, by 7·10^-7 decades, and so is in fixed point.
type Tail struct {
	n     uint32      // points that weigh, the nominal law's included
	t     float32     // decades
	mass  float32     // share of points above t + gap*scale, where the tail starts; lower than level where many points share t
	scale float32     // of the excess over that start, in decades
	shape float32     // of the excess, in [0, maxShape]; 0 is an exponential law
	storm float32     // points left of the rest after one beyond alarmP
	rung  [rungs]rung // by the law above of 2, 3, 4 and 5, increasing
}

// rung is a number of decades below 8, in fixed point.
type rung uint32

const rungUnit = 1.0 / (1 << 29) // decades

func newRung(decades float64) rung { return rung(decades/rungUnit + 0.5) }

func (r rung) decades() float64 { return float64(r) * rungUnit }

// Of each rung: the share of points beyond it, and how many points weigh. A point need not work them out.
var (
	rungShare = [rungs]float64{1e-2, 1e-3, 1e-4, 1e-5}
	rungWeigh = [rungs]float64{max(fewest, beyond/1e-2), max(fewest, beyond/1e-3), max(fewest, beyond/1e-4), max(fewest, beyond/1e-5)}
)

// levelDecades is level in decades, which each point wants.
var levelDecades = -math.Log10(level)

// NewTail returns the nominal law.
func NewTail() Tail {
	return Tail{
		n: priorN, t: float32(levelDecades), mass: float32(level * math.Exp(-gap)), scale: math.Log10E,
		rung: [rungs]rung{newRung(2), newRung(3), newRung(4), newRung(5)},
	}
}

// Decades returns -log10 of the estimated probability of a point with at least u decades. It increases strictly from 0 at 0, but ends
// at 300.
func (t *Tail) Decades(u float64) float64 {
	d := t.byLaw(u)
	if d <= base {
		return d
	}
	k, low := 0, float64(base)
	for k < rungs && d > t.rung[k].decades() {
		low = t.rung[k].decades()
		k++
	}
	d -= low
	if k < rungs {
		d /= t.rung[k].decades() - low
	}
	return min(d+float64(base+k), maxDecades)
}

// byLaw is Decades without the rungs, and without an end.
func (t *Tail) byLaw(u float64) float64 {
	from := float64(t.t)
	if u <= from {
		return max(0, u/from*levelDecades)
	}
	atStart := -math.Log10(float64(t.mass))
	z := (u-from)/float64(t.scale) - gap
	if z <= 0 {
		return atStart + z/gap*(atStart-levelDecades)
	}
	return atStart + t.exponent(z)*math.Log10E
}

// Ordinary says whether u lies where nine points in ten do. Their Decades are at most 1, and Learn makes no difference between them.
func (t *Tail) Ordinary(u float64) bool { return u <= float64(t.t) }

// At returns the u that a share p of the points reaches, in (0, 1]: for a rate of false alarms p it is the limit.
func (t *Tail) At(p float64) float64 {
	d := -math.Log10(max(p, minP))
	if d <= base {
		return t.lawAt(d)
	}
	k, low := min(int(d)-base, rungs), float64(base)
	if k > 0 {
		low = t.rung[k-1].decades()
	}
	d -= float64(base + k)
	if k < rungs {
		d *= t.rung[k].decades() - low
	}
	return t.lawAt(low + d)
}

// lawAt is the inverse of byLaw.
func (t *Tail) lawAt(d float64) float64 {
	if d <= levelDecades {
		return float64(t.t) * d / levelDecades
	}
	mass := float64(t.mass)
	y := d*math.Ln10 + math.Log(mass)
	z := gap + gap*y/math.Log(level/mass)
	if y > 0 {
		z = gap + t.excess(y)
	}
	return float64(t.t) + z*float64(t.scale)
}

// exponent returns -ln of the probability of an excess of more than z scales, given that there is one.
func (t *Tail) exponent(z float64) float64 {
	if t.shape < minShape {
		return z
	}
	k := float64(t.shape)
	return math.Log1p(k*z) / k
}

// excess is the inverse of exponent.
func (t *Tail) excess(y float64) float64 {
	if t.shape < minShape {
		return y
	}
	k := float64(t.shape)
	return math.Expm1(min(k*y, maxLog)) / k
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
	if t.storm > 0 {
		t.storm = max(t.storm-1, 0)
	}
	t.climb(t.byLaw(u))
	gain := 1 / float64(min(t.n, maxN))
	t.n = min(t.n+1, maxSeen)
	from, mass := float64(t.t), float64(t.mass)
	// The gain of a quantile is best at 1/density, here that of an exponential law through (t, level).
	if u <= from {
		t.t = float32(max(from*(1-gain*math.Log10E), minT))
		t.mass = float32(max(mass*(1-gain), minMass))
		return
	}
	z := (u-from)/float64(t.scale) - gap
	if z <= 0 {
		t.mass = float32(max(mass*(1-gain), minMass))
	} else {
		y := t.exponent(z)
		if y > math.Log(mass/alarmP) {
			gain *= max(t.weight(), leastWeight)
			t.storm = rest
		}
		t.learnExcess(z, y, min(gain/mass, 1/(priorN*level)))
		t.mass = float32(min(mass+gain*(1-mass), maxMass))
	}
	t.t = float32(min(from*(1+gain*math.Log10E*(1-level)/level), maxT))
}

// weight is that of a point beyond alarmP: the square of the gap since the last one, in rests. The gaps in a clump are all short; those between
// independent points, however many a heavier law sends, are as an exponential law draws them, and many a one is long (Ferro & Segers 2003, "Inference
// for Clusters of Extreme Values", JRSS B 65(2)).
func (t *Tail) weight() float64 {
	gap := 1 - float64(t.storm)/rest
	return gap * gap
}

// climb moves the rungs as a point of d decades by the law has them move. A rung takes those above it along: what is rarer is known
// from fewer points. The decades by which one of the judges would rise too far are taken off n, twice: an old t wears off only
// as n^-log10(e), less than the root of n.
func (t *Tail) climb(d float64) {
	low, shift, excess := float64(base), 0.0, 0.0
	n := float64(t.n)
	for k := range t.rung {
		p := rungShare[k]
		gain := hurry * math.Log10E / (2 + p*min(n, rungWeigh[k]))
		was := t.rung[k].decades()
		reached := d >= was
		if reached {
			shift += gain * t.weight() * (1 - p)
		} else {
			shift -= gain * p
		}
		next := was + shift
		if least := low + minStep; next < least {
			next = least
		}
		if most := mostRung(k); next > most {
			if k < judges && reached {
				excess = max(excess, next-most)
			}
			next = most
		}
		shift = next - was
		t.rung[k], low = newRung(next), next
	}
	if excess > 0 && t.n > judging {
		t.n = max(judging, uint32(n*math.Pow(10, -2*excess)))
	}
}

// mostRung is the decades that rung k rises to at most.
func mostRung(k int) float64 { return float64(base+1+k) + maxLift }

// learnExcess moves scale and shape by gain times the inverse Fisher information times the gradient of the log-likelihood of z, as in
// Smith (1984), "Threshold Methods for Sample Extremes", with k for the shape:
//
//	log f = -ln(scale) - (1+1/k)·ln(1+kz),  its integral from z on  log S = -1/k·ln(1+kz)
//	information for (ln scale, k) = 1/(1+2k) · | 1         1/(1+k) |
//	                                           | 1/(1+k)   2/(1+k) |
func (t *Tail) learnExcess(z, exponent, gain float64) {
	k := float64(t.shape)
	rare := math.Log(float64(t.mass) / rareP)
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
	t.shape = float32(shape)
	t.scale = float32(min(max(float64(t.scale)*math.Exp(step), float64(t.t)*narrowest), maxT))
}

// Bytes implements Law.
func (t *Tail) Bytes() int { return tailSize - 1 }

const (
	tailVersion = 3
	tailSize    = 1 + (6+rungs)*4
)

// AppendBinary appends the state, 41 bytes.
func (t *Tail) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, tailVersion)
	b = binary.LittleEndian.AppendUint32(b, t.n)
	for _, v := range [...]float32{t.t, t.mass, t.scale, t.shape, t.storm} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	for _, r := range t.rung {
		b = binary.LittleEndian.AppendUint32(b, uint32(r))
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote. Other bytes are refused with an error that wraps detectors.ErrState, and leave t as
// it was.
func (t *Tail) UnmarshalBinary(b []byte) error {
	if len(b) != tailSize || b[0] != tailVersion {
		return fmt.Errorf("%w: tail of %d bytes that begin with %x, want %d of version %d", detectors.ErrState, len(b), b[:min(1, len(b))], tailSize, tailVersion)
	}
	r := readTail(b[1:])
	if !r.sound() {
		return fmt.Errorf("%w: tail %+v is out of range", detectors.ErrState, r)
	}
	*t = r
	return nil
}

func readTail(b []byte) (t Tail) {
	word := func(i int) uint32 { return binary.LittleEndian.Uint32(b[4*i:]) }
	t.n = word(0)
	for i, v := range [...]*float32{&t.t, &t.mass, &t.scale, &t.shape, &t.storm} {
		*v = math.Float32frombits(word(1 + i))
	}
	for k := range t.rung {
		t.rung[k] = rung(word(6 + k))
	}
	return t
}

// sound says whether all is within the bounds that Learn keeps, as they are in so few digits.
func (t *Tail) sound() bool {
	within := func(v, low, high float32) bool { return v >= low && v <= high } // false for NaN
	ok := t.n >= priorN && t.n <= maxSeen && within(t.t, minT, maxT) && within(t.mass, minMass, maxMass) &&
		within(t.scale, minT*narrowest, maxT) && within(t.shape, 0, maxShape) && within(t.storm, 0, rest)
	low := float64(base)
	for k, r := range t.rung {
		d := r.decades()
		ok = ok && d >= low+minStep-rungUnit && d <= mostRung(k)
		low = d
	}
	return ok
}
