package pipeline

import (
	"encoding/binary"
	"slices"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/drift"
	"github.com/gonomaly/gonomaly/detectors/threshold"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// series is what a partition remembers of one key: a slot of the table and a body. It holds what every point needs, and as little else as can be: where
// keys are many, a point's time goes by in waiting for their memory.
type series struct {
	*slot
	*body
}

// slot is what the table holds of a series. It has no pointers.
type slot struct {
	points int64 // made so far
	last   int64 // event time of the newest sample
	hits   frequency
	law    threshold.Tail // of the scores of the only detector, if it is compact; of several detectors' combination
	key    keyAt

	// Of the table and of snapshots; no part of the state.
	id        uint32 // its number
	next      uint32 // of a slot without a series, the next such slot
	young     int32  // in table.young, or none
	born      uint32 // generation in which it was made
	dirty     uint32 // generation in which it changed last
	taken     uint32 // generation of the last snapshot that has it
	disturbed bool   // an incident is open
	evicted   bool   // no longer in the table
}

// body is what has pointers in it: one for each series, or one for all; see plan.isBare.
type body struct {
	detectors []watched
	*extras
	owner uint32 // the series
	gone  bool   // it is evicted
}

// extras are what the series of some streams have besides.
type extras struct {
	carried  carried         // where values may be missing
	pace     *pace           // where false alarms are asked for by time
	monitors []drift.Monitor // see plan.monitored
	windows  []*window       // open ones, by start
	past     []float64       // with window.last: its last samples, oldest first, one after the other
	before   []float64       // with rate: the newest sample
}

// noExtras are those of all series of a stream that has none. Nothing is ever written to them.
var noExtras extras

// alone is a body with one detector, whose scores' law is a Tail: in one piece of memory.
type alone struct {
	body
	detector [1]watched
	law      threshold.Tail
}

// watched is a detector with the law of its own scores.
type watched struct {
	detectors.Detector
	law    threshold.Law
	common bool // to all series of the partition
}

// newCommon makes the detectors that a partition's series have in common, each in its place.
func newCommon(p *plan) []watched {
	common := make([]watched, len(p.config.Detectors))
	for i, c := range p.config.Detectors {
		if c.Scope == OfPartition {
			d := p.newDetector(i)
			common[i] = watched{d, threshold.For(d), true}
		}
	}
	return common
}

// limit is the score that a share rate of the points reaches.
func (d *watched) limit(rate float64) float64 { return d.ScoreAt(d.law.At(rate)) }

func newAlone(p *plan, common []watched) *alone {
	a := &alone{}
	if a.detector[0] = common[0]; !common[0].common {
		d := p.newDetector(0)
		a.detector[0] = watched{d, threshold.ForIn(d, &a.law), false}
	}
	a.detectors, a.extras = a.detector[:], &noExtras
	return a
}

func newBody(p *plan, common []watched) *body {
	var b *body
	if len(p.config.Detectors) == 1 {
		b = &newAlone(p, common).body
	} else {
		b = &body{detectors: slices.Clone(common)}
		for i := range b.detectors {
			if !common[i].common {
				d := p.newDetector(i)
				b.detectors[i] = watched{d, threshold.For(d), false}
			}
		}
	}
	if p.plain() {
		return b
	}
	b.extras = &extras{}
	if p.config.Decode.Missing == decode.Last {
		b.carried = newCarried(len(p.config.Decode.Values))
	}
	if p.config.Alert.FalseAlarms.Every > 0 {
		b.pace = &pace{}
	}
	for i, d := range p.config.Drift {
		for range p.monitored(d.On) {
			b.monitors = append(b.monitors, p.newMonitor(i))
		}
	}
	return b
}

// plain says that series of the stream have no extras.
func (p *plan) plain() bool {
	return len(p.config.Detectors) == 1 && p.config.Window == nil && len(p.config.Drift) == 0 && p.config.Alert.FalseAlarms.Every == 0 &&
		p.config.Decode.Missing != decode.Last
}

// isBare says that series of the stream have nothing with pointers in it of their own: their detector is compact, or that of the partition.
func (p *plan) isBare() bool {
	return p.isCompact() || p.plain() && p.config.Detectors[0].Scope == OfPartition
}

// isCompact says that series of the stream are nothing but a slot, and the numbers of their detector.
func (p *plan) isCompact() bool {
	if !p.plain() || p.config.Detectors[0].Scope == OfPartition {
		return false
	}
	d := p.newDetector(0)
	_, compact := d.(detectors.Compact)
	_, ranked := d.(detectors.Ranked)
	return compact && !ranked
}

// monitored is how many streams of numbers a drift monitor of this kind watches: each field, or each detector's score.
func (p *plan) monitored(on string) int {
	if on == onScores {
		return len(p.config.Detectors)
	}
	return len(p.fields)
}

// windowAt returns the series' window that starts at start, or nil.
func (s series) windowAt(start int64) *window {
	for _, w := range s.windows {
		if w.start == start {
			return w
		}
	}
	return nil
}

// closeWindow takes the window that starts at start out.
func (s series) closeWindow(start int64) *window {
	i := slices.IndexFunc(s.windows, func(w *window) bool { return w.start == start })
	w := s.windows[i]
	s.windows = slices.Delete(s.windows, i, i+1)
	return w
}

// shingle takes a sample in, and returns the last n samples, oldest first, value by value; nil until there are n.
func (s series) shingle(x, sample []float64, n int) []float64 {
	d := len(sample)
	s.past = append(s.past, sample...)
	if len(s.past) < n*d {
		return nil
	}
	s.past = slices.Delete(s.past, 0, len(s.past)-n*d)
	for v := range d {
		for i := range n {
			x = append(x, s.past[i*d+v])
		}
	}
	return x
}

func (t *table) append(b []byte, s series) ([]byte, error) {
	b = appendText(b, t.key(s.id))
	has := s.hits.n()
	if s.disturbed {
		has |= hasIncidents
	}
	if t.incident(s, Silence).open() {
		has |= hasSilence
	}
	if len(s.windows)+len(s.past)+len(s.before) > 0 {
		has |= hasSamples
	}
	b = append(b, has)
	b = binary.AppendUvarint(b, s.hits.age())
	b = appendInt(b, s.points)
	b = appendInt(b, s.last)
	var err error
	for part := range s.parts {
		if b, err = appendPart(b, part); err != nil {
			return nil, err
		}
	}
	if has&hasIncidents != 0 {
		b = t.incident(s, Drift).append(t.incident(s, Anomaly).append(b))
	}
	if has&hasSilence != 0 {
		b = t.incident(s, Silence).append(b)
	}
	if has&hasSamples == 0 {
		return b, nil
	}
	b = appendInt(b, int64(len(s.windows)))
	for _, w := range s.windows {
		b = w.append(b)
	}
	return appendFloats(appendFloats(b, s.past), s.before), nil
}

// What a state has of a series besides, beside the number of its hits in one byte. Few series of few streams have any of it.
const (
	hasIncidents = 1 << (iota + 2)
	hasSamples   // of windows
	hasSilence   // beside incidents of the other kinds
	hasAll       = mostFrequent | hasIncidents | hasSamples | hasSilence
)

// read reads what append wrote of s but for its key. Its parts are laid out so: for each of them the part of the plan that it is, or none.
func (t *table) read(r *stateReader, s series, layout []int) {
	has := r.byte()
	s.hits = r.frequency(has&mostFrequent, r.uvarint())
	s.points, s.last = r.int(), r.int()
	if has > hasAll {
		r.fail("a series has what is unknown: %b", has)
	}
	t.partsOf = slices.AppendSeq(t.partsOf[:0], s.parts)
	for _, at := range layout {
		if at == none {
			r.part(nil)
		} else {
			r.part(t.partsOf[at])
		}
	}
	if has&hasIncidents != 0 {
		for _, k := range []Kind{Anomaly, Drift} {
			if i := readIncident(r); i != nil {
				t.sets(s, k, i)
			}
		}
	}
	if has&hasSilence != 0 {
		if i := readIncident(r); i != nil {
			t.sets(s, Silence, i)
		}
	}
	if has&hasSamples == 0 {
		return
	}
	for range r.count(16) {
		if t.config.Window == nil || t.config.Window.Every == 0 {
			r.fail("a window in a stream without windows")
			break
		}
		s.windows = append(s.windows, readWindow(r, t.plan))
	}
	past, before := readFloats(r), readFloats(r)
	switch values := len(t.config.Decode.Values); {
	case len(past)%values != 0 || len(before) != 0 && len(before) != values:
		r.fail("%d and %d remembered values, want multiples of %d", len(past), len(before), values)
	case t.config.Window == nil && len(past)+len(before) > 0:
		r.fail("remembered values in a stream without windows")
	case t.config.Window != nil:
		s.past, s.before = past, before
	}
}

func appendFloats(b []byte, xs []float64) []byte {
	b = appendInt(b, int64(len(xs)))
	for _, x := range xs {
		b = appendFloat(b, x)
	}
	return b
}

func readFloats(r *stateReader) []float64 {
	n := r.count(8)
	if n == 0 {
		return nil
	}
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = r.float()
	}
	return xs
}
