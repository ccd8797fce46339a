package sources

import (
	"context"
	"fmt"
	"time"
)

const listTimeout = 3 * time.Second

// watching are the times of the watchdog.
type watching struct {
	every    time.Duration
	suspect  time.Duration // a partition that has stood still for so long while its log grows is looked at
	stuck    time.Duration // then the client is taken for broken
	orphaned time.Duration // a partition may be nobody's in a stable group
}

var defaultWatching = watching{every: 3 * time.Second, suspect: 5 * time.Second, stuck: max(3*sessionTimeout, 15*time.Second), orphaned: 2 * sessionTimeout}

// stand is a position and when it was first seen.
type stand struct {
	position int64
	since    time.Time
}

// watch looks at the ends of the logs, past the client's own fetching: for the lag, and for a partition that stands still while its log
// grows, although nothing has failed. That is told once, through stuck. It looks at the group, too, for partitions that nobody has.
func (s *session) watch(ctx context.Context, stuck chan<- error) {
	tick := time.NewTicker(s.watching.every)
	defer tick.Stop()
	stands, nobodys := map[*owned]stand{}, orphans{}
	defer s.o.Metrics.unowned.DeleteLabelValues(s.o.Stream)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.tellProgress(time.Now())
		asked := time.Now()
		logs, err := s.listLogs(ctx, s.o.Topics)
		if err != nil && len(logs) == 0 {
			continue // a broker that does not answer this is not helped by another client
		}
		if err := s.standing(stands, logs, asked); err != nil {
			select {
			case stuck <- err:
			default:
			}
		}
		if old := s.unowned(ctx, nobodys, logs, asked); len(old) > 0 && s.o.Config.GroupProtocol != Consumer { // there the brokers assign; a member cannot make them
			s.o.Metrics.forced.WithLabelValues(s.o.Stream).Inc()
			s.log.Warn("partitions have no member although the group is stable: making it rebalance", "partitions", len(old), "one", fmt.Sprintf("%s/%d", old[0].topic, old[0].id))
			s.client.ForceRebalance()
		}
	}
}

// standing brings stands up to date, and returns an error for a partition that should have moved, or should not have been taken over. While
// fetching rests none should move.
func (s *session) standing(stands map[*owned]stand, logs map[place]*bounds, asked time.Time) error {
	resting := s.pressure.resting()
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range stands {
		if s.owned[place{o.p.Topic, o.p.ID}] != o {
			delete(stands, o)
		}
	}
	for at, o := range s.owned {
		log := logs[at]
		if log == nil || o.settled.IsZero() {
			continue
		}
		if o.unchecked > log.end { // a new client does not take it over, and says why
			return beyondEnd("offset", at, o.unchecked, log.end)
		}
		o.unchecked = 0
		o.lag.sees(*log, asked)
		left := o.lag.left()
		before, ok := stands[o]
		if !ok || before.position != o.position || left == 0 || resting {
			stands[o] = stand{o.position, asked}
			continue
		}
		stood := asked.Sub(before.since)
		if stood > s.watching.stuck {
			s.o.Metrics.stuck.WithLabelValues(s.o.Stream).Inc()
			return fmt.Errorf("%v has not moved from offset %d for %v, with %d records to go", o.p, o.position, stood.Round(time.Second), left)
		}
		if stood > s.watching.suspect {
			select {
			case s.suspects <- at:
			default:
			}
		}
	}
	return nil
}
