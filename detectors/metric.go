package detectors

import "math"

// MetricConfig configures a Metric.
type MetricConfig struct {
	Zone     string   `yaml:"zone" jsonschema:"default=UTC" jsonschema_description:"IANA time zone whose hours and weekdays the values follow, for example Europe/Berlin."`
	Holidays []string `yaml:"holidays" jsonschema_description:"Dates by the zone's clock, such as 2026-12-25, whose hours are those of a Sunday."`
	Counter  bool     `yaml:"counter" jsonschema:"default=false" jsonschema_description:"The values are counters, which only grow until they are reset: what is judged is their increase per second since the point before."`
}

// New returns a Metric for points of the given number of fields.
func (c *MetricConfig) New(fields int) (Detector, error) {
	clock, err := newClock(c.Zone, c.Holidays)
	if err != nil {
		return nil, err
	}
	d := &Metric{clock: clock, fields: make([]metricField, fields)}
	if c.Counter {
		d.counters = &counters{before: make([]float64, fields)}
	}
	return d, nil
}

// Metric scores a metric by the surprise of its values, in decades summed over channels: roughly, how many independent one-in-ten
// coincidences it would take. On noise of whatever law about 1 point in 1,000 scores 5 or more, and 1 in 10,000 11 or more.
//
// It watches two views of each field, the value and its departure from what the calendar expects, as means of the last 1, 4 and 16
// points. What counts is the distance of such a mean from the nearest it remembers, the size of the departure, and the length of a run
// of equal values, each by its rank among those of the last 20,000 points: no scale, season or distribution is assumed. A run scores
// the higher the longer it is than those before, so that a sensor which is stuck is found by that alone. Lengths are points, so that a
// series should come at a steady pace. What is no more than an hour of the day brings on most days counts little; see routine. Of several fields the
// highest score is taken.
//
// The memory of values is close in spirit to KNN-CAD (Burnaev and Ishimtsev 2016, "Conformalized density- and distance-based anomaly
// detection in time-series data", arXiv:1608.04585), reduced to one dimension.
type Metric struct {
	clock    clock
	fields   []metricField
	counters *counters // nil where the values are judged as they are
}

// metricWarmUp is the number of points before the first that can score: the tails must hold as many numbers as the smaller of the members'
// ranks, and their first comes with point settle+1.
const metricWarmUp = settle + 1 + 16

// Score returns the highest of the fields' surprises, 0 to 43.
func (d *Metric) Score(p Point) (score float64, ok bool) {
	if !d.counters.count(p) {
		return 0, false
	}
	day, week := d.clock.hours(p.Time)
	for i := range d.fields {
		f := &d.fields[i]
		l := f.look(day, week, d.counters.value(p, i))
		score = max(score, f.score(l))
		ok = l.next.row > metricWarmUp
	}
	return score, ok
}

// Learn takes p in.
func (d *Metric) Learn(p Point) {
	if d.counters.count(p) {
		day, week := d.clock.hours(p.Time)
		for i := range d.fields {
			d.fields[i].learn(day, week, d.counters.value(p, i))
		}
	}
	d.counters.learn(p)
}

// Left implements Detector.
func (d *Metric) Left() int {
	first := uint64(0)
	if d.counters != nil && !d.counters.known {
		first = 1 // nothing is judged of it
	}
	return left(metricWarmUp+first, d.fields[0].row)
}

// Bytes implements Detector.
func (d *Metric) Bytes() int {
	return sizeOf[Metric]() + 8*len(d.clock.holidays) + len(d.fields)*sizeOf[metricField]() + d.counters.bytes()
}

// Shares splits the score among the fields by their own scores.
func (d *Metric) Shares(p Point, shares []float64) {
	day, week := d.clock.hours(p.Time)
	for i := range d.fields {
		f := &d.fields[i]
		shares[i] = f.score(f.look(day, week, d.counters.value(p, i)))
	}
	normalise(shares)
}

// bandOfMean is three standard deviations of normal departures in terms of their mean size, sqrt(2/π) of one, and a third more because
// the expectation is the nearer of two.
const bandOfMean = 5

