package doctor

import (
	"slices"
	"time"
)

// How far clocks may be apart. Lag in seconds is wrong by as much; a record's time is believed up to its Kafka timestamp and max_ahead.
const (
	apart    = 2 * time.Second // an instance tells its own to a second
	farApart = time.Minute
)

const setClocks = "set the clocks: chronyc tracking, timedatectl"

func clocks(f *facts) []Finding {
	out := findings{area: "clocks"}
	compared := 0
	tell := func(whose string, ahead, unsure time.Duration) {
		compared++
		way := "ahead of"
		if ahead < 0 {
			way = "behind"
		}
		switch off := ahead.Abs() - unsure; {
		case off >= farApart:
			out.bad(setClocks, "the clock of %s is %s %s this machine's", whose, brief(ahead.Abs()), way)
		case off >= apart:
			out.warn(setClocks, "the clock of %s is %s %s this machine's", whose, brief(ahead.Abs()), way)
		}
	}
	if f.redis != nil {
		for _, n := range f.redis.Nodes {
			if n.ClockErr == nil {
				tell("Redis at "+n.Address, n.Ahead, n.Unsure)
			}
		}
	}
	for _, s := range f.instances {
		if s.Err == nil && !s.Clock.IsZero() {
			tell("the instance at "+s.URL, s.Clock.Sub(s.At), time.Second)
		}
	}
	// The brokers tell no time. What they do tell is the newest record's, by a producer's clock or, with LogAppendTime, by theirs: it may be
	// old, but not of the future.
	if f.cluster() {
		told := map[string]bool{}
		for i := range f.config.Streams {
			for _, topic := range f.config.Streams[i].Topics {
				if newest := newest(f, topic); !told[topic] && !newest.IsZero() {
					told[topic] = true
					compared++
					if ahead := newest.Sub(f.kafka.Topics[topic].At); ahead >= apart {
						out.warn("set the clock of the producer that writes them, or this machine's; till then lag in seconds is told as 0",
							"the newest record of %s is dated %s ahead of this machine's clock", topic, brief(ahead))
					}
				}
			}
		}
	}
	if compared > 0 && len(out.all) == 0 {
		out.good("%s compared with this machine's, none apart by %s", many(compared, "clock"), brief(apart))
	}
	return out.all
}

func newest(f *facts, topic string) (newest time.Time) {
	partitions := f.kafka.Topics[topic].Partitions
	for _, id := range ids(partitions) {
		newest = slices.MaxFunc([]time.Time{newest, partitions[id].Newest}, time.Time.Compare)
	}
	return newest
}
