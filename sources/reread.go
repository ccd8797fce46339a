package sources

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// reread asks the broker, after an abort whose outcome may be otherwise, what is committed, and keeps only what is still to be told.
func (s *session) reread(ctx context.Context) error {
	ctx, cancel := within(ctx, endTimeout)
	defer cancel()
	var found map[place]int64
	for {
		var err error
		if found, err = s.stable(ctx); err == nil {
			break
		}
		if ctx.Err() != nil || !kerr.IsRetriable(err) && !errors.Is(err, kerr.UnstableOffsetCommit) {
			return fmt.Errorf("read the group's offsets after an abort: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for at, offset := range found {
		s.mu.Lock()
		o := s.owned[at]
		if o != nil && offset > o.committed {
			o.keepFrom(offset)
		} else {
			o = nil
		}
		s.mu.Unlock()
		if err := s.tell(ctx, at, o, offset); err != nil {
			return err
		}
	}
	return nil
}

// stable returns the committed offsets of the owned partitions, none of them in the middle of a transaction.
func (s *session) stable(ctx context.Context) (map[place]int64, error) {
	ids := map[string][]int32{}
	for _, at := range s.places() {
		ids[at.topic] = append(ids[at.topic], at.id)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = s.o.Group, true
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = s.o.Group
	for topic, partitions := range ids {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.TopicID, t.Partitions = topic, s.topics[topic].ID, partitions
		group.Topics = append(group.Topics, t)
		old := kmsg.NewOffsetFetchRequestTopic() // before Kafka 3.0
		old.Topic, old.Partitions = topic, partitions
		req.Topics = append(req.Topics, old)
	}
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(ctx, s.client.Client())
	if err != nil {
		return nil, err
	}
	names := map[[16]byte]string{}
	for name, t := range s.topics {
		names[t.ID] = name
	}
	found := map[place]int64{}
	note := func(topic string, partition int32, offset int64, code int16) error {
		found[place{topic, partition}] = offset
		return kerr.ErrorForCode(code)
	}
	errs := []error{kerr.ErrorForCode(resp.ErrorCode)}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			errs = append(errs, note(t.Topic, p.Partition, p.Offset, p.ErrorCode))
		}
	}
	for _, g := range resp.Groups {
		errs = append(errs, kerr.ErrorForCode(g.ErrorCode))
		for _, t := range g.Topics {
			topic := t.Topic
			if topic == "" {
				topic = names[t.TopicID] // version 10 names topics by id only
			}
			for _, p := range t.Partitions {
				errs = append(errs, note(topic, p.Partition, p.Offset, p.ErrorCode))
			}
		}
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
