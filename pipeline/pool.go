package pipeline

import (
	"strings"

	"github.com/gonomaly/gonomaly/detectors/threshold"
)

// pool is what a partition's series have in common: the laws of all their scores together, with which a new key begins, until its own
// scores have told theirs. Without it, a key whose scores are of another law than the nominal one is told of too often, or too rarely, for
// its first hundreds of points.
//
// What is made of ranks has no part in it: such a law is nearly right from the first, and what goes wrong in it, each series has for itself.
type pool struct {
	laws     []*threshold.Tail // one a detector; nil where scores are ranks
	combined threshold.Tail
}

// pooled is how many points of a series one is learned of for all: enough where keys are many, and of no weight where time is counted.
const pooled = 16

func newPool(b *body) pool {
	p := pool{laws: make([]*threshold.Tail, len(b.detectors)), combined: threshold.NewTail()}
	for i := range b.detectors {
		if t, ok := b.detectors[i].law.(*threshold.Tail); ok {
			law := *t
			p.laws[i] = &law
		}
	}
	return p
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

// append appends each law behind its part's name.
func (p *pool) append(b []byte, parts []partName) ([]byte, error) {
	laws := p.named(parts)
	n := 0
	for _, law := range laws {
		if law != nil {
			n++
		}
	}
	b = appendInt(b, int64(n))
	var err error
	for i, law := range laws {
		if law == nil {
			continue
		}
		if b, err = appendPart(appendText(b, parts[i].name), law); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// read reads what append wrote, perhaps of other parts: those that both have go on.
func (p *pool) read(r *stateReader, plan *plan) {
	laws := p.named(plan.parts)
	for range r.count(1) {
		if at := plan.part(r.text()); at == none || laws[at] == nil {
			r.part(nil)
		} else {
			r.part(laws[at])
		}
	}
}

// named are the laws in the order of a plan's parts; nil where a part is none that is pooled.
func (p *pool) named(parts []partName) []*threshold.Tail {
	laws, next := make([]*threshold.Tail, len(parts)), 0
	for i, part := range parts {
		switch {
		case strings.HasPrefix(part.name, lawOf):
			laws[i] = p.laws[next]
			next++
		case strings.HasPrefix(part.name, combination):
			laws[i] = &p.combined
		}
	}
	return laws
}
