package pipeline

import (
	"fmt"
	"math"
	"strings"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/internal/figure"
)

// explain fills in what an alert says beyond its identity.
func (w *Worker) explain(a *Alert, s series, p point, v *verdict) {
	w.window(a, p)
	a.Score, a.Limit, a.PValue = v.score, v.limit(s), math.Pow(10, -v.surprise)
	a.Values = make(map[string]float64, len(w.fields))
	for i, f := range w.fields {
		a.Values[f] = p.x[i]
		if forecast, ok := w.forecast(s, p, i); ok {
			if a.Expected == nil {
				a.Expected = map[string]Forecast{}
			}
			a.Expected[f] = forecast
		}
	}
	for i := range s.detectors {
		if v.ready[i] {
			a.Detectors = append(a.Detectors, Vote{
				Kind: w.config.Detectors[i].Kind, Score: v.scores[i], PValue: math.Pow(10, -v.decades[i]), Fired: v.decades[i] >= v.wanted,
			})
		}
	}
	top := 0
	if shares := w.shares(s, p, v); shares != nil {
		a.Shares = make(map[string]float64, len(shares))
		for i, share := range shares {
			a.Shares[w.fields[i]] = share
			if share > shares[top] {
				top = i
			}
		}
	}
	a.Reason = w.reason(a, s, p, v, top)
}

// window says which window a point stands for.
func (w *Worker) window(a *Alert, p point) {
	if c := w.config.Window; c != nil && c.Every > 0 {
		a.Window = &WindowBounds{Start: utc(p.start), End: utc(p.time)}
	}
}

// shares splits the surprise among the fields: each detector's own split, weighed by how surprised it is and by how much it counts. It is
// nil when no detector can tell.
func (w *Worker) shares(s series, p point, v *verdict) []float64 {
	var shares []float64
	sum := 0.0
	for i := range s.detectors {
		e, ok := s.detectors[i].Detector.(detectors.Explainer)
		if !ok || !v.ready[i] || !(v.decades[i] > 0) {
			continue
		}
		if shares == nil {
			shares = make([]float64, len(w.fields))
		}
		own := make([]float64, w.width(i))
		e.Shares(detectors.Point{Time: p.time, X: w.columnsIn(i, p.x)}, own)
		weight := v.decades[i] * w.weights[i]
		for j, share := range own {
			shares[w.field(i, j)] += share * weight
		}
		sum += weight
	}
	for i := range shares {
		shares[i] /= sum
	}
	return shares
}

// forecast is what the first detector that can tell expected of a field.
func (w *Worker) forecast(s series, p point, field int) (Forecast, bool) {
	for i := range s.detectors {
		f, ok := s.detectors[i].Detector.(detectors.Forecaster)
		if !ok {
			continue
		}
		for j := range w.width(i) {
			if w.field(i, j) != field {
				continue
			}
			if expected, low, high, ok := f.Expect(detectors.Point{Time: p.time, X: w.columnsIn(i, p.x)}, j); ok {
				return Forecast{Value: expected, Low: low, High: high}, true
			}
		}
	}
	return Forecast{}, false
}

// unwanted says why alerts are not wanted for a point over the limit, if they are not: the field with the largest share lies on the side
// that was not asked for, or too near to what was expected.
func (w *Worker) unwanted(s series, p point, v *verdict) Untold {
	if w.config.Alert.Direction == Both && w.config.Alert.MinDeviation == (Deviation{}) {
		return ""
	}
	top := 0
	shares := w.shares(s, p, v)
	for i, share := range shares {
		if share > shares[top] {
			top = i
		}
	}
	f, ok := w.forecast(s, p, top)
	switch {
	case !ok:
		return ""
	case !w.config.Alert.Direction.has(p.x[top] >= f.Value):
		return Opposite
	case !w.config.Alert.MinDeviation.enough(p.x[top], f.Value):
		return Slight
	}
	return ""
}

// reason is one plain sentence: what was seen, what was expected, how rare that is, and why the detector says so.
func (w *Worker) reason(a *Alert, s series, p point, v *verdict, top int) string {
	if f := v.outside; f != none {
		return w.fields[f] + " is " + w.validRange(f, p.x[f])
	}
	field := w.fields[top]
	var b strings.Builder
	if f, ok := a.Expected[field]; ok {
		value, expected, low, high := compared(p.x[top], f)
		fmt.Fprintf(&b, "%s is %s, expected %s (%s to %s)", field, value, expected, low, high)
	} else {
		fmt.Fprintf(&b, "%s is %s", field, figure.Short(p.x[top]))
	}
	if share := a.Shares[field]; share > 0 && len(a.Shares) > 1 {
		fmt.Fprintf(&b, ", %.0f %% of the score", 100*share)
	}
	if words := w.words(s, p, v, top); words != "" {
		fmt.Fprintf(&b, ": %s", words)
	}
	fmt.Fprintf(&b, "; %s scores so high", share(v.surprise))
	return b.String()
}

// words are those of the detector that adds most to the surprise and has any for the field.
func (w *Worker) words(s series, p point, v *verdict, field int) string {
	words, most := "", 0.0
	for i := range s.detectors {
		r, ok := s.detectors[i].Detector.(detectors.Reasoner)
		if !ok || !v.ready[i] || v.decades[i]*w.weights[i] <= most {
			continue
		}
		for j := range w.width(i) {
			if w.field(i, j) == field {
				words, most = r.Reason(detectors.Point{Time: p.time, X: w.columnsIn(i, p.x)}, j), v.decades[i]*w.weights[i]
			}
		}
	}
	return words
}

func driftReason(c Change) string {
	what := "mean"
	if c.Spread {
		what = "standard deviation"
	}
	before, after := figure.Apart(c.Before, c.After)
	return fmt.Sprintf("the %s of %s has changed from %s to %s, and stays there", what, c.Of, before, after)
}

// compared writes a value and what was expected of it, with as many digits as tell the bounds from what lies between them, and the value from the
// bound that it is beyond.
func compared(x float64, f Forecast) (value, expected, low, high string) {
	for digits := figure.Usual; ; digits++ {
		value, expected, low, high = figure.Written(x, digits), figure.Written(f.Value, digits), figure.Written(f.Low, digits), figure.Written(f.High, digits)
		if digits == figure.Exact || (low != expected || f.Low == f.Value) && (high != expected || f.High == f.Value) &&
			(value != low || x >= f.Low) && (value != high || x <= f.High) {
			return value, expected, low, high
		}
	}
}

// share says how many ordinary points are as surprising, in decades: with two digits, for more of it is not known.
func share(surprise float64) string {
	switch {
	case surprise >= 9:
		return "less than 1 ordinary point in a billion"
	case surprise >= 6:
		return "about 1 ordinary point in " + figure.Short(twoDigits(math.Pow(10, surprise-6))) + " million"
	}
	return "about 1 ordinary point in " + figure.Short(twoDigits(math.Round(math.Pow(10, surprise))))
}

// twoDigits rounds x, which is 1 or more, to two significant digits.
func twoDigits(x float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(x))-1)
	return math.Round(x/unit) * unit
}
