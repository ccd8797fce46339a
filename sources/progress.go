package sources

import "time"

// sayProgress is how often the log has how far a long restore has come.
const sayProgress = 10 * time.Second

// progress is how far a partition that was taken over has come with the offsets that were committed before, which are folded without
// output.
type progress struct {
	from, to int64
	began    time.Time
	said     time.Time // zero until something was
}

// total is how many offsets are to be folded.
func (p *progress) total() int64 { return max(0, p.to-max(p.from, 0)) }

// left is how many of them still are.
func (p *progress) left(position int64) int64 {
	return max(0, min(p.total(), p.to-position))
}

// due says whether the log is to have it: now and then, and once all is folded if it had it before.
func (p *progress) due(position int64, now time.Time) bool {
	since := p.began
	if !p.said.IsZero() {
		since = p.said
	}
	if p.left(position) == 0 {
		ended := !p.said.IsZero()
		p.said = time.Time{}
		return ended
	}
	if now.Sub(since) < sayProgress {
		return false
	}
	p.said = now
	return true
}

// eta is how much longer it takes at the pace so far, 0 where that is not known.
func (p *progress) eta(position int64, now time.Time) time.Duration {
	left := p.left(position)
	done := p.total() - left
	if done == 0 {
		return 0
	}
	return time.Duration(float64(now.Sub(p.began)) / float64(done) * float64(left))
}

// tellRestored measures, once, how long it took from the assignment of a partition to where something is told of its records. It is called
// with mu held.
func (s *session) tellRestored(o *owned) {
	if !o.restored && !o.settled.IsZero() && o.restoring.left(o.position) == 0 {
		o.restored = true
		s.o.Metrics.restores.WithLabelValues(s.o.Stream).Observe(time.Since(o.taken).Seconds())
	}
}

// tellProgress logs how far long restores have come.
func (s *session) tellProgress(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owned {
		if p := &o.restoring; p.due(o.position, now) {
			left := p.left(o.position)
			s.log.Info("restoring: folding what was committed before", "partition", o.p.String(), "folded", p.total()-left, "of", p.total(),
				"seconds", now.Sub(p.began).Seconds(), "eta_seconds", p.eta(o.position, now).Seconds())
		}
	}
}
