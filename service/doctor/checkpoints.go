package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// staleTimes is how many times the interval of checkpoints a state may be old, and staleLeast the least that is told of.
const (
	staleTimes = 10
	staleLeast = time.Minute
)

func checkpoints(f *facts) []Finding {
	out := findings{area: "checkpoints"}
	c := f.config
	if c.Checkpoints.Store == config.StoreMemory {
		out.warn("redis.address, or checkpoints.directory on one machine", "are kept in memory: a restart folds the whole log again")
		return out.all
	}
	if !f.cluster() {
		return nil
	}
	for i := range c.Streams {
		for _, topic := range c.Streams[i].Topics {
			f.stored(&out, &c.Streams[i], topic)
		}
	}
	return out.all
}

// kept is what the store has of a stream's topic.
type kept struct {
	total, stored int      // partitions, and those with a state
	none          []string // without one, although something is committed
	damaged       []string
	above         []string // whose state lies above what is committed
	farthest      int64    // offsets behind what is committed
	oldest        time.Duration
	failed        error // the store could not be asked
}

// kept adds up what the store has of a stream's topic.
func (f *facts) kept(s *config.Stream, topic string) (k kept) {
	logs := slices.SortedFunc(maps.Keys(f.states), func(a, b pipeline.Log) int { return cmp.Compare(a.ID, b.ID) })
	for _, l := range logs {
		if l.Group != s.Group || l.Topic != topic {
			continue
		}
		has := f.states[l]
		k.total++
		at, committed := f.kafka.Groups[s.Group].Committed[topic][l.ID]
		at = max(at, f.later[s.Group].Committed[topic][l.ID])
		switch {
		case errors.Is(has.err, pipeline.ErrNoCheckpoint):
			if committed && at > 0 {
				k.none = append(k.none, strconv.Itoa(int(l.ID)))
			}
			continue
		case has.err != nil:
			k.failed = has.err
			continue
		case has.Missing > 0:
			k.damaged = append(k.damaged, fmt.Sprintf("%d (%s of %s)", l.ID, many(has.Missing, "bit"), many(has.Pieces, "piece")))
		case committed && has.Offset > at:
			k.above = append(k.above, fmt.Sprintf("%d (at %d, committed is %d)", l.ID, has.Offset, at))
		case committed:
			k.farthest = max(k.farthest, at-has.Offset)
		}
		k.stored++
		if !has.Written.IsZero() {
			k.oldest = max(k.oldest, f.now.Sub(has.Written))
		}
	}
	if told, known := f.age(s.Name, topic); known {
		k.oldest = max(k.oldest, told)
	}
	return k
}

// stored tells of the checkpoints of a stream's topic.
func (f *facts) stored(out *findings, s *config.Stream, topic string) {
	k, of := f.kept(s, topic), "of "+s.Name+" in "+topic
	if k.total == 0 {
		return // the topic is not there, which is told
	}
	if k.failed != nil {
		_, remedy := checkpoint.Reason(k.failed)
		out.bad(cmp.Or(remedy, "see that the store is there, and that this user may read it"), "%s cannot be looked at: %v", of, checkpoint.Bare(k.failed))
		return
	}
	if len(k.damaged) > 0 {
		out.bad("see to why it was lost: Redis wants maxmemory-policy noeviction and appendonly yes; the next checkpoint that is whole mends it",
			"%s: bits are gone of partitions %s", of, list(k.damaged))
	}
	if len(k.none) > 0 {
		out.warn("wait for the first ones, if it has just begun; else see gonomaly_checkpoints_total and the log: a restart now folds the log again",
			"%s: none of partitions %s", of, list(k.none))
	}
	if len(k.above) > 0 {
		out.warn("nothing, if somebody has reset the group's offsets: the state before them is used, or the log folded again",
			"%s: the newest lie above what is committed in partitions %s", of, list(k.above))
	}
	partitions := many(k.total, "partition")
	switch {
	case k.stored == 0 && len(k.none) == 0:
		out.good("%s: none of %s yet, and nothing is committed", of, partitions)
	case k.stored == 0 || len(k.damaged) > 0: // which is told
	case k.farthest == 0: // of one with nothing to add the age is that of the last record
		out.good("%s: %d of %s, all that is committed is in them", of, k.stored, partitions)
	default:
		says := fmt.Sprintf("%s: %d of %s, at most %s behind what is committed", of, k.stored, partitions, many64(k.farthest, "offset"))
		if k.oldest > 0 {
			says += ", the oldest " + brief(k.oldest) + " old"
		}
		if k.oldest > max(staleLeast, staleTimes*f.config.Checkpoints.Every) {
			out.warn("see gonomaly_checkpoints_total{outcome=\"failed\"} and the log: a restart folds again what came since", "%s", says)
			return
		}
		out.good("%s", says)
	}
}

// age is that of the oldest checkpoint of a stream's topic, as instances tell of it.
func (f *facts) age(stream, topic string) (oldest time.Duration, known bool) {
	for i := range f.instances {
		f.instances[i].Each("gonomaly_checkpoint_age_seconds", func(l map[string]string, x float64) {
			if l["stream"] == stream && l["topic"] == topic {
				oldest, known = max(oldest, time.Duration(x*float64(time.Second))), true
			}
		})
	}
	return oldest, known
}
