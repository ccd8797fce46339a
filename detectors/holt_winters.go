package detectors

import (
	"errors"
	"math"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// HoltWintersConfig configures a HoltWinters.
type HoltWintersConfig struct {
	Season   int     `yaml:"season" jsonschema:"minimum=2,maximum=100000,default=24" jsonschema_description:"Points in a season: 24 for hourly points that repeat every day. Two seasons are learned before the first score."`
	Level    float64 `yaml:"level" jsonschema:"exclusiveMinimum=0,maximum=1,default=0.1" jsonschema_description:"How much of an error of the forecast the level takes on at once."`
	Trend    float64 `yaml:"trend" jsonschema:"minimum=0,maximum=1,default=0.01" jsonschema_description:"How much of the level's step the trend takes on; 0 is no trend."`
	Seasonal float64 `yaml:"seasonal" jsonschema:"minimum=0,maximum=1,default=0.1" jsonschema_description:"How much of what the level leaves of an error this place of the season takes on."`
	Damping  float64 `yaml:"damping" jsonschema:"minimum=0,maximum=1,default=0.98" jsonschema_description:"What is left of the trend a point later; 1 lets it run on."`
}

// New returns a HoltWinters for points of the given number of fields.
func (c *HoltWintersConfig) New(fields int) (Detector, error) {
	var errs []error
	if c.Season < 2 || c.Season > 100_000 {
		errs = append(errs, &invalid.Value{Name: "season", Value: c.Season, Want: "2 to 100000"})
	}
	if !(c.Level > 0 && c.Level <= 1) {
		errs = append(errs, &invalid.Value{Name: "level", Value: c.Level, Want: "> 0 and at most 1"})
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{"trend", c.Trend}, {"seasonal", c.Seasonal}, {"damping", c.Damping}} {
		if !(v.value >= 0 && v.value <= 1) {
			errs = append(errs, &invalid.Value{Name: v.name, Value: v.value, Want: "0 to 1"})
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	d := &HoltWinters{HoltWintersConfig: *c, normal: normal(fields), fields: make([]seasons, fields)}
	for i := range d.fields {
		d.fields[i].season = make([]float64, c.Season)
	}
	return d, nil
}

// HoltWinters scores a point by the largest error of a field's forecast in standard deviations of such errors. The forecast is a level, a
// trend that fades, and what this place of the season is above or below the level.
//
// Holt (1957, reprinted 2004), "Forecasting Seasonals and Trends by Exponentially Weighted Moving Averages", and Winters (1960), "Forecasting
// Sales by Exponentially Weighted Moving Averages", with an additive season and a damped trend, in the form of Gardner (2006), "Exponential
// Smoothing: The State of the Art, Part II", International Journal of Forecasting 22, table 2 (DA-A), by errors e:
//
//	forecast = level + φ·trend + season     level += φ·trend + α·e
//	trend = φ·trend + α·β·e                 season += γ·(1-α)·e
//
// Errors are learned as at most 3 standard deviations, so that a spike is not forecast again a season later (Gelper, Fried & Croux 2010,
// "Robust Forecasting with Exponential and Holt-Winters Smoothing", Journal of Forecasting 29).
type HoltWinters struct {
	HoltWintersConfig
	normal
	n      uint64 // points learned
	fields []seasons
}

// seasons are the model of one field, in its units.
type seasons struct {
	level    float64
	trend    float64   // per point
	variance float64   // of the forecast's error, squared
	season   []float64 // above the level; in the first season the values themselves
}

// place is where in the season the next point lies.
func (d *HoltWinters) place() int { return int(d.n % uint64(d.Season)) } //nolint:gosec // below Season

func (d *HoltWinters) ready() bool { return d.n >= 2*uint64(d.Season) } //nolint:gosec // positive

// forecast is what field i's next value should be.
func (d *HoltWinters) forecast(i int) float64 {
	f := &d.fields[i]
	return f.level + d.Damping*f.trend + f.season[d.place()]
}

// distance2 is the squared error of field i's forecast of x, in variances, at most MaxScore².
func (d *HoltWinters) distance2(i int, x float64) float64 {
	e := clip(x, huge) - d.forecast(i)
	if e == 0 {
		return 0
	}
	return min(e*e/d.fields[i].variance, MaxScore*MaxScore)
}

// Score returns the largest |error| / deviation of the fields. Where every forecast was right, a right one scores 0 and any other MaxScore.
func (d *HoltWinters) Score(p Point) (score float64, ok bool) {
	if !d.ready() {
		return 0, false
	}
	largest := 0.0
	for i := range d.fields {
		largest = max(largest, d.distance2(i, p.X[i]))
	}
	return math.Sqrt(largest), true
}

// Left implements Detector.
func (d *HoltWinters) Left() int { return left(2*uint64(d.Season), d.n) } //nolint:gosec // positive

// Learn takes p in. The first season is kept as it comes, and then is the season, around its mean as the level.
func (d *HoltWinters) Learn(p Point) {
	season := uint64(d.Season) //nolint:gosec // positive
	at := d.place()
	// The variance weighs the errors since the first season alike, and in the long run those of the last few seasons.
	a := 1 / float64(min(d.n-min(d.n, season)+1, 4*season))
	for i := range d.fields {
		f, x := &d.fields[i], clip(p.X[i], huge)
		if d.n < season {
			f.season[at] = x
			f.level += (x - f.level) / float64(d.n+1)
			if d.n+1 == season {
				for j := range f.season {
					f.season[j] -= f.level
				}
			}
			continue
		}
		e := x - d.forecast(i)
		if d.ready() && f.variance > 0 {
			e = clip(e, band*math.Sqrt(f.variance))
		}
		f.level = clip(f.level+d.Damping*f.trend+d.Level*e, 4*huge)
		f.trend = clip(d.Damping*f.trend+d.Level*d.Trend*e, 4*huge)
		f.season[at] = clip(f.season[at]+d.Seasonal*(1-d.Level)*e, 4*huge)
		f.variance += a * (min(e*e, huge*huge) - f.variance)
	}
	d.n++
}

// Bytes implements Detector.
func (d *HoltWinters) Bytes() int {
	return sizeOf[HoltWinters]() + len(d.fields)*(sizeOf[seasons]()+8*d.Season)
}

// Shares splits the score among the fields by their squared errors.
func (d *HoltWinters) Shares(p Point, shares []float64) {
	for i := range shares {
		shares[i] = d.distance2(i, p.X[i])
	}
	normalise(shares)
}

// Expect returns the field's forecast, and a band of three standard deviations of its errors on either side of it.
func (d *HoltWinters) Expect(_ Point, field int) (expected, low, high float64, ok bool) {
	expected = d.forecast(field)
	half := band * math.Sqrt(d.fields[field].variance)
	return expected, expected - half, expected + half, d.ready()
}

const holtWintersVersion = 1

// AppendBinary appends version, points learned, and each field's model: 9 bytes, and 24 and 8 a point of the season for each field.
func (d *HoltWinters) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, holtWintersVersion)
	b = appendCount(b, d.n)
	for _, f := range d.fields {
		b = appendFloat64(appendFloat64(appendFloat64(b, f.level), f.trend), f.variance)
		for _, s := range f.season {
			b = appendFloat64(b, s)
		}
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *HoltWinters) UnmarshalBinary(b []byte) error {
	r := newReader(b, holtWintersVersion)
	d.n = r.count()
	for i := range d.fields {
		f := &d.fields[i]
		f.level, f.trend, f.variance = r.float64(-4*huge, 4*huge), r.float64(-4*huge, 4*huge), r.float64(0, huge*huge)
		for j := range f.season {
			f.season[j] = r.float64(-4*huge, 4*huge)
		}
	}
	return r.end()
}
