package sources

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// orphans are partitions that no member of the group has, and since when.
type orphans map[place]time.Time

// unowned asks the group who has which partition, counts those that nobody has, and returns the ones that nobody has had for two sessions
// while the group was stable. A group whose leader has not heard of a partition, or whose assignment was lost, stays so until something makes
// it rebalance. While the group rebalances, or does not answer, there is no count.
func (s *session) unowned(ctx context.Context, since orphans, logs map[place]*bounds, now time.Time) (old []place) {
	assigned, stable, err := s.assigned(ctx)
	if err != nil || !stable {
		if err == nil {
			clear(since)
		}
		s.o.Metrics.unowned.DeleteLabelValues(s.o.Stream)
		return nil
	}
	old = since.see(assigned, logs, now, s.watching.orphaned)
	s.o.Metrics.unowned.WithLabelValues(s.o.Stream).Set(float64(len(since)))
	return old
}

// assigned are the partitions that members of the group have.
func (s *session) assigned(ctx context.Context) (_ kadm.TopicsSet, stable bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	const inRest = "Stable"
	if s.o.Config.GroupProtocol != Consumer {
		groups, err := kadm.NewClient(s.client).DescribeGroups(ctx, s.o.Group)
		if err != nil {
			return nil, false, fmt.Errorf("describe group %s: %w", s.o.Group, err)
		}
		g := groups[s.o.Group]
		return g.AssignedPartitions(), g.Err == nil && g.State == inRest, nil
	}
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{s.o.Group}
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, false, fmt.Errorf("describe group %s: %w", s.o.Group, err)
	}
	names := map[[16]byte]string{}
	for name, t := range s.topics {
		names[t.ID] = name
	}
	all := kadm.TopicsSet{}
	for _, g := range resp.Groups {
		stable = g.ErrorCode == 0 && g.State == inRest
		for _, m := range g.Members {
			for _, t := range m.Assignment.TopicPartitions {
				all.Add(cmp.Or(t.Topic, names[t.TopicID]), t.Partitions...) // a name is not always given
			}
		}
	}
	return all, stable, nil
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
