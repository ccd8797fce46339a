package detectors

import (
	"math"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// MetricConfig configures a Metric.
type MetricConfig struct {
	Zone string `yaml:"zone" jsonschema:"default=UTC" jsonschema_description:"IANA time zone whose hours and weekdays the values follow, for example Europe/Berlin."`
}

// New returns a Metric for points of the given number of fields.
func (c *MetricConfig) New(fields int) (Detector, error) {
	refused := &invalid.Value{Name: "zone", Value: c.Zone, Want: "an IANA time zone such as UTC or Europe/Berlin"}
	if c.Zone == "" || c.Zone == "Local" { // both mean something to time, but not the same on every machine
		return nil, refused
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return nil, refused
	}
	return &Metric{zone: zone, fields: make([]metricField, fields)}, nil
}

// Metric scores a metric by the surprise of its values, in decades summed over channels: roughly, how many independent one-in-ten
// coincidences it would take. On noise of whatever law about 1 point in 500 scores 4.5 or more.
//
// It watches two views of each field, the value and its departure from what the calendar expects, as means of the last 1, 4 and 16
// points. What counts is the distance of such a mean from the nearest it remembers, the size of the departure, and the length of a run
// of equal values, each by its rank among those of the last 20,000 points: no scale, season or distribution is assumed. Lengths
// are points, so that a series should come at a steady pace. Of several fields the highest score is taken.
//
// The memory of values is close in spirit to KNN-CAD (Burnaev and Ishimtsev 2016, "Conformalized density- and distance-based anomaly
// detection in time-series data", arXiv:1608.04585), reduced to one dimension.
type Metric struct {
	zone   *time.Location
	fields []metricField
}

// metricWarmUp is the number of points before the first that can score: the tails must hold as many as the smaller of the members'
// ranks, and their first number comes with point settle+1.
const metricWarmUp = settle + 1 + 16

// Score returns the highest of the fields' surprises, 0 to 39.
func (d *Metric) Score(p Point) (score float64, ok bool) {
	day, week := hours(p.Time, d.zone)
	for i := range d.fields {
		l := d.fields[i].look(day, week, p.X[i])
		score = max(score, l.score)
		ok = l.next.row > metricWarmUp
	}
	return score, ok
}

// Learn takes p in.
func (d *Metric) Learn(p Point) {
	day, week := hours(p.Time, d.zone)
	for i := range d.fields {
		d.fields[i].learn(day, week, p.X[i])
	}
}

// Bytes implements Detector.
func (d *Metric) Bytes() int { return sizeOf[Metric]() + len(d.fields)*sizeOf[metricField]() }

// Shares splits the score among the fields by their own scores.
func (d *Metric) Shares(p Point, shares []float64) {
	day, week := hours(p.Time, d.zone)
	for i := range d.fields {
		l := d.fields[i].look(day, week, p.X[i])
		shares[i] = l.score
	}
	normalise(shares)
}

// bandOfMean is three standard deviations of normal departures in terms of their mean size, sqrt(2/π) of one, and a third more because
// the expectation is the nearer of two.
const bandOfMean = 5

// Expect returns what the calendar expects at p's time, of the two means it knows the one nearer to p, and a band of five times the
// departures' mean size on either side of it.
func (d *Metric) Expect(p Point, field int) (expected, low, high float64, ok bool) {
	f := &d.fields[field]
	day, week := hours(p.Time, d.zone)
	expected = f.calendar.expect(day, week, p.X[field], f.local)
	half := max(bandOfMean*f.departure, f.floor())
	return expected, expected - half, expected + half, f.row > 0
}

// Reason names the channel that contributes most to the field's score.
func (d *Metric) Reason(p Point, field int) string {
	day, week := hours(p.Time, d.zone)
	l := d.fields[field].look(day, week, p.X[field])
	return d.fields[field].reason(&l)
}

// A score s is reached by a share 10^-(decadesOfOne · s^decadesPower) of the points of noise. There is no theory for sums of dependent
// ranks: the two are a fit to runs of 60,000 points of autoregressive (.95), log-normal and Student t2 noise, good to 0.3 decades
// between scores of 0.5 and 15. White noise and counts score less, a random walk more.
const (
	decadesOfOne = 1.9
	decadesPower = 0.28
)

// Ranked says that the law holds as it is: every surprise is a rank among the series' own.
func (d *Metric) Ranked() {}

// Decades is the fit above.
func (d *Metric) Decades(score float64) float64 {
	return decadesOfOne * math.Pow(min(max(score, 0), MaxScore), decadesPower)
}

// ScoreAt is the inverse of Decades.
func (d *Metric) ScoreAt(decades float64) float64 {
	return min(math.Pow(max(decades, 0)/decadesOfOne, 1/decadesPower), MaxScore)
}

const metricVersion = 1

// AppendBinary appends version and the fields' states: 1.5 KB each at first, 8 to 11 KB when they have learned.
func (d *Metric) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, metricVersion)
	for i := range d.fields {
		b = d.fields[i].append(b)
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *Metric) UnmarshalBinary(b []byte) error {
	r := newReader(b, metricVersion)
	for i := range d.fields {
		d.fields[i].read(r)
	}
	return r.end()
}
