package pipeline

import (
	"math"
	"slices"
	"time"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/threshold"
)

// point is what the detectors of a series are given.
type point struct {
	time  int64 // event time, Unix nanoseconds; of a window, its end
	start int64 // of a window
	x     []float64
}

// verdict is what the detectors say of a point. Its slices have one entry a detector.
type verdict struct {
	ready   []bool
	scores  []float64 // in the detector's own unit
	nominal []float64 // decades by the detector's nominal law
	decades []float64 // decades by the law of the series' own scores; see Worker.ordinary
	ps      []float64 // of the detectors that are ready
	weights []float64 // of these
	x       [][]float64

	score     float64 // what an alert reports: the only detector's score, or the combination in decades
	surprise  float64 // calibrated decades: -log10 of the p-value
	rate      float64 // of false alarms, per point
	wanted    float64 // the same in decades: the surprise at which an alert is raised
	outside   int     // field that is not valid, or none
	combined  float64 // decades of the combination before it is calibrated
	any, many bool    // a detector is ready; the stream has several
}

// Trace shows what the path did with one point.
type Trace struct {
	Offset   int64 // of the record, or of the one that closed the window
	Key      string
	Time     int64
	X        []float64 // valid during the call; nil when there is no point yet
	Scored   bool      // false in warm-up: the rest is zero
	Score    float64
	PValue   float64
	Limit    float64
	Surprise float64 // -log10 PValue
	Wanted   float64 // the surprise at which an alert is raised
	Told     Status  // "" if the point told nothing
	Untold   Untold  // why, where it might have; of what has no score, its outcome
	Fired    bool    // over the limit
	Incident bool    // an incident is open, or was when the point came
	Expected func(field int) (Forecast, bool)
}

// point takes a point of s through scoring, limit, incident, learning and drift.
func (w *Worker) point(s series, p point) Outcome {
	if w.timing.on {
		w.timing.point = time.Now()
	}
	if !w.silent {
		w.counts.Points++
	}
	s.points++
	v := w.judge(s, p)
	told, why, fired, open := Status(""), Untold(""), false, w.incident(s, Anomaly).open()
	if v.any || v.outside != none || open {
		switch {
		case v.outside != none:
			fired = true
		case v.surprise >= v.wanted:
			why = w.unwanted(s, p, v)
			fired = why == ""
		default:
			if why = v.below(); why == "" && !open {
				why = w.held(s, v)
			}
		}
		if fired || open {
			if told = w.follow(s, p, v, fired); fired && told == "" {
				why = Ongoing
			}
		}
		w.untold(Anomaly, why)
	}
	if w.Trace != nil {
		w.trace(s, p, v, Trace{Told: told, Untold: why, Fired: fired, Incident: open || w.incident(s, Anomaly).open()})
	}
	w.learn(s, p, v)
	if len(w.config.Drift) > 0 || s.disturbed {
		w.watch(s, p, v)
	}
	if w.timing.on {
		w.timing.score += time.Since(w.timing.point)
	}
	if !v.any {
		return Warming
	}
	return Scored
}

// judge scores p and puts the scores on one scale; it changes nothing of s.
func (w *Worker) judge(s series, p point) *verdict {
	v := &w.verdict
	if v.ready == nil {
		n := len(s.detectors)
		v.ready, v.x = make([]bool, n), make([][]float64, n)
		v.scores, v.nominal, v.decades = make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range v.x {
			v.x[i] = make([]float64, w.width(i))
		}
		v.many = n > 1
	}
	v.any, v.score, v.surprise = false, 0, 0
	v.outside = w.outside(p.x)
	if rate := w.rateOf(s); rate != v.rate {
		v.rate, v.wanted = rate, -math.Log10(rate)
	}
	for i := range s.detectors {
		d := &s.detectors[i]
		v.scores[i], v.ready[i] = d.Score(detectors.Point{Time: p.time, X: w.columnsIn(i, p.x)})
		if !v.ready[i] {
			continue
		}
		v.any = true
		if c := w.ceilings[i].of(v.scores[i]); w.ordinary(d, s.shares(), c, v) {
			v.nominal[i], v.decades[i] = c, 0
			continue
		}
		v.nominal[i] = d.Decades(v.scores[i])
		v.decades[i] = d.law.Decades(v.nominal[i])
	}
	switch {
	case !v.any:
	case !v.many:
		v.score, v.surprise = v.scores[0], v.decades[0]
	default:
		v.ps, v.weights = v.ps[:0], v.weights[:0]
		for i, ready := range v.ready {
			if ready {
				v.ps, v.weights = append(v.ps, math.Pow(10, -v.decades[i])), append(v.weights, w.weights[i])
			}
		}
		v.combined = threshold.Combine(v.ps, v.weights)
		v.score = v.combined
		v.surprise = s.law.Decades(v.combined)
	}
	return v
}

