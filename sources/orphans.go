package sources

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// orphans are partitions that no member of the group has, and since when.
type orphans map[place]time.Time

// unowned asks the group who has which partition, and returns those that nobody has had for two sessions while the group was stable. A
// group whose leader has not heard of a partition, or whose assignment was lost, stays so until something makes it rebalance.
func (s *session) unowned(ctx context.Context, since orphans, logs map[place]*bounds, now time.Time) ([]place, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	groups, err := kadm.NewClient(s.client).DescribeGroups(ctx, s.o.Group)
	if err != nil {
		return nil, fmt.Errorf("describe group %s: %w", s.o.Group, err)
	}
	g := groups[s.o.Group]
	if g.Err != nil || g.State != "Stable" {
		clear(since)
		return nil, nil
	}
	return since.see(g.AssignedPartitions(), logs, now, s.watching.orphaned), nil
}

// see brings the orphans up to date, and returns those that have been such for longer than after. They count anew from then on.
func (o orphans) see(assigned kadm.TopicsSet, logs map[place]*bounds, now time.Time, after time.Duration) (old []place) {
	for at := range logs {
		if _, owned := assigned[at.topic][at.id]; owned {
			delete(o, at)
		} else if since, known := o[at]; !known {
			o[at] = now
		} else if now.Sub(since) > after {
			old = append(old, at)
			o[at] = now
		}
	}
	return old
}
