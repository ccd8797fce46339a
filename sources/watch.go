package sources

import (
	"context"
	"fmt"
	"time"
)

const (
	watchEvery  = 3 * time.Second
	listTimeout = 3 * time.Second

	// stuckAfter is how long a partition may stand still while its log grows, before the client is taken for broken.
	stuckAfter = max(3*sessionTimeout, 15*time.Second)
)

// stand is a position and when it was first seen.
type stand struct {
	position int64
	since    time.Time
}

// watch looks at the ends of the logs, past the client's own fetching: for the lag, and for a partition that stands still while its log
// grows, although nothing has failed. That is told once, through stuck.
func (s *session) watch(ctx context.Context, stuck chan<- error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	stands := map[*owned]stand{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := time.Now()
		logs, err := s.listLogs(ctx, s.o.Topics)
		if err != nil {
			continue // a broker that does not answer this is not helped by another client
		}
		if err := s.standing(stands, logs, asked); err != nil {
			select {
			case stuck <- err:
			default:
			}
		}
	}
}

// standing brings stands up to date, and returns an error for a partition that should have moved.
func (s *session) standing(stands map[*owned]stand, logs map[place]*bounds, asked time.Time) error {
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
		left, known := o.lag.sees(log.end, asked)
		if from := max(o.position, o.from); !known && from >= 0 {
			o.lag.begin(from, log.end)
		}
		if before, ok := stands[o]; !ok || before.position != o.position || left == 0 {
			stands[o] = stand{o.position, asked}
		} else if stood := asked.Sub(before.since); stood > stuckAfter {
			return fmt.Errorf("%v has not moved from offset %d for %v, with %d records to go", o.p, o.position, stood.Round(time.Second), left)
		}
	}
	return nil
}
