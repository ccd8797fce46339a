package kafka

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrNoTopic says that a topic does not exist.
var ErrNoTopic = errors.New("does not exist")

// TopicState is what the brokers say of a topic.
type TopicState struct {
	Err        error  // ErrNoTopic, or why it could not be asked about
	ID         string // as Topic.HexID
	Operations []string
	Partitions map[int32]PartitionState
	At         time.Time     // when what is in the partitions was told
	Retention  time.Duration // 0 where records are kept for ever, or it is not told
}

// PartitionState is what the brokers say of a partition.
type PartitionState struct {
	Err      error // it has no leader, or that does not answer
	Replicas int
	InSync   int
	Start    int64     // first offset that is retained
	End      int64     // last stable offset: up to there readers of committed records get
	Newest   time.Time // the largest timestamp in its log; zero where it is empty
	Open     *OpenTransaction
}

// OpenTransaction is the one that has been open in a partition for longest: readers of committed records get nothing from its start on.
type OpenTransaction struct {
	Producer int64     // its id, as kafka-transactions.sh list has it, too
	Start    int64     // first offset
	Last     time.Time // timestamp of the newest record that the producer has written; zero where it is not told
}

func (x *examination) topics(ctx context.Context) map[string]TopicState {
	found := map[string]TopicState{}
	if len(x.q.Topics) == 0 {
		return found
	}
	var resp *kmsg.MetadataResponse
	err := within(ctx, x.q.Each, func(ctx context.Context) (err error) {
		req := kmsg.NewPtrMetadataRequest()
		req.IncludeTopicAuthorizedOperations = true
		for _, name := range x.q.Topics {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, t)
		}
		resp, err = req.RequestWith(ctx, x.client)
		return err
	})
	if err != nil {
		for _, name := range x.q.Topics {
			found[name] = TopicState{Err: fmt.Errorf("ask for topics: %w", err)}
		}
		return found
	}
	var there []string
	for _, t := range resp.Topics {
		state := TopicState{Err: kerr.ErrorForCode(t.ErrorCode), Operations: operations(kadm.DecodeACLOperations(t.AuthorizedOperations)), Partitions: map[int32]PartitionState{}}
		if errors.Is(state.Err, kerr.UnknownTopicOrPartition) {
			state.Err = ErrNoTopic
		}
		if t.TopicID != [16]byte{} {
			state.ID = hex.EncodeToString(t.TopicID[:])
		}
		for _, p := range t.Partitions {
			state.Partitions[p.Partition] = PartitionState{Err: kerr.ErrorForCode(p.ErrorCode), Replicas: len(p.Replicas), InSync: len(p.ISR)}
		}
		if t.Topic != nil {
			found[*t.Topic] = state
			if state.Err == nil {
				there = append(there, *t.Topic)
			}
		}
	}
	x.logs(ctx, there, found)
	x.retentions(ctx, there, found)
	x.transactions(ctx, there, found)
	return found
}

// transactions fills in which are open, where that may be asked.
func (x *examination) transactions(ctx context.Context, topics []string, found map[string]TopicState) {
	if len(topics) == 0 {
		return
	}
	partitions := kadm.TopicsSet{}
	for _, name := range topics {
		for id := range found[name].Partitions {
			partitions.Add(name, id)
		}
	}
	_ = within(ctx, x.q.Each, func(ctx context.Context) error {
		all, err := x.admin.DescribeProducers(ctx, partitions)
		all.EachProducer(func(w kadm.DescribedProducer) {
			p, asked := found[w.Topic].Partitions[w.Partition]
			if !asked || w.CurrentTxnStartOffset < 0 || p.Open != nil && p.Open.Start <= w.CurrentTxnStartOffset {
				return
			}
			p.Open = &OpenTransaction{Producer: w.ProducerID, Start: w.CurrentTxnStartOffset}
			if w.LastTimestamp > 0 {
				p.Open.Last = time.UnixMilli(w.LastTimestamp)
			}
			found[w.Topic].Partitions[w.Partition] = p
		})
		return err
	})
}

// logs fills in where the partitions of topics begin and end.
func (x *examination) logs(ctx context.Context, topics []string, found map[string]TopicState) {
	if len(topics) == 0 {
		return
	}
	ask := func(list func(context.Context, ...string) (kadm.ListedOffsets, error), to func(*PartitionState, kadm.ListedOffset)) {
		var listed kadm.ListedOffsets
		err := within(ctx, x.q.Each, func(ctx context.Context) (err error) {
			listed, err = list(ctx, topics...)
			return err
		})
		for _, name := range topics {
			for id, p := range found[name].Partitions {
				o, answered := listed.Lookup(name, id)
				switch {
				case answered && o.Err == nil:
					to(&p, o)
				case p.Err != nil:
				case answered:
					p.Err = o.Err
				default:
					p.Err = fmt.Errorf("ask for its offsets: %w", errors.Join(err, ctx.Err()))
				}
				found[name].Partitions[id] = p
			}
		}
	}
	ask(x.admin.ListStartOffsets, func(p *PartitionState, o kadm.ListedOffset) { p.Start = o.Offset })
	ask(x.admin.ListCommittedOffsets, func(p *PartitionState, o kadm.ListedOffset) { p.End = o.Offset })
	ask(x.admin.ListMaxTimestampOffsets, func(p *PartitionState, o kadm.ListedOffset) {
		if o.Timestamp > 0 {
			p.Newest = time.UnixMilli(o.Timestamp)
		}
	})
	told := time.Now()
	for _, name := range topics {
		t := found[name]
		t.At = told
		found[name] = t
	}
}

// retentions fills in how long topics keep records, where that may be asked.
func (x *examination) retentions(ctx context.Context, topics []string, found map[string]TopicState) {
	if len(topics) == 0 {
		return
	}
	_ = within(ctx, x.q.Each, func(ctx context.Context) error {
		all, err := x.admin.DescribeTopicConfigs(ctx, topics...)
		for _, c := range all {
			t, asked := found[c.Name]
			i := slices.IndexFunc(c.Configs, func(c kadm.Config) bool { return c.Key == "retention.ms" })
			if !asked || c.Err != nil || i < 0 {
				continue
			}
			if ms, err := strconv.ParseInt(c.Configs[i].MaybeValue(), 10, 64); err == nil && ms > 0 && ms < int64(time.Duration(1<<63-1)/time.Millisecond) {
				t.Retention = time.Duration(ms) * time.Millisecond
				found[c.Name] = t
			}
		}
		return err
	})
}
