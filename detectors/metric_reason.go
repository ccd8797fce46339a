package detectors

import (
	"fmt"
	"math"

	"github.com/gonomaly/gonomaly/internal/figure"
)

// reason puts the channel with the greatest part in the score into words, of those that this point itself surprises.
func (f *metricField) reason(l *look) string {
	best, most := f.loudest(l)
	switch {
	case most == 0 && l.score > 0:
		return "it comes right after odd points"
	case most == 0:
		return "nothing about it is surprising"
	}
	ch, amount := watched[best], f.named(best, l, l.at(best))
	size, nearest := figure.Short(amount), "none"
	if known, ok := f.nearestKnown(best, l); ok {
		size, nearest = figure.Apart(amount, known)
	}
	switch {
	case ch.kind == ofValue && ch.scale == 1:
		return "no such value is known, the nearest is " + nearest
	case ch.kind == ofValue:
		return fmt.Sprintf("the mean of the last %d points, %s, is new, the nearest known is %s", ch.scale, size, nearest)
	case ch.kind == ofDeparture && ch.scale == 1:
		return fmt.Sprintf("it departs from the usual for this hour by %s, the nearest known departure is %s", size, nearest)
	case ch.kind == ofDeparture:
		return fmt.Sprintf("the last %d points depart from the usual for their hours by %s on average, the nearest known is %s", ch.scale, size, nearest)
	case ch.kind == ofSize && ch.scale == 1:
		return fmt.Sprintf("it is %s %s the usual for this hour, %s", size, side(l.feature[3]), rarity(&f.sizes[0], l.at(best)))
	case ch.kind == ofSize:
		return fmt.Sprintf("the last %d points are %s %s the usual for their hours on average, %s",
			ch.scale, size, side(l.feature[5]), rarity(&f.sizes[1], l.at(best)))
	default:
		return fmt.Sprintf("it has not changed for %d points", l.next.run+1)
	}
}

// loudest is the channel with the greatest part in the score. What is left of earlier points' surprises does not count.
func (f *metricField) loudest(l *look) (channel int, part float64) {
	trust := l.next.trust()
	for c, ch := range watched {
		sum := 0.0
		for m := range members {
			if l.held[m][c] > hold*f.opinions[m].held[c] {
				sum += ch.weight * float64(l.held[m][c])
			}
		}
		if ch.kind == ofDeparture || ch.kind == ofSize {
			sum *= trust
		}
		if sum > part {
			channel, part = c, sum
		}
	}
	return channel, part
}

// nearestKnown is the number of the longer memory that is nearest to what the channel looks at, false where it has none.
func (f *metricField) nearestKnown(c int, l *look) (known float64, ok bool) {
	if c >= memories {
		return 0, false
	}
	m := &f.opinions[1].memories[c]
	_, i := m.nearest(int(l.place[1][c]), l.feature[c])
	if i < 0 {
		return 0, false
	}
	return f.named(c, l, float64(m.value[i])), true
}

// named is a channel's number as people know it: a value, or a departure as it would be at this hour.
func (f *metricField) named(c int, l *look, x float64) float64 {
	if watched[c].kind == ofValue {
		return x + f.origin
	}
	return x / f.rhythm.weight(int(l.week))
}

// side is where a departure lies.
func side(departure float64) string {
	if departure < 0 {
		return "below"
	}
	return "above"
}

func rarity(t *tail, x float64) string {
	if t.n > 0 && x <= float64(t.top[0]) {
		return "which is rare"
	}
	return "farther than ever before"
}

// Held is the highest of what the fields would score if nothing recurred; see metricField.held.
func (d *Metric) Held() (score float64, by Hold) {
	for i := range d.fields {
		if s := d.fields[i].held(); s > score {
			score, by = s, Recurring
		}
	}
	return score, by
}

// seldom is the most visits of a value that comes now and then: more often, and it is an ordinary one.
const seldom = 16

// held is the score that the point looked at last would have if nothing were routine at its hour, or if the nearest value to it, where it came seldom,
// had been forgotten; 0 where neither makes a difference.
func (f *metricField) held() float64 {
	l := &f.last
	if l.next.row != f.row+1 {
		return 0
	}
	routine := 0.0
	if f.score(l) < l.score {
		routine = l.score
	}
	if !f.ready(&watched[ofValue]) || !(f.without(1, 0) > 0) {
		return routine
	}
	score := 0.0
	trust := l.next.trust()
	for c := range watched {
		weight := watched[c].weight
		if watched[c].kind == ofDeparture || watched[c].kind == ofSize {
			weight *= trust
		}
		for m := range members {
			held := float64(l.held[m][c])
			if c < memories && f.ready(&watched[c]) {
				held = max(held, f.without(m, c))
			}
			score += weight * held
		}
	}
	return max(routine, score*perSum/weights/float64(len(members)))
}

// without is the surprise of a channel's number for a member that has forgotten the value nearest to it, 0 where that came more than seldom.
func (f *metricField) without(member, channel int) float64 {
	m := &f.opinions[member].memories[channel]
	x := f.last.feature[channel]
	_, i := m.nearest(int(f.last.place[member][channel]), x)
	if i < 0 || m.n < 2 || m.visits[i] > seldom {
		return 0
	}
	distance := math.Inf(1)
	if i > 0 {
		distance = math.Abs(x - float64(m.value[i-1]))
	}
	if i+1 < int(m.n) {
		distance = min(distance, math.Abs(float64(m.value[i+1])-x))
	}
	if distance <= f.floor() {
		return 0
	}
	return f.tail(member, channel).surprise(distance, members[member].ranks, 0, beyond)
}
