package pipeline

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

// reasonsUntold are those that are counted, of each kind.
var reasonsUntold = map[Kind][]Untold{Anomaly: {Ongoing, Opposite, Slight, Outvoted, Usual}, Drift: {Ongoing, Opposite}}

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
