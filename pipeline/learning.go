package pipeline

import (
	"fmt"
	"math"
	"time"
)

// Learning is how far series have come with their warm-up: until one of its detectors has a score, a series raises no alert but for values
// that are not valid.
type Learning struct {
	Series   int       // held
	Learning int       // of them have no score yet
	Ready    time.Time // event time at which the last of them is about to have one, at the pace of late; zero where that is not known
}

func (l Learning) String() string {
	words := fmt.Sprintf("%d of %d series are learning", l.Learning, l.Series)
	if !l.Ready.IsZero() {
		words += ", the last until about " + l.Ready.Format(time.RFC3339) + " in event time"
	}
	return words
}

// and is what two partitions come to.
func (l Learning) and(m Learning) Learning {
	l.Series += m.Series
	l.Learning += m.Learning
	if m.Ready.After(l.Ready) {
		l.Ready = m.Ready
	}
	return l
}

// left is how many points s learns before it has a score.
func (s series) left() int {
	least := math.MaxInt
	for i := range s.detectors {
		least = min(least, s.detectors[i].Left())
	}
	return least
}

// young are the series that have no score yet. It follows from the state, and is no part of it.
type young struct {
	series []uint32 // in no order that matters
	n      float64  // intervals that weigh in gap
	gap    float64  // mean interval between the samples of such a series, of late, in nanoseconds of event time
}

const (
	youngGaps   = 100   // intervals that weigh
	youngLooked = 10000 // series that are asked how far they are
)

func (y *young) add(s series) {
	s.young = none
	if s.left() > 0 {
		s.young = int32(len(y.series)) //nolint:gosec // a series' number is no larger
		y.series = append(y.series, s.id)
	}
}

func (y *young) remove(s *slot, slots *column[slot]) {
	if s.young == none {
		return
	}
	end := len(y.series) - 1
	moved := y.series[end]
	y.series[s.young] = moved
	slots.at(moved).young = s.young
	y.series = y.series[:end]
	s.young = none
	if cap(y.series) > max(youngLooked, 4*end) {
		y.series = append(make([]uint32, 0, 2*end), y.series...) // most series are young but once
	}
}

func (y *young) clear(slots *column[slot]) {
	for _, id := range y.series {
		slots.at(id).young = none
	}
	y.series = y.series[:0]
}

// came notes that a sample of s is about to come.
func (y *young) came(s *slot, at int64) {
	if s.young == none {
		return
	}
	y.n = min(y.n+1, youngGaps)
	y.gap += (max(0, float64(at)-float64(s.last)) - y.gap) / y.n
}

// Learning is how far the partition's series have come.
func (w *Worker) Learning() Learning {
	l := Learning{Series: w.index.n, Learning: len(w.young.series)}
	gap, shingle := w.young.gap, 0
	if c := w.config.Window; c != nil {
		gap = max(gap, float64(c.Every)) // a point is a window
		shingle = c.Last * len(w.config.Decode.Values)
	}
	if l.Learning == 0 || gap == 0 {
		return l
	}
	ready := float64(w.watermark)
	for _, id := range w.young.series[:min(l.Learning, youngLooked)] {
		s := w.series(id)
		left := s.left()
		if shingle > 0 {
			left += (shingle - len(s.past)) / len(w.config.Decode.Values)
		}
		ready = max(ready, float64(s.last)+float64(left)*gap)
	}
	if ready < math.MaxInt64 {
		l.Ready = utc(int64(ready)).Truncate(time.Second)
	}
	return l
}

// Learning is how far the series of the partitions that are assigned have come.
func (s *Stream) Learning() (l Learning) {
	s.mu.RLock()
	parts := make([]*partition, 0, len(s.partitions))
	for _, part := range s.partitions {
		parts = append(parts, part)
	}
	s.mu.RUnlock()
	for _, part := range parts {
		part.turn.Lock()
		l = l.and(part.worker.Learning())
		part.turn.Unlock()
	}
	return l
}

// A partition is said to be learning where most of its series are, and to have learned once nearly all of them have. Between the two nothing
// is said: keys that come and go are no news.
const (
	mostLearning = 0.5
	fewLearning  = 0.1
)

// tellLearning says when a partition begins to learn, and when it has. The worker's turn is held.
func (s *Stream) tellLearning(part *partition) {
	young, all := float64(len(part.worker.young.series)), float64(part.worker.index.n)
	s.o.Metrics.learning.WithLabelValues(part.labels...).Set(young)
	switch {
	case !part.learning && young > mostLearning*all && part.worker.young.n > 0:
		part.learning = true
		l := part.worker.Learning()
		s.log.Info("learning: most series raise no alert yet", "partition", part.p.String(), "series", l.Series, "learning", l.Learning, "ready_about", l.Ready)
	case part.learning && young < fewLearning*all:
		part.learning = false
		s.log.Info("learned: nearly all series can raise alerts", "partition", part.p.String(), "series", part.worker.index.n, "learning", int(young))
	}
}
