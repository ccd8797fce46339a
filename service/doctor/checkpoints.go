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

// stored tells of the checkpoints of a stream's topic.
func (f *facts) stored(out *findings, s *config.Stream, topic string) {
	var none, damaged, above []string
	var failed error
	total, stored, farthest, oldest := 0, 0, int64(0), time.Duration(0)
	logs := slices.SortedFunc(maps.Keys(f.states), func(a, b pipeline.Log) int { return cmp.Compare(a.ID, b.ID) })
	for _, l := range logs {
		if l.Group != s.Group || l.Topic != topic {
			continue
		}
		has := f.states[l]
		total++
		at, committed := f.kafka.Groups[s.Group].Committed[topic][l.ID]
		at = max(at, f.later[s.Group].Committed[topic][l.ID])
		switch {
		case errors.Is(has.err, pipeline.ErrNoCheckpoint):
			if committed && at > 0 {
				none = append(none, strconv.Itoa(int(l.ID)))
			}
			continue
		case has.err != nil:
			failed = has.err
			continue
		case has.Missing > 0:
			damaged = append(damaged, fmt.Sprintf("%d (%s of %s)", l.ID, many(has.Missing, "bit"), many(has.Pieces, "piece")))
		case committed && has.Offset > at:
			above = append(above, fmt.Sprintf("%d (at %d, committed is %d)", l.ID, has.Offset, at))
		case committed:
			farthest = max(farthest, at-has.Offset)
		}
		stored++
		if !has.Written.IsZero() {
			oldest = max(oldest, f.now.Sub(has.Written))
		}
	}
	if total == 0 {
		return // the topic is not there, which is told
	}
	if failed != nil {
		_, remedy := checkpoint.Reason(failed)
		if remedy == "" {
			remedy = "see that the store is there, and that this user may read it"
		}
		out.bad(remedy, "of %s in %s cannot be looked at: %v", s.Name, topic, checkpoint.Bare(failed))
		return
	}
	if len(damaged) > 0 {
		out.bad("see to why it was lost: Redis wants maxmemory-policy noeviction and appendonly yes; the next checkpoint that is whole mends it",
			"of %s in %s: bits are gone of partitions %s", s.Name, topic, list(damaged))
	}
	if len(none) > 0 {
		out.warn("wait for the first ones, if it has just begun; else see gonomaly_checkpoints_total and the log: a restart now folds the log again",
			"of %s in %s: none of partitions %s", s.Name, topic, list(none))
	}
	if len(above) > 0 {
		out.warn("nothing, if somebody has reset the group's offsets: the state before them is used, or the log folded again",
			"of %s in %s: the newest lie above what is committed in partitions %s", s.Name, topic, list(above))
	}
	if told, known := f.age(s.Name, topic); known {
		oldest = max(oldest, told)
	}
	switch {
	case stored == 0 && len(none) == 0:
		out.good("of %s in %s: none of %s yet, and nothing is committed", s.Name, topic, many(total, "partition"))
	case stored > 0 && len(damaged) == 0:
		says := fmt.Sprintf("of %s in %s: %d of %s, all that is committed is in them", s.Name, topic, stored, many(total, "partition"))
		if farthest > 0 {
			says = fmt.Sprintf("of %s in %s: %d of %s, at most %s behind what is committed", s.Name, topic, stored, many(total, "partition"), many64(farthest, "offset"))
			if oldest > 0 { // of one with nothing to add the age is that of the last record
				says += ", the oldest " + brief(oldest) + " old"
			}
		}
		if farthest > 0 && oldest > max(staleLeast, staleTimes*f.config.Checkpoints.Every) {
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