// ordinary says of the only detector of a stream that it makes no difference by how much less than c the decades of its score are: they are
// not near the limit, nobody is shown them, and the tail learns all that are ordinary alike.
func (w *Worker) ordinary(d *watched, shared bool, c float64, v *verdict) bool {
	return !v.many && !shared && d.law.Ordinary(c) && c < v.wanted && v.wanted > leastWanted && v.outside == none && w.Trace == nil
}

// leastWanted is more decades than an ordinary point's surprise can be, by the tail.
const leastWanted = 1.01

// limit is the score at which an alert is raised, in the unit of v.score; 0 while there is none. It is asked for by what is told of a
// point, and not for each: a law's inverse has no closed form.
func (v *verdict) limit(s series) float64 {
	switch {
	case !v.any:
		return 0
	case !v.many:
		return s.detectors[0].limit(v.rate)
	}
	return s.law.At(v.rate)
}

// alarm is how surprising a point over the limit is, in decades: one that is not valid as much as the limit, whatever it scores.
func (v *verdict) alarm() float64 {
	if v.outside != none {
		return max(v.surprise, v.wanted)
	}
	return v.surprise
}

// columnsIn gives detector i its fields of x.
func (w *Worker) columnsIn(i int, x []float64) []float64 {
	if w.columns[i] == nil {
		return x
	}
	seen := w.verdict.x[i]
	for j, column := range w.columns[i] {
		seen[j] = x[column]
	}
	return seen
}

func (w *Worker) learn(s series, p point, v *verdict) {
	for i := range s.detectors {
		d := &s.detectors[i]
		if v.ready[i] {
			d.law.Learn(v.nominal[i])
		}
		d.Learn(detectors.Point{Time: p.time, X: w.columnsIn(i, p.x)})
	}
	if v.any && v.many {
		s.law.Learn(v.combined)
	}
	if s.shares() {
		w.pool.learn(v)
	}
	if s.pace != nil {
		s.pace.learn(p.time)
	}
	if s.young != none && s.left() == 0 {
		w.young.remove(s.slot, &w.slots)
		if slices.ContainsFunc(w.common, func(d watched) bool { return d.common && d.Left() == 0 }) { // which is so for all at once
			w.young.clear(&w.slots)
		}
	}
}

// follow moves the series' incident on, and tells what is to be told.
func (w *Worker) follow(s series, p point, v *verdict, fired bool) Status {
	i := w.incident(s, Anomaly)
	coolDown := w.config.Alert.CoolDown
	switch {
	case !fired && i.open() && coolDown.Points > 0 && s.points-i.points >= int64(coolDown.Points):
		w.resolve(s, Anomaly, p.time, w.quietReason(i))
		return Resolve
	case !fired:
		return ""
	}
	status := Status("")
	switch {
	case !i.open():
		status = Open
		i = w.disturb(s, Anomaly, p.time)
	case v.alarm() >= w.config.Alert.Escalate*i.told:
		status = Update
		i.revision++
	}
	i.fired, i.points = w.watermark, s.points
	w.nextQuiet = min(w.nextQuiet, i.quietFrom(coolDown))
	if status == "" {
		return ""
	}
	i.told = v.alarm()
	a := w.alert(s, i, Anomaly, status, p.time)
	if status == Open {
		i.id, a.Incident = a.ID, a.ID
	}
	if !w.silent {
		w.explain(&a, s, p, v)
		w.tell(&a)
	}
	return status
}

// watch shows the point to the drift monitors, field by field or score by score.
func (w *Worker) watch(s series, p point, v *verdict) {
	next := 0
	for _, c := range w.config.Drift {
		for of := range w.monitored(c.On) {
			m := s.monitors[next]
			next++
			name, x := "", 0.0
			if c.On == onScores {
				if !v.ready[of] {
					continue
				}
				name, x = w.config.Detectors[of].Kind+" score", v.scores[of]
			} else {
				name, x = w.fields[of], p.x[of]
			}
			switch change, changed := m.Add(x); {
			case !changed:
			case c.Direction.has(change.After >= change.Before):
				w.drifted(s, p, Change{Monitor: c.Kind, Of: name, Before: change.Before, After: change.After, Spread: change.Spread})
			default:
				w.untold(Drift, Opposite)
			}
		}
	}
	if i := w.incident(s, Drift); i.open() && w.config.Alert.CoolDown.Points > 0 && s.points-i.points >= int64(w.config.Alert.CoolDown.Points) {
		w.resolve(s, Drift, p.time, w.quietReason(i))
	}
}

