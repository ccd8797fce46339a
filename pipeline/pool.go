package pipeline

import (
	"iter"
	"maps"
	"strings"

	"github.com/gonomaly/gonomaly/detectors/threshold"
)

// pool is what a partition's series have in common: detectors whose scope is the partition, and of the others the laws of all their scores together, with which a new key begins, until its own
// scores have told theirs. Without it, a key whose scores are of another law than the nominal one is told of too often, or too rarely, for
// its first hundreds of points.
//
// What is made of ranks has no part in it: such a law is nearly right from the first, and what goes wrong in it, each series has for itself.
type pool struct {
	common   []watched         // one a detector; nothing where it is each series' own
	laws     []*threshold.Tail // one a detector; nil where scores are ranks, or the detector is common
	combined threshold.Tail
}

// pooled is how many points of a series one is learned of for all: enough where keys are many, and of no weight where time is counted.
const pooled = 16

func newPool(p *plan, common []watched) pool {
	own := newBody(p, common).detectors
	all := pool{common: common, laws: make([]*threshold.Tail, len(own)), combined: threshold.NewTail()}
	for i := range own {
		if t, ok := own[i].law.(*threshold.Tail); ok && !own[i].common {
			law := *t
			all.laws[i] = &law
		}
	}
	return all
}

// shares says whether the point of s that is being judged is one of those that all learn of.
func (s *slot) shares() bool { return s.points%pooled == 0 }

// lend has a new series begin with what the others have taught.
func (p *pool) lend(s series) {
	for i, law := range p.laws {
		if law != nil {
			*s.detectors[i].law.(*threshold.Tail) = law.Young()
		}
	}
	if len(s.detectors) > 1 {
		s.law = p.combined.Young()
	}
}

// learn takes in what the detectors said of a point.
func (p *pool) learn(v *verdict) {
	for i, law := range p.laws {
		if law != nil && v.ready[i] {
			law.Learn(v.nominal[i])
		}
	}
	if v.any && v.many {
		p.combined.Learn(v.combined)
	}
}

// append appends each part behind its name.
func (p *pool) append(b []byte, plan *plan) ([]byte, error) {
	n, at := 0, len(b)
	b = appendInt(b, 0)
	for name, part := range p.parts(plan) {
		var err error
		if b, err = appendPart(appendText(b, name), part); err != nil {
			return nil, err
		}
		n++
	}
	appendInt(b[:at], int64(n))
	return b, nil
}

// read reads what append wrote, perhaps of other parts: those that both have go on. It returns the names of the detectors in it.
func (p *pool) read(r *stateReader, plan *plan) (detectors []string) {
	parts := maps.Collect(p.parts(plan))
	for range r.count(1) {
		name := r.text()
		if strings.HasPrefix(name, ofAll) {
			detectors = append(detectors, name)
		}
		if strings.HasPrefix(name, combination) { // goes on, whatever it is of
			r.part(&p.combined)
			continue
		}
		r.part(parts[name])
	}
	return detectors
}

// parts are those of the pool, by name, in the order of the detectors.
func (p *pool) parts(plan *plan) iter.Seq2[string, part] {
	return func(yield func(string, part) bool) {
		for i, name := range plan.names {
			switch d := p.common[i]; {
			case d.common && (!yield(name, d.Detector) || !yield(lawOf+name, d.law)):
				return
			case p.laws[i] != nil && !yield(lawOf+name, p.laws[i]):
				return
			}
		}
		if at := plan.combination(); at != none {
			yield(plan.parts[at].name, &p.combined)
		}
	}
}
