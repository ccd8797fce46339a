package doctor

import (
	"fmt"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// When a group is behind far enough to be told of.
const (
	behind      = time.Minute
	nearTheEdge = 0.8 // of what a topic retains
)

func offsets(f *facts) []Finding {
	out := findings{area: "offsets"}
	if !f.cluster() {
		return nil
	}
	for i := range f.config.Streams {
		s := &f.config.Streams[i]
		begins := "start"
		if s.Start == config.StartLatest {
			begins = "end"
		}
		for _, topic := range s.Topics {
			f.position(&out, s.Group, topic, begins)
		}
		for j := range f.config.Sinks {
			f.position(&out, sinks.Group(s.Group, f.config.Sinks[j].ID()), s.Alert.Topic, "start")
		}
	}
	return out.all
}

// reading is where a group stands in a topic: partitions where all is not well, and how far it is behind in the others.
type reading struct {
	none   []string // nothing is committed, and there are records
	lost   []string // retention has deleted what was not read
	beyond []string // the next one lies past the end of the log
	near   []string // retention is about to delete what was not read
	left   int64    // offsets to read
	oldest time.Duration
	unread int // partitions whose next record is not seen
}

// reading compares what a group has committed with the log.
func (f *facts) reading(g kafka.GroupState, topic string) (r reading) {
	t := f.kafka.Topics[topic]
	for _, id := range ids(t.Partitions) {
		p := t.Partitions[id]
		if p.Err != nil {
			continue
		}
		at, committed := g.Committed[topic][id]
		where := fmt.Sprintf("%s/%d", topic, id)
		switch {
		case !committed && p.End > p.Start:
			r.none = append(r.none, where)
			continue
		case !committed: // and there is nothing to commit
			continue
		case at < p.Start:
			r.lost = append(r.lost, fmt.Sprintf("%s (%d offsets: next is %d, the log begins at %d)", where, p.Start-at, at, p.Start))
		case at > p.End:
			r.beyond = append(r.beyond, fmt.Sprintf("%s (next is %d, the log ends at %d)", where, at, p.End))
			continue
		}
		r.left += max(0, p.End-max(at, p.Start))
		next, seen := g.Next[topic][id]
		switch {
		case !seen:
			r.unread++
		case !next.IsZero():
			age := max(0, g.At.Sub(next))
			r.oldest = max(r.oldest, age)
			if t.Retention > 0 && at >= p.Start && age.Seconds() > nearTheEdge*t.Retention.Seconds() {
				r.near = append(r.near, fmt.Sprintf("%s (%s old of %s)", where, brief(age), brief(t.Retention)))
			}
		}
	}
	return r
}

// position tells where a group stands in a topic.
func (f *facts) position(out *findings, name, topic, begins string) {
	g, t := f.kafka.Groups[name], f.kafka.Topics[topic]
	if t.Err != nil || len(t.Partitions) == 0 {
		return // told with the topics
	}
	if g.OffsetsErr != nil {
		out.bad(refused(g.OffsetsErr, "group", name), "the offsets of %s cannot be read: %v", name, g.OffsetsErr)
		return
	}
	r := f.reading(g, topic)
	if len(r.lost) > 0 {
		out.bad("they are lost to "+name+"; raise retention.ms of "+topic+" above the longest outage, and see why the group fell behind: gonomaly top",
			"retention has deleted what %s had not read of %s", name, list(r.lost))
	}
	if len(r.beyond) > 0 {
		out.bad(fmt.Sprintf("the topic was truncated or made anew; stop the instances, then kafka-consumer-groups.sh --group %s --topic %s --reset-offsets --to-earliest --execute", name, topic),
			"%s stands beyond the end of %s", name, list(r.beyond))
	}
	if len(r.near) > 0 {
		out.warn("raise retention.ms of "+topic+" now; then let the group catch up: more instances, up to one a partition",
			"retention is about to delete what %s has not read: %s", name, list(r.near))
	}
	if len(r.none) > 0 {
		out.warn("nothing, if it is new; else its offsets have expired (offsets.retention.minutes) or its name has changed: see group of the stream",
			"%s has committed nothing for %s of %s, and begins at the %s of the log", name, many(len(r.none), "partition"), topic, begins)
	}
	if r.left == 0 && len(r.none)+len(r.lost)+len(r.beyond) > 0 {
		return
	}
	age := "the next of them not seen"
	switch {
	case r.left == 0 || r.oldest == 0 && r.unread == 0:
		age = "nothing waits"
	case r.unread == 0 || r.oldest > 0:
		age = "the next has waited " + brief(r.oldest)
	}
	says := fmt.Sprintf("%s is %s behind in %s, %s", name, many64(r.left, "offset"), topic, age)
	if r.oldest > behind {
		out.warn(catchUp(g), "%s", says)
		return
	}
	out.good("%s", says)
}

// catchUp is what to do about a group that is behind.
func catchUp(g kafka.GroupState) string {
	if !member(g) {
		return "gonomaly run"
	}
	return "see with gonomaly top whether it catches up; where it does not, add instances, up to one a partition"
}
