package threshold

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/gonomaly/gonomaly/detectors"
)

const (
	levels = 9   // rungs of a RankTail
	lowest = 1.0 // decades of the first
	apart  = 0.5 // decades from one to the next: the last is at 5

	young    = 600  // points that are not counted: until then a series that wanders has up to five times the alerts asked for (docs/metric.md)
	doubt    = 3    // points beyond a rung that the nominal law is worth: two standard errors, 2/√3 nats, are half a decade
	proof    = 3    // standard errors that a rung must be off by, and is moved by less: a control chart's limits (Shewhart 1931)
	proofLow = 2    // the same where fewer points come than should: anomalies among them can make more of them, and never fewer
	counted  = 100  // points expected beyond a rung that weigh: it follows a change of law within so many
	maxRaise = 0.5  // decades: a rank is no rarer than what is remembered allows, so that where none was seen is little evidence
	clump    = 3    // rung beyond which points make clumps, at 2.5 decades: any that may be told of is beyond it
	clumps   = 12   // points beyond it, besides those of doubt, after which half of a usual clump is known
	leastOf  = 1e-6 // times as many as should
	mostOf   = 1e5  // the same: all points beyond the last rung
	mostSeen = 1e7  // points: counted of them lie beyond the last rung

	calm = 1.0 / 128 // share of a storm that a point ends
)

// RankTail estimates the law of the decades u of one series' scores that are made of ranks among its own past (detectors.Ranked). Such a law
// begins nearly right, whatever the points' distribution, and goes wrong in steps: what is remembered bounds the smallest p-value, points
// that are alike share a rank, and a series that wanders leaves behind what is remembered. So no shape is fitted to it; it is counted.
//
// At each rung, from 1 to 5 decades, it is counted how many times as many points come as should. The nominal law is worth a few points, as the
// prior of a Poisson rate that is a gamma law (Gelman et al. 2013, "Bayesian Data Analysis", 3rd ed., section 2.6), and a rung moves by what
// lies outside the count's error. So a rung that is rare is believed until it is known. The first points are not counted: to a young series
// all is new.
//
// The anomalies themselves are among the points, and come in clumps; so do the ordinary points of a series that wanders. A point weighs the
// less, the more came lately than is usual in this series where one comes: the k-th of a first clump 1/k.
//
// A RankTail is 96 bytes, never allocates, and belongs to one goroutine at a time.
type RankTail struct {
	n     float64         // points that weigh; below 0, those that are still to come before the first
	times [levels]float64 // points that reach a rung, for each that should
	storm float64         // points beyond the rung clump, fading
	usual float64         // what storm is where such a point comes
}

// NewRankTail returns the nominal law.
func NewRankTail() RankTail {
	t := RankTail{n: -young}
	for k := range t.times {
		t.times[k] = 1
	}
	return t
}

// shares are those of the points that should reach each rung.
var shares = func() (p [levels]float64) {
	for k := range p {
		p[k] = math.Pow(10, -(lowest + apart*float64(k)))
	}
	return p
}()

// expected is the number of points that should have reached rung k, of those that weigh.
func (t *RankTail) expected(k int) float64 {
	return min(max(t.n, 0)*shares[k], max(counted, fewest*shares[k]))
}

// lift is by how many decades fewer points at rung k are worth than its own: the excess, as far as it is beyond the count's error, which of N
// points is 1/√N nats.
func (t *RankTail) lift(k int) float64 {
	excess, errors := math.Log10(t.times[k]), float64(proof)
	if excess < 0 {
		errors = proofLow
	}
	return math.Copysign(max(math.Abs(excess)-errors*math.Log10E/math.Sqrt(t.times[k]*(t.expected(k)+doubt)), 0), excess)
}

// Decades returns -log10 of the estimated probability of a point with at least u decades. It increases strictly from 0 at 0, but ends
// at 300.
//
// Between two rungs it rises as the nominal law does, or more slowly: where few points reach the upper one, most may lie just below it.
func (t *RankTail) Decades(u float64) float64 {
	at, decades := 0.0, 0.0
	for k := range t.times {
		next := lowest + apart*float64(k)
		reached := max(next-t.lift(k), decades+minStep)
		if u < next {
			decades += (u - at) * min(1, (reached-decades)/(next-at))
			return min(decades, u+maxRaise)
		}
		at, decades = next, reached
	}
	return min(decades+u-at, u+maxRaise, maxDecades)
}

// At is the inverse of Decades: the least u whose probability is at most p, in (0, 1]: for a rate of false alarms p it is the limit.
func (t *RankTail) At(p float64) float64 {
	wanted := -math.Log10(max(p, minP))
	at, decades := 0.0, 0.0
	for k := range t.times {
		next := lowest + apart*float64(k)
		reached := max(next-t.lift(k), decades+minStep)
		if wanted <= reached {
			u := at + (wanted-decades)/min(1, (reached-decades)/(next-at))
			return max(min(u, next), wanted-maxRaise)
		}
		at, decades = next, reached
	}
	return max(at+wanted-decades, wanted-maxRaise)
}

// Learn takes in a point's decades.
func (t *RankTail) Learn(u float64) {
	if t.n < 0 {
		t.n++
		return
	}
	t.storm -= t.storm * calm
	weight := 1.0
	if u >= lowest+apart*clump {
		weight = (1 + t.usual) / (1 + max(t.storm, t.usual))
		seen := t.times[clump] * (t.expected(clump) + doubt)
		t.usual += weight / (seen + weight + clumps) * (t.storm - t.usual)
		t.storm++
	}
	t.n = min(t.n+weight, mostSeen)
	for k, p := range shares {
		came := 0.0
		if u >= lowest+apart*float64(k) {
			came = 1
		}
		t.times[k] = max(t.times[k]+weight*(came-p*t.times[k])/(t.expected(k)+doubt), leastOf)
	}
}

// Ordinary says of nothing that it is: what a rung is worth, only the count of it tells.
func (t *RankTail) Ordinary(float64) bool { return false }

// Bytes implements Law.
func (t *RankTail) Bytes() int { return rankTailSize - 1 }

const (
	rankTailVersion = 1
	rankTailSize    = 1 + (3+levels)*8 // a byte and the floats
)

// AppendBinary appends the state, 97 bytes.
func (t *RankTail) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, rankTailVersion)
	for _, v := range [...]float64{t.n, t.storm, t.usual} {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	for _, v := range t.times {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote. Other bytes are refused with an error that wraps detectors.ErrState, and leave t as
// it was.
func (t *RankTail) UnmarshalBinary(b []byte) error {
	if len(b) != rankTailSize {
		return fmt.Errorf("%w: law of ranks of %d bytes, want %d", detectors.ErrState, len(b), rankTailSize)
	}
	if b[0] != rankTailVersion {
		return fmt.Errorf("%w: law of ranks of version %d, want %d", detectors.ErrState, b[0], rankTailVersion)
	}
	var r RankTail
	at := 1
	next := func(low, high float64) (v float64, ok bool) {
		v = math.Float64frombits(binary.LittleEndian.Uint64(b[at:]))
		at += 8
		return v, v >= low && v <= high // false for NaN
	}
	var ok [3 + levels]bool
	r.n, ok[0] = next(-young, mostSeen)
	r.storm, ok[1] = next(0, 1/calm)
	r.usual, ok[2] = next(0, 1/calm)
	for k := range r.times {
		r.times[k], ok[3+k] = next(leastOf, mostOf)
	}
	for _, within := range ok {
		if !within {
			return fmt.Errorf("%w: law of ranks %+v is out of range", detectors.ErrState, r)
		}
	}
	*t = r
	return nil
}