// Expect returns what the calendar expects at p's time, of the two means it knows the one nearer to p, and a band of five times the
// departures' mean size at such an hour on either side of it, but not below zero where no value was. Of a counter it is where that increase would have brought it.
func (d *Metric) Expect(p Point, field int) (expected, low, high float64, ok bool) {
	f := &d.fields[field]
	day, week := d.clock.hours(p.Time)
	expected = f.origin + f.expect(day, week, d.counters.value(p, field)-f.origin)
	half := max(bandOfMean*f.departure/f.rhythm.weight(week), f.floor())
	low, high = expected-half, expected+half
	if low < 0 && f.positive() {
		low = min(0, expected)
	}
	at := func(x float64) float64 { return d.counters.at(p, field, x) }
	return at(expected), at(low), at(high), f.row > 0 && d.counters.count(p)
}

// Reason names the channel that contributes most to the field's score.
func (d *Metric) Reason(p Point, field int) string {
	day, week := d.clock.hours(p.Time)
	f := &d.fields[field]
	words := f.reason(f.look(day, week, d.counters.value(p, field)))
	if d.counters != nil {
		words = "of its increase per second, " + words
	}
	return words
}

// A score s is reached by a share 10^-(decadesOfOne · s^decadesPower) of the points of noise, up to a score of steady; from there on each
// point of score is worth as much as there. There is no theory for sums of dependent ranks: this is a fit to the median of fourteen laws,
// from bounded and normal noise to autoregressive (.99), Student t2 and Pareto 1, over 100,000 points each. One law differs from it by
// less than half a decade between 0.5 and 5; beyond, heavy tails keep to it, and light ones score less.
const (
	decadesOfOne = 1.9
	decadesPower = 0.28
	steady       = 5.0
)

// Ranked says that every surprise is a rank among the series' own.
func (d *Metric) Ranked() {}

// Decades is the fit above for one field. Of k fields, the highest of whose scores is taken, at least one reaches s by itself with the probability
// 1 - (1 - p)^k where they are independent, and with less where they are not (Šidák 1967, "Rectangular Confidence Regions for the Means of
// Multivariate Normal Distributions", JASA 62(318)).
func (d *Metric) Decades(score float64) float64 {
	score = min(max(score, 0), MaxScore)
	beyond := max(score-steady, 0)
	at := decadesOfOne * math.Pow(score-beyond, decadesPower)
	return ofAny(at+at*decadesPower/steady*beyond, len(d.fields))
}

// ScoreAt is the inverse of Decades.
func (d *Metric) ScoreAt(decades float64) float64 {
	decades = ofEach(decades, len(d.fields))
	at := decadesOfOne * math.Pow(steady, decadesPower)
	if decades > at {
		return min(steady+(decades-at)/(at*decadesPower/steady), MaxScore)
	}
	return math.Pow(max(decades, 0)/decadesOfOne, 1/decadesPower)
}

// vanishing is the decades from which on 1 - (1 - p)^k is k·p, as exactly as floats can tell.
const vanishing = 16

// ofAny returns the decades of 1 - (1 - p)^k, where those of p are given.
func ofAny(decades float64, k int) float64 {
	if k == 1 || decades > vanishing {
		return decades - math.Log10(float64(k))
	}
	return -math.Log10(-math.Expm1(float64(k) * math.Log1p(-math.Pow(10, -decades))))
}

// ofEach is the inverse of ofAny.
func ofEach(decades float64, k int) float64 {
	if each := decades + math.Log10(float64(k)); k == 1 || each > vanishing {
		return each
	}
	return -math.Log10(-math.Expm1(math.Log1p(-math.Pow(10, -max(decades, 0))) / float64(k)))
}

const (
	metricVersion  = 4
	withoutRoutine = 3 // the version before, which can be read as well
)

// AppendBinary appends version and the fields' states: 1.6 KB each at first, up to 7.9 KB when they have learned.
func (d *Metric) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, metricVersion)
	for i := range d.fields {
		b = d.fields[i].append(b)
	}
	return d.counters.append(b), nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *Metric) UnmarshalBinary(b []byte) error {
	version := byte(metricVersion)
	if len(b) > 0 && b[0] == withoutRoutine {
		version = withoutRoutine
	}
	r := newReader(b, version)
	for i := range d.fields {
		d.fields[i].read(r, version)
	}
	d.counters.read(r)
	return r.end()
}
