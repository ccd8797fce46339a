package pipeline

import (
	"encoding/binary"
	"slices"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/drift"
	"github.com/gonomaly/gonomaly/detectors/threshold"
)

// series is what a partition remembers of one key. It holds what every point needs, and as little else as can be: where keys are many, a
// point's time goes by in waiting for their memory.
type series struct {
	key       string
	points    int64 // made so far
	last      int64 // event time of the newest sample
	hits      frequency
	detectors []watched
	*extras
	anomaly *incident // nil while there is none
	drift   *incident

	// Of the table and of snapshots; no part of the state.
	index   int    // in table.all
	young   int    // in table.young, or none
	born    uint32 // generation in which it was made
	dirty   uint32 // generation in which it changed last
	taken   uint32 // generation of the last snapshot that has it
	evicted bool   // no longer in the table
}

// extras are what the series of some streams have besides.
type extras struct {
	combined threshold.Tail  // of several detectors' combination
	pace     *pace           // where false alarms are asked for by time
	monitors []drift.Monitor // see plan.monitored
	windows  []*window       // open ones, by start
	past     []float64       // with window.last: its last samples, oldest first, one after the other
	before   []float64       // with rate: the sample before this one
}

// noExtras are those of all series of a stream that has none. Nothing is ever written to them.
var noExtras extras

// alone is a series with one detector, whose scores' law is a Tail: in one piece of memory.
type alone struct {
	series
	detector [1]watched
	law      threshold.Tail
}

// watched is a detector with the law of its own scores.
type watched struct {
	detectors.Detector
	law threshold.Law
}

// limit is the score that a share rate of the points reaches.
func (d *watched) limit(rate float64) float64 { return d.ScoreAt(d.law.At(rate)) }

func newSeries(p *plan, key string) *series {
	var s *series
	if len(p.config.Detectors) == 1 {
		a, d := &alone{}, p.newDetector(0)
		a.detector[0] = watched{d, threshold.ForIn(d, &a.law)}
		s = &a.series
		s.detectors = a.detector[:]
	} else {
		s = &series{detectors: make([]watched, len(p.config.Detectors))}
		for i := range s.detectors {
			d := p.newDetector(i)
			s.detectors[i] = watched{d, threshold.For(d)}
		}
	}
	s.key, s.extras = key, &noExtras
	if p.plain() {
		return s
	}
	s.extras = &extras{combined: threshold.NewTail()}
	if p.config.Alert.FalseAlarms.Every > 0 {
		s.pace = &pace{}
	}
	for i, d := range p.config.Drift {
		for range p.monitored(d.On) {
			s.monitors = append(s.monitors, p.newMonitor(i))
		}
	}
	return s
}

// plain says that series of the stream have no extras.
func (p *plan) plain() bool {
	return len(p.config.Detectors) == 1 && p.config.Window == nil && len(p.config.Drift) == 0 && p.config.Alert.FalseAlarms.Every == 0
}

// monitored is how many streams of numbers a drift monitor of this kind watches: each field, or each detector's score.
func (p *plan) monitored(on string) int {
	if on == onScores {
		return len(p.config.Detectors)
	}
	return len(p.fields)
}

// windowAt returns the series' window that starts at start, or nil.
func (s *series) windowAt(start int64) *window {
	for _, w := range s.windows {
		if w.start == start {
			return w
		}
	}
	return nil
}

// closeWindow takes the window that starts at start out.
func (s *series) closeWindow(start int64) *window {
	i := slices.IndexFunc(s.windows, func(w *window) bool { return w.start == start })
	w := s.windows[i]
	s.windows = slices.Delete(s.windows, i, i+1)
	return w
}

// shingle takes a sample in, and returns the last n samples, oldest first, value by value; nil until there are n.
func (s *series) shingle(x, sample []float64, n int) []float64 {
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

func (s *series) append(b []byte) ([]byte, error) {
	b = appendText(b, s.key)
	has := s.hits.n()
	if s.anomaly.open() || s.drift.open() {
		has |= hasIncidents
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
		b = s.drift.append(s.anomaly.append(b))
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
	hasAll       = mostFrequent | hasIncidents | hasSamples
)

// readSeries reads a series whose parts are laid out so: for each of them the part of p that it is, or none.
func readSeries(r *stateReader, p *plan, layout []int) *series {
	s := newSeries(p, r.text())
	has := byte(hasAll)
	if r.version >= sparse {
		has = r.byte()
		s.hits = r.frequency(has&mostFrequent, r.uvarint())
		s.points, s.last = r.int(), r.int()
	} else {
		s.points, s.last = r.int(), r.int()
		hits := r.byte()
		s.hits = r.frequency(hits, uint64(r.int())) //nolint:gosec // it is compared
	}
	if has > hasAll {
		r.fail("a series has what is unknown: %b", has)
	}
	parts := slices.AppendSeq(make([]part, 0, len(p.parts)), s.parts)
	for _, at := range layout {
		if at == none {
			r.part(nil)
		} else {
			r.part(parts[at])
		}
	}
	if has&hasIncidents != 0 {
		s.anomaly = readIncident(r)
		s.drift = readIncident(r)
	}
	if has&hasSamples == 0 {
		return s
	}
	for range r.count(16) {
		if p.config.Window == nil || p.config.Window.Every == 0 {
			r.fail("a window in a stream without windows")
			break
		}
		s.windows = append(s.windows, readWindow(r, p))
	}
	past, before := readFloats(r), readFloats(r)
	switch values := len(p.config.Decode.Values); {
	case len(past)%values != 0 || len(before) != 0 && len(before) != values:
		r.fail("%d and %d remembered values, want multiples of %d", len(past), len(before), values)
	case p.config.Window == nil && len(past)+len(before) > 0:
		r.fail("remembered values in a stream without windows")
	case p.config.Window != nil:
		s.past, s.before = past, before
	}
	return s
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
