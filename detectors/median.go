package detectors

import (
	"math"
	"slices"
	"sort"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// MedianConfig configures a Median.
type MedianConfig struct {
	Window int `yaml:"window" jsonschema:"minimum=5,maximum=10001,default=101" jsonschema_description:"Newest points that median and spread are taken of; as many are learned before the first score."`
}

// New returns a Median for points of the given number of fields.
func (c *MedianConfig) New(fields int) (Detector, error) {
	if c.Window < 5 || c.Window > 10001 {
		return nil, &invalid.Value{Name: "window", Value: c.Window, Want: "5 to 10001"}
	}
	d := &Median{normal: normal(fields), window: c.Window, fields: make([]ordered, fields)}
	for i := range d.fields {
		d.fields[i] = ordered{ring: make([]float64, 0, c.Window), sorted: make([]float64, 0, c.Window)}
	}
	return d, nil
}

// Median scores a point by the largest distance of a field from the median of its newest values, in robust standard deviations: nearly half
// of the window may be anomalies before they move it.
//
// Hampel (1974), "The Influence Curve and Its Role in Robust Estimation", JASA 69, section 4, over a moving window: Pearson (2002), "Outliers
// in Process Modeling and Identification", IEEE TCST 10(1).
type Median struct {
	normal
	window int    // points
	n      uint64 // points learned
	fields []ordered
}

// ordered are the newest values of a field.
type ordered struct {
	ring   []float64 // by time: the oldest at n mod window once it is full
	sorted []float64
}

// Factors that make a spread a standard deviation, if the values are normal.
const (
	ofMedianDeviation = 1.482602218505602  // 1/Φ⁻¹(3/4), of the median absolute deviation
	ofMeanDeviation   = 1.2533141373155003 // √(π/2), of the mean absolute deviation
)

// centre returns the median and the robust standard deviation: 1.48 times the median absolute deviation, or where that is zero, because
// more than half of the values are one, 1.25 times the mean absolute deviation (Iglewicz & Hoaglin 1993, "How to Detect and Handle
// Outliers", section 3.3).
func (o *ordered) centre() (median, spread float64) {
	s := o.sorted
	half := len(s) / 2
	median = s[half]
	// The values nearest to the median lie around it: the one of middle rank is found from there outwards.
	low, high, distance := half, half+1, 0.0
	for range half + 1 {
		switch {
		case high == len(s) || low >= 0 && median-s[low] <= s[high]-median:
			distance = median - s[low]
			low--
		default:
			distance = s[high] - median
			high++
		}
	}
	if distance > 0 {
		return median, ofMedianDeviation * distance
	}
	sum := 0.0
	for _, x := range s {
		sum += math.Abs(x - median)
	}
	return median, ofMeanDeviation * sum / float64(len(s))
}

// distance is that of x from the median in robust standard deviations, at most MaxScore.
func (o *ordered) distance(x float64) float64 {
	median, spread := o.centre()
	delta := math.Abs(clip(x, huge) - median)
	if delta == 0 {
		return 0
	}
	return min(delta/spread, MaxScore)
}

// learn puts x in place of the oldest.
func (o *ordered) learn(x float64, at, window int) {
	x = clip(x, huge) + 0 // no -0, which sorts otherwise than it compares
	if len(o.ring) < window {
		o.ring = append(o.ring, x)
	} else {
		i := sort.SearchFloat64s(o.sorted, o.ring[at])
		o.sorted = slices.Delete(o.sorted, i, i+1)
		o.ring[at] = x
	}
	o.sorted = slices.Insert(o.sorted, sort.SearchFloat64s(o.sorted, x), x)
}

// Score returns the largest distance of a field.
func (d *Median) Score(p Point) (score float64, ok bool) {
	if d.n < uint64(d.window) { //nolint:gosec // positive
		return 0, false
	}
	for i := range d.fields {
		score = max(score, d.fields[i].distance(p.X[i]))
	}
	return score, true
}

// Left implements Detector.
func (d *Median) Left() int { return left(uint64(d.window), d.n) } //nolint:gosec // positive

// Learn takes p in.
func (d *Median) Learn(p Point) {
	at := int(d.n % uint64(d.window)) //nolint:gosec // below the window
	for i := range d.fields {
		d.fields[i].learn(p.X[i], at, d.window)
	}
	d.n++
}

// Bytes implements Detector.
func (d *Median) Bytes() int {
	return sizeOf[Median]() + len(d.fields)*(sizeOf[ordered]()+16*d.window)
}

// Shares splits the score among the fields by their squared distances.
func (d *Median) Shares(p Point, shares []float64) {
	for i := range shares {
		shares[i] = 0
		if len(d.fields[i].ring) > 0 {
			z := d.fields[i].distance(p.X[i])
			shares[i] = z * z
		}
	}
	normalise(shares)
}

// Expect returns the field's median, and a band of three robust standard deviations on either side of it.
func (d *Median) Expect(_ Point, field int) (expected, low, high float64, ok bool) {
	if d.n < uint64(d.window) { //nolint:gosec // positive
		return 0, 0, 0, false
	}
	median, spread := d.fields[field].centre()
	return median, median - band*spread, median + band*spread, true
}

const medianVersion = 1

// AppendBinary appends version, points learned, and each field's values in the order of the ring: 9 bytes and 8 a value.
func (d *Median) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, medianVersion)
	b = appendCount(b, d.n)
	for _, f := range d.fields {
		for _, x := range f.ring {
			b = appendFloat64(b, x)
		}
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *Median) UnmarshalBinary(b []byte) error {
	r := newReader(b, medianVersion)
	d.n = r.count()
	n := int(min(d.n, uint64(d.window))) //nolint:gosec // at most the window
	for i := range d.fields {
		f := &d.fields[i]
		f.ring, f.sorted = f.ring[:n], f.sorted[:n]
		for j := range f.ring {
			f.ring[j] = r.float64(-huge, huge) + 0
		}
		copy(f.sorted, f.ring)
		slices.Sort(f.sorted)
	}
	return r.end()
}
