package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupState is what the brokers say of a consumer group.
type GroupState struct {
	Err        error  // it could not be described
	State      string // Stable, Empty, Dead, …
	Operations []string
	Members    []Member
	Committed  map[string]map[int32]int64
	OffsetsErr error
	At         time.Time                      // when Next was asked for
	Next       map[string]map[int32]time.Time // timestamps of the records that the group reads next; those of partitions with none left are zero
}

// Member is one of a group.
type Member struct {
	Client, Host, Instance string
	Assigned               map[string][]int32
}

func newMember(client, host string, instance *string) Member {
	m := Member{Client: client, Host: host, Assigned: map[string][]int32{}}
	if instance != nil {
		m.Instance = *instance
	}
	return m
}

func (x *examination) group(ctx context.Context, q GroupQuestion) GroupState {
	g := GroupState{Committed: map[string]map[int32]int64{}, Next: map[string]map[int32]time.Time{}}
	g.Err = within(ctx, x.q.Each, func(ctx context.Context) error {
		if q.Consumer {
			return x.describeConsumer(ctx, q.Name, &g)
		}
		return x.describeClassic(ctx, q.Name, &g)
	})
	g.OffsetsErr = within(ctx, x.q.Each, func(ctx context.Context) error {
		offsets, err := x.admin.FetchOffsets(ctx, q.Name)
		if errors.Is(err, kerr.GroupIDNotFound) { // without members and offsets yet
			return nil
		}
		offsets.Each(func(o kadm.OffsetResponse) {
			if o.Err != nil || !slices.Contains(q.Topics, o.Topic) || o.At < 0 {
				err = errors.Join(err, o.Err)
				return
			}
			if g.Committed[o.Topic] == nil {
				g.Committed[o.Topic] = map[int32]int64{}
			}
			g.Committed[o.Topic][o.Partition] = o.At
		})
		return err
	})
	g.At = time.Now()
	if g.OffsetsErr == nil {
		_ = within(ctx, x.q.Each, func(ctx context.Context) error { return x.next(ctx, &g) }) // what it finds is there all the same
	}
	return g
}

func (x *examination) describeClassic(ctx context.Context, name string, g *GroupState) error {
	groups, err := x.admin.DescribeGroups(ctx, name)
	if err != nil {
		return err
	}
	d := groups[name]
	g.State, g.Operations = d.State, operations(d.AuthorizedOperations)
	if errors.Is(d.Err, kerr.GroupIDNotFound) {
		g.State = "Dead"
		return nil
	}
	for _, m := range d.Members {
		member := newMember(m.ClientID, m.ClientHost, m.InstanceID)
		if c, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range c.Topics {
				member.Assigned[t.Topic] = append(member.Assigned[t.Topic], t.Partitions...)
			}
		}
		g.Members = append(g.Members, member)
	}
	return d.Err
}

func (x *examination) describeConsumer(ctx context.Context, name string, g *GroupState) error {
	groups, err := x.admin.DescribeConsumerGroups(ctx, name)
	if err != nil {
		return err
	}
	d := groups[name]
	g.State, g.Operations = d.State, operations(d.AuthorizedOperations)
	if errors.Is(d.Err, kerr.GroupIDNotFound) {
		g.State = "Dead"
		return nil
	}
	for _, m := range d.Members {
		member := newMember(m.ClientID, m.ClientHost, m.InstanceID)
		for topic, ids := range m.Assignment {
			for id := range ids {
				member.Assigned[topic] = append(member.Assigned[topic], id)
			}
		}
		g.Members = append(g.Members, member)
	}
	return d.Err
}

// peekBytes bounds what is fetched of a partition to see the timestamp of one record; a broker sends at least a batch.
const peekBytes = 16 << 10

// next reads the record at each committed offset, for its timestamp: that is how long the group stands behind, exactly. What a broker does
// not send within the context's time is left out.
func (x *examination) next(ctx context.Context, g *GroupState) error {
	from := map[string]map[int32]kgo.Offset{}
	left := 0
	topics := make([]string, 0, len(g.Committed))
	for topic := range g.Committed {
		topics = append(topics, topic)
	}
	if len(topics) == 0 {
		return nil
	}
	starts, err1 := x.admin.ListStartOffsets(ctx, topics...)
	ends, err2 := x.admin.ListCommittedOffsets(ctx, topics...)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	for topic, partitions := range g.Committed {
		g.Next[topic], from[topic] = map[int32]time.Time{}, map[int32]kgo.Offset{}
		for id, at := range partitions {
			start, _ := starts.Lookup(topic, id)
			end, known := ends.Lookup(topic, id)
			switch {
			case !known || end.Err != nil || at > end.Offset:
			case at == end.Offset:
				g.Next[topic][id] = time.Time{}
			default:
				from[topic][id] = kgo.NewOffset().At(max(at, start.Offset))
				left++
			}
		}
	}
	if left == 0 {
		return nil
	}
	client, err := kgo.NewClient(append(slices.Clone(x.opts), kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxPartitionBytes(peekBytes), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer client.Close()
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if failed := fetches.Errors(); len(failed) > 0 { // the first is enough: it would come back thousands of times a second
			return failed[0].Err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if _, seen := g.Next[r.Topic][r.Partition]; seen {
				return
			}
			end, _ := ends.Lookup(r.Topic, r.Partition)
			switch { // markers of transactions are nothing to wait for
			case !r.Attrs.IsControl() && r.Offset < end.Offset:
				g.Next[r.Topic][r.Partition] = r.Timestamp
			case r.Offset >= end.Offset-1:
				g.Next[r.Topic][r.Partition] = time.Time{}
			default:
				return
			}
			left--
		})
	}
	return nil
}
