package sources

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// delivery is how a turn of the loop begins and ends. Whoever has it is the loop alone.
type delivery interface {
	// begin makes ready for messages. again says that all that is pending has to be written again: nothing of it is durable.
	begin(ctx context.Context) (again bool, err error)

	// end makes the turn's messages and the offsets that it notes in sent durable. Where that did not happen, or is not known, why says so,
	// and the turn may be tried again; err is what the client does not survive. Without write it gives the turn up.
	end(ctx context.Context, write bool, sent map[place]int64) (why, err error)
}

// deliver makes the client that its options ask for, and how it delivers.
func (s *session) deliver(opts []kgo.Opt) (*kgo.Client, delivery, error) {
	if s.exactlyOnce() {
		group, err := kgo.NewGroupTransactSession(append(opts, s.transactions()...)...)
		if err != nil {
			return nil, nil, err
		}
		return group.Client(), &transactions{session: s, group: group}, nil
	}
	client, err := kgo.NewClient(append(opts, kgo.DisableAutoCommit())...)
	if err != nil {
		return nil, nil, err
	}
	return client, &plainCommits{session: s}, nil
}

// errAbort is an error that gives a turn up without giving up the client.
var errAbort = kerr.RebalanceInProgress

// errTainted gives up a turn whose alerts would be told again.
var errTainted = fmt.Errorf("a partition with alerts in the transaction was assigned again: %w", errAbort)

// due are the partitions whose position the turn commits: those that the client still holds, for the broker checks the member and not
// the partition; and never a position below what is committed. It is called with mu held.
func (s *session) due(held map[string]map[int32]kgo.EpochOffset) ([]place, error) {
	if s.tainted.Load() {
		return nil, errTainted
	}
	var due []place
	for at, o := range s.owned {
		if to := o.due(); o.settled.IsZero() || to < o.committed || to == o.committed && o.written == 0 {
			continue // not taken over yet, folding what is committed already, or nothing new
		}
		if _, ours := held[at.topic][at.id]; ours {
			due = append(due, at)
		} else if o.written > 0 {
			return nil, fmt.Errorf("the transaction holds alerts of %v, which is no longer ours: %w", o.p, errAbort)
		}
	}
	return due, nil
}

// dueOffset is what is committed of a partition.
type dueOffset struct {
	id     int32
	offset int64
	epoch  int32 // of the leader that the last record came from
	mark   string
}

// dueNow is what to commit of the due partitions, by topic; sent is noted. It asks anew what the client holds. All of it is read at once: in
// the next moment a partition may be gone, and the broker takes its offset still.
func (s *session) dueNow(sent map[place]int64) (map[string][]dueOffset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(sent)
	due, err := s.due(s.client.CommittedOffsets())
	if err != nil {
		return nil, err
	}
	byTopic := map[string][]dueOffset{}
	for _, at := range due {
		o := s.owned[at]
		sent[at] = o.due()
		byTopic[at.topic] = append(byTopic[at.topic], dueOffset{at.id, sent[at], o.endEpoch, s.markOf(at, o).String()})
	}
	return byTopic, nil
}

// errNotTaken is all that the client tells of a commit that brokers did not take; errRevoked is why, where partitions went in between.
var (
	errNotTaken = errors.New("the group rebalances, or its coordinator moves")
	errRevoked  = fmt.Errorf("partitions were revoked: %w", errAbort)
)

// passes says of an error of a commit that the turn may be tried again, with this client: the group rebalances, or its coordinator moves.
func passes(err error) bool {
	for _, passing := range []error{
		errNotTaken, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.StaleMemberEpoch, kerr.GroupIDNotFound, kerr.CoordinatorNotAvailable,
		kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.RequestTimedOut, kerr.UnknownServerError,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// plainCommits deliver at least once: the turn's messages are written, then the offsets are committed. After a failure in between the records
// are folded again, and what comes of them has the same ids.
type plainCommits struct {
	*session
	failed bool // messages of the last turn were not all written
}

func (c *plainCommits) begin(context.Context) (bool, error) {
	failed := c.failed
	c.failed = false
	return failed, nil
}

func (c *plainCommits) end(ctx context.Context, write bool, sent map[place]int64) (why, err error) {
	if !write {
		c.failed = true
		return nil, ctx.Err()
	}
	due, err := c.dueNow(sent)
	if err != nil || len(due) == 0 {
		return lasting(err)
	}
	offsets := map[string]map[int32]kgo.EpochOffset{} // what they are, is said at the last moment
	for topic, all := range due {
		offsets[topic] = map[int32]kgo.EpochOffset{}
		for _, d := range all {
			offsets[topic][d.id] = kgo.EpochOffset{}
		}
	}
	var failed error
	c.client.CommitOffsetsSync(kgo.PreCommitFnContext(ctx, c.offsets(sent)), offsets,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			if failed = err; err != nil {
				return
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil && (failed == nil || passes(failed)) {
						failed = fmt.Errorf("topic %s partition %d: %w", t.Topic, p.Partition, err)
					}
				}
			}
		})
	if failed != nil {
		return lasting(fmt.Errorf("commit offsets: %w", failed))
	}
	return nil, nil
}

// lasting tells an error after which the turn may be tried again from one that the client does not survive.
func lasting(err error) (why, lasts error) {
	if passes(err) {
		return err, nil
	}
	return nil, err
}

// offsets puts the positions of what is due into the commit.
func (c *plainCommits) offsets(sent map[place]int64) func(*kmsg.OffsetCommitRequest) error {
	return func(req *kmsg.OffsetCommitRequest) error {
		due, err := c.dueNow(sent)
		if err != nil {
			return err
		}
		req.Topics = req.Topics[:0]
		for topic, all := range due {
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = topic, c.topics[topic].ID
			for _, d := range all {
				p := kmsg.NewOffsetCommitRequestTopicPartition()
				p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = d.id, d.offset, d.epoch, &d.mark
				t.Partitions = append(t.Partitions, p)
			}
			req.Topics = append(req.Topics, t)
		}
		return nil
	}
}
