package sources

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// orphans are partitions that no member of the group has, and since when.
type orphans map[place]time.Time

// unowned asks the group who has which partition, counts those that nobody has, and returns the ones that nobody has had for two sessions
// while the group was stable. A group whose leader has not heard of a partition, or whose assignment was lost, stays so until something makes
// it rebalance. While the group rebalances, or does not answer, there is no count.
func (s *session) unowned(ctx context.Context, since orphans, logs map[place]*bounds, now time.Time) (old []place) {
	assigned, mine, state, err := s.assigned(ctx)
	if err == nil {
		s.expect(mine, logs, now)
		s.rests(state, now)
	}
	if err != nil || state != inRest {
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

const inRest = "Stable" // state of a group, for either protocol

// assigned are the partitions that members of the group have, and those that this one has; and the group's state.
func (s *session) assigned(ctx context.Context) (all, mine kadm.TopicsSet, state string, err error) {
	me, _ := s.client.GroupMetadata()
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if s.o.Config.GroupProtocol != Consumer {
		groups, err := kadm.NewClient(s.client).DescribeGroups(ctx, s.o.Group)
		if err != nil {
			return nil, nil, "", fmt.Errorf("describe group %s: %w", s.o.Group, err)
		}
		g := groups[s.o.Group]
		mine := kadm.TopicsSet{}
		for _, m := range g.Members {
			if c, ok := m.Assigned.AsConsumer(); ok && m.MemberID == me {
				for _, t := range c.Topics {
					mine.Add(t.Topic, t.Partitions...)
				}
			}
		}
		if g.Err != nil {
			return nil, nil, "", fmt.Errorf("describe group %s: %w", s.o.Group, g.Err)
		}
		return g.AssignedPartitions(), mine, g.State, nil
	}
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{s.o.Group}
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, nil, "", fmt.Errorf("describe group %s: %w", s.o.Group, err)
	}
	names := map[[16]byte]string{}
	for name, t := range s.topics {
		names[t.ID] = name
	}
	all, mine = kadm.TopicsSet{}, kadm.TopicsSet{}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return nil, nil, "", fmt.Errorf("describe group %s: %w", s.o.Group, err)
		}
		state = g.State
		for _, m := range g.Members {
			for _, t := range m.Assignment.TopicPartitions {
				name := cmp.Or(t.Topic, names[t.TopicID]) // it is not always given
				all.Add(name, t.Partitions...)
				if m.MemberID == me {
					mine.Add(name, t.Partitions...)
				}
			}
		}
	}
	return all, mine, state, nil
}

// expect notes which partitions the group has given to this member without the client having said so: it has not been told their committed
// offsets yet, and asks for them again and again. Where a transaction in which they were committed is never ended that is for ever.
func (s *session) expect(mine kadm.TopicsSet, logs map[place]*bounds, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for at := range logs {
		if _, given := mine[at.topic][at.id]; given && s.owned[at] == nil && s.coming[at] == nil {
			n++
		}
	}
	switch s.expected = n; {
	case n == 0:
		s.expecting = time.Time{}
	case s.expecting.IsZero():
		s.expecting = now
	}
}

// withheld says that partitions that the group has given to this member have not come for long.
func (s *session) withheld(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.expecting.IsZero() || now.Sub(s.expecting) < s.watching.orphaned {
		return nil
	}
	return fmt.Errorf("the group has given it %d partition(s) whose committed offsets the brokers have not told for %v: is a transaction not ended in which they were committed? "+
		"See kafka-transactions.sh describe-producers --topic __consumer_offsets", s.expected, now.Sub(s.expecting).Round(time.Second))
}

// rests notes since when the group has not come to rest while this member has nothing of it. A coordinator whose log takes no writes keeps a
// group so for ever, and calls of the client fail now and then only; so does a broker whose quota holds answers back for longer than a session.
func (s *session) rests(state string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.groupState = state; {
	case state == inRest || len(s.owned)+len(s.coming) > 0:
		s.restless = time.Time{}
	case s.restless.IsZero():
		s.restless = now
	}
}

// unsettled says that the group has not come to rest for long.
func (s *session) unsettled(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restless.IsZero() || now.Sub(s.restless) < s.watching.orphaned {
		return nil
	}
	return fmt.Errorf("the group has given it no partition, and has not come to rest for %v: its state is %s. Perhaps its coordinator cannot write "+
		"(kafka-topics.sh --describe --under-min-isr-partitions), or a quota holds this client back (kafka-configs.sh --describe --entity-type clients)",
		now.Sub(s.restless).Round(time.Second), s.groupState)
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
