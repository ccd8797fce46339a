package pipeline

import "github.com/gonomaly/gonomaly/detectors"

// Untold is why no alert was raised for a point that might have had one.
type Untold string

// Of points over the limit, and of changes that a drift monitor has found.
const (
	Ongoing  Untold = "incident"  // an incident is open, and this is not so much worse as escalate asks for
	Opposite Untold = "direction" // on the side that nobody asked for
	Slight   Untold = "deviation" // by less than min_deviation
)

// Of points below the limit that a detector would have had over it.
const (
	Outvoted Untold = "combination" // one detector finds it rare enough, and all together do not
	Usual    Untold = "calibration" // rare enough by the detector's nominal law, and not by the scores that the series has had
)

// reasonsUntold are those that are counted, of each kind; the last ones of anomalies are those of a detector that holds a point back itself.
var reasonsUntold = func() map[Kind][]Untold {
	anomaly := []Untold{Ongoing, Opposite, Slight, Outvoted, Usual}
	for _, by := range detectors.Holds {
		anomaly = append(anomaly, Untold(by))
	}
	return map[Kind][]Untold{Anomaly: anomaly, Drift: {Ongoing, Opposite}}
}()

// untold notes that there was no alert, unless it was told in the run that is recovered from.
func (w *Worker) untold(k Kind, why Untold) {
	if why != "" && !w.silent {
		w.counts.Untold[k][why]++
	}
}

// below says why v, which is not over the limit, is not: where a detector has it over.
func (v *verdict) below() Untold {
	usual := false
	for i, ready := range v.ready {
		switch {
		case !ready:
		case v.many && v.decades[i] >= v.wanted:
			return Outvoted
		default:
			usual = usual || v.nominal[i] >= v.wanted
		}
	}
	if usual {
		return Usual
	}
	return ""
}

// held says which detector's knowledge of the series keeps a point below the limit, if one does.
func (w *Worker) held(s series, v *verdict) Untold {
	if !w.holds || w.silent && w.Trace == nil {
		return "" // or nobody is told
	}
	for i, ready := range v.ready {
		if !ready {
			continue
		}
		d := &s.detectors[i]
		if r, ok := d.Detector.(detectors.Restrained); ok {
			if score, by := r.Held(); score > v.scores[i] && d.Decades(score) >= v.wanted {
				return Untold(by)
			}
		}
	}
	return ""
}