// drifted opens a drift incident; further changes before it is over belong to it.
func (w *Worker) drifted(s series, p point, c Change) {
	i := w.incident(s, Drift)
	opens := !i.open()
	if opens {
		i = w.disturb(s, Drift, p.time)
	}
	i.fired, i.points = w.watermark, s.points
	w.nextQuiet = min(w.nextQuiet, i.quietFrom(w.config.Alert.CoolDown))
	if !opens {
		w.untold(Drift, Ongoing)
		return
	}
	a := w.alert(s, i, Drift, Open, p.time)
	i.id, a.Incident = a.ID, a.ID
	if !w.silent {
		w.window(&a, p)
		a.Change = &c
		a.Reason = driftReason(c)
		w.tell(&a)
	}
}

// disturb opens an incident of s, which the watermark will end.
func (w *Worker) disturb(s series, k Kind, at int64) *incident {
	i := &incident{opened: at}
	w.sets(s, k, i)
	return i
}

func (w *Worker) quietReason(i *incident) string {
	return "quiet for " + w.config.Alert.CoolDown.Plain() + " since " + utc(i.fired).Format(time.RFC3339)
}

func (w *Worker) resolve(s series, k Kind, at int64, reason string) {
	i := w.incident(s, k)
	i.revision++
	a := w.alert(s, i, k, Resolve, at)
	if !w.silent {
		a.Reason = reason
		w.tell(&a)
	}
	w.sets(s, k, nil)
}

// alert is the part of an alert that its id is made of.
func (w *Worker) alert(s series, i *incident, k Kind, status Status, at int64) Alert {
	hash := w.hash
	if w.record.Offset < w.since {
		hash = w.before // the id that it was told with, if it was told then
	}
	key := w.name(s.id, w.Trace != nil)
	id := identity{
		stream: w.stream, partition: w.partition, offset: w.record.Offset, key: key, kind: k, time: at, revision: i.revision, config: hash,
	}.id()
	return Alert{
		ID: id, Stream: w.stream, Key: key, Kind: k, Status: status, Incident: i.id, Revision: i.revision,
		Time: utc(at), Opened: utc(i.opened), ConfigHash: w.hash,
		Origin: Origin{Topic: w.partition.Topic, Partition: w.partition.ID, Offset: w.record.Offset},
	}
}

// tell hands an alert out.
func (w *Worker) tell(a *Alert) {
	w.counts.Alerts[a.Kind][a.Status]++
	headers, traced := alertHeaders, (*Traced)(nil)
	if w.Tracing != nil {
		traced = w.Tracing.of(w.record, w.partition, a.ID)
		traced.Alert, a.Trace = a.ID, traced.Parent()
		headers = append(headers[:1:1], traced.headers()...)
	}
	m := Message{
		Topic: w.config.Alert.Topic, Key: []byte(a.Key), Value: a.encode(), Headers: headers, Offset: w.record.Offset, Time: w.record.Timestamp,
		Status: a.Status, Trace: traced,
	}
	if m.Size() > maxMessage {
		a.narrow()
		m.Value = a.encode()
	}
	w.told = append(w.told, m)
}

// encode is EncodeAlert of what a worker tells.
func (a *Alert) encode() []byte {
	b, err := EncodeAlert(a)
	if err != nil {
		panic("an alert that cannot be written as JSON: " + err.Error()) // all its numbers are finite
	}
	return b
}

var alertHeaders = []Header{{Key: "content-type", Value: []byte(contentType)}}

func (w *Worker) trace(s series, p point, v *verdict, t Trace) {
	t.Offset, t.Key, t.Time, t.X, t.Wanted = w.record.Offset, w.name(s.id, true), p.time, p.x, v.wanted
	if v.any {
		t.Scored, t.Score, t.Surprise, t.Limit = true, v.score, v.surprise, v.limit(s)
		t.PValue = math.Pow(10, -v.surprise)
	} else if !t.Fired {
		t.Untold = Untold(Warming.String())
	}
	t.Expected = func(field int) (Forecast, bool) { return w.forecast(s, p, field) }
	w.Trace(t)
}

// unscored traces a record that no point came of.
func (w *Worker) unscored(r *Record, key string, o Outcome) {
	if w.Trace != nil {
		w.Trace(Trace{Offset: r.Offset, Key: key, Time: w.sample.Time, Untold: Untold(o.String())})
	}
}

func utc(ns int64) time.Time { return time.Unix(0, ns).UTC() }
