package sources

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// transactions deliver exactly once: the turn's messages and its offsets stand in one transaction.
type transactions struct {
	*session
	group   *kgo.GroupTransactSession
	refused error // why the offsets of this turn were not even sent
}

// begin opens a transaction. The client's Begin takes no context, and without a coordinator it blocks for minutes: giving up on it means
// giving up the client.
func (t *transactions) begin(ctx context.Context) (again bool, err error) {
	began := make(chan error, 1)
	go func() { began <- t.group.Begin() }()
	wait := time.NewTimer(beginTimeout)
	defer wait.Stop()
	select {
	case err := <-began:
		if err != nil {
			return false, fmt.Errorf("begin transaction: %w", err)
		}
		return true, nil
	case <-wait.C:
		return false, fmt.Errorf("begin transaction: no answer within %v", beginTimeout)
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (t *transactions) end(ctx context.Context, write bool, sent map[place]int64) (why, err error) {
	t.refused = nil
	committed, err := t.group.End(kgo.PreTxnCommitFnContext(ctx, t.offsets(sent)), kgo.TransactionEndTry(write))
	switch {
	case err != nil || committed:
		return nil, err
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no answer in time: %w", ctx.Err())
	case t.refused != nil:
		return t.refused, nil
	}
	return errNotTaken, nil
}

// offsets puts the positions into the commit, in place of the client's own list: after an abort that lacks the partitions that were not
// polled since, although their alerts are in the transaction. What was sent is noted.
func (t *transactions) offsets(sent map[place]int64) func(*kmsg.TxnOffsetCommitRequest) error {
	return func(req *kmsg.TxnOffsetCommitRequest) error {
		due, err := t.dueNow(sent)
		if t.refused = err; err != nil {
			return err
		}
		req.Topics = req.Topics[:0]
		for topic, all := range due {
			of := kmsg.NewTxnOffsetCommitRequestTopic()
			of.Topic, of.TopicID = topic, t.topics[topic].ID
			for _, d := range all {
				p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
				p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = d.id, d.offset, d.epoch, &d.mark
				of.Partitions = append(of.Partitions, p)
			}
			req.Topics = append(req.Topics, of)
		}
		return nil
	}
}
