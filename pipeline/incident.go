package pipeline

import "math"

// incident is one disturbance of one series: it opens with the first point over the limit, is told again only when it becomes
// much worse, and is over after a quiet time. So one disturbance is a few alerts and not hundreds.
type incident struct {
	id       string // of the alert that opened it
	opened   int64  // event time, Unix nanoseconds
	fired    int64  // where the watermark was at the last point over the limit, which itself may have been late
	points   int64  // of the series, when it last fired
	revision int
	told     float64 // decades of surprise when last told
}

func (i *incident) open() bool { return i != nil }

// quietFrom is the event time at which the incident is over, if nothing fires before it; only for a cool-down in time. One that leads beyond
// 2262, where int64 nanoseconds end, is never over.
func (i *incident) quietFrom(coolDown Span) int64 {
	return int64(coolDown.Time) + min(i.fired, math.MaxInt64-int64(coolDown.Time))
}

// incidents are those of one series.
type incidents struct{ anomaly, drift, silence *incident }

// of is where the incident of a kind is kept.
func (i *incidents) of(k Kind) **incident {
	switch k {
	case Drift:
		return &i.drift
	case Silence:
		return &i.silence
	default:
		return &i.anomaly
	}
}

func (i *incident) append(b []byte) []byte {
	if !i.open() {
		i = &incident{}
	}
	b = appendText(b, i.id)
	b = appendInt(b, i.opened)
	b = appendInt(b, i.fired)
	b = appendInt(b, i.points)
	b = appendInt(b, int64(i.revision))
	return appendFloat(b, i.told)
}

// readIncident reads what append wrote: nil where none was open.
func readIncident(r *stateReader) *incident {
	i := &incident{id: r.text(), opened: r.int(), fired: r.int(), points: r.int(), revision: int(r.int()), told: r.float()}
	if i.id == "" {
		return nil
	}
	return i
}
