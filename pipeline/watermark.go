package pipeline

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
)

// closing are the series with a window that ends at end.
type closing struct {
	end    int64
	series []*body
}

// keyed is a series with its key, to be sorted by it.
type keyed struct {
	key []byte
	id  uint32
}

// aggregate takes the sample into its window, unless that is closed.
func (w *Worker) aggregate(s series) Outcome {
	c := w.config.Window
	start := c.startOf(w.sample.Time)
	end := start + int64(c.Every)
	if end <= w.watermark {
		return Late
	}
	in := s.windowAt(start)
	if in == nil {
		in = w.open(start)
		s.windows = append(s.windows, in)
		w.closeAt(end, s.body)
	}
	if !w.needRate || w.sample.Time < s.last { // what a counter grew by until a sample that comes late is in that of the one after it
		in.add(w.sample.Values, nil, c)
		return Aggregated
	}
	in.add(w.sample.Values, s.before, c)
	s.before = append(s.before[:0], w.sample.Values...)
	return Aggregated
}

// open is an empty window, where it can be one that was closed.
func (w *Worker) open(start int64) *window {
	end := len(w.spare) - 1
	if end < 0 {
		return newWindow(w.config.Window, start, len(w.sample.Values))
	}
	in := w.spare[end]
	w.spare = w.spare[:end]
	in.begin(start)
	return in
}

// closeAt notes that s has a window that ends at end.
func (w *Worker) closeAt(end int64, s *body) {
	i, found := slices.BinarySearchFunc(w.closing, end, func(c closing, end int64) int { return cmp.Compare(c.end, end) })
	if !found {
		w.closing = slices.Insert(w.closing, i, closing{end: end})
	}
	w.closing[i].series = append(w.closing[i].series, s)
}

// advance moves the watermark to t less the lateness. On its way, in order of event time, incidents become quiet and windows close;
// at one time, in order of the keys.
func (w *Worker) advance(t int64) {
	lateness := int64(0)
	if w.config.Window != nil {
		lateness = int64(w.config.Window.Lateness)
	}
	t -= lateness
	if t <= w.watermark {
		return
	}
	begin := w.watermark
	for len(w.closing) > 0 && w.closing[0].end <= t {
		due := w.closing[0]
		w.closing = w.closing[1:]
		w.watermark = due.end
		w.quiet()
		ghosts := len(due.series)
		due.series = slices.DeleteFunc(due.series, func(b *body) bool { return b.gone })
		w.ghosts -= ghosts - len(due.series)
		w.due = w.due[:0]
		for _, b := range due.series {
			w.due = append(w.due, keyed{w.key(b.owner), b.owner})
		}
		slices.SortFunc(w.due, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
		start := due.end - int64(w.config.Window.Every)
		for _, one := range w.due {
			s := w.series(one.id)
			w.touch(s)
			in := s.closeWindow(start)
			w.x = in.appendFields(w.x[:0], len(w.config.Decode.Values), w.config.Window)
			if len(w.spare) < w.index.n {
				w.spare = append(w.spare, in)
			}
			w.point(s, point{time: due.end, start: start, x: w.x})
		}
	}
	w.watermark = t
	w.quiet()
	w.missed(begin)
	if idle := int64(w.config.Idle); idle > 0 {
		for w.silentSince() < t-idle {
			if s, ok := w.oldest(); ok && s.last < t-idle {
				w.evict(s, Idle)
			}
		}
	}
}

// quiet resolves the incidents whose cool-down the watermark has passed.
func (w *Worker) quiet() {
	if w.watermark < w.nextQuiet {
		return
	}
	coolDown := w.config.Alert.CoolDown
	type over struct {
		at int64
		id uint32
		k  Kind
	}
	var overs []over
	w.nextQuiet = math.MaxInt64
	if coolDown.Time == 0 {
		return
	}
	for id, both := range w.incidents {
		for _, k := range kinds {
			i := *both.of(k)
			if !i.open() || k == Silence {
				continue // a silence is over when the key is back
			}
			if at := i.quietFrom(coolDown); at <= w.watermark {
				overs = append(overs, over{at, id, k})
			} else {
				w.nextQuiet = min(w.nextQuiet, at)
			}
		}
	}
	slices.SortFunc(overs, func(a, b over) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		if c := bytes.Compare(w.key(a.id), w.key(b.id)); c != 0 {
			return c
		}
		return strings.Compare(string(a.k), string(b.k))
	})
	for _, o := range overs {
		s := w.series(o.id)
		w.touch(s)
		w.resolve(s, o.k, o.at, w.quietReason(w.incident(s, o.k)))
	}
}
