package sources

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commit is an offset as the group has it.
type commit struct {
	offset int64 // -1 for none
	mark   mark
}

// mark is what we write beside an offset: which log it is of, for the broker keeps offsets by the topic's name, and which part of that the
// state is made of.
type mark struct {
	topic      [16]byte // id; zero where it is not known
	partitions int32    // that the topic had; a partition beyond them was added later
	since      int64    // the first offset that the state knows; 0 for all of the log
}

func (m mark) String() string {
	text := fmt.Sprintf("gonomaly topic=%s partitions=%d", hex.EncodeToString(m.topic[:]), m.partitions)
	if m.since > 0 {
		text += fmt.Sprintf(" since=%d", m.since)
	}
	return text
}

// parseMark is zero for what others have written.
func parseMark(text *string) (m mark) {
	if text == nil {
		return mark{}
	}
	var id string
	if n, _ := fmt.Sscanf(*text, "gonomaly topic=%s partitions=%d since=%d", &id, &m.partitions, &m.since); n < 2 { // the last is not always there
		return mark{}
	}
	m.since = max(0, m.since)
	if b, err := hex.DecodeString(id); err == nil && len(b) == len(m.topic) {
		m.topic = [16]byte(b)
	}
	return m
}

// markOf is what is written beside a partition's offset.
func (s *session) markOf(at place, o *owned) mark {
	return mark{topic: s.topics[at.topic].ID, partitions: s.topics[at.topic].Partitions, since: o.since}
}

// of says whether the offset is one of the topic with this id, as far as that is known.
func (c commit) of(id [16]byte) bool {
	return c.mark.topic == [16]byte{} || id == [16]byte{} || c.mark.topic == id
}

// reread asks the broker, after a commit whose outcome may be otherwise, what is committed, and keeps only what is still to be told.
func (s *session) reread(ctx context.Context) error {
	ctx, cancel := within(ctx, endTimeout)
	defer cancel()
	ids := map[string][]int32{}
	for _, at := range s.places() {
		ids[at.topic] = append(ids[at.topic], at.id)
	}
	var found map[place]commit
	for {
		var err error
		if found, err = s.commits(ctx, ids, true); err == nil {
			break
		}
		if ctx.Err() != nil || !kerr.IsRetriable(err) && !errors.Is(err, kerr.UnstableOffsetCommit) {
			return fmt.Errorf("read the group's offsets after an abort: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for at, c := range found {
		s.mu.Lock()
		o := s.owned[at]
		if o != nil && c.offset > o.committed && c.of(s.topics[at.topic].ID) {
			o.keepFrom(c.offset)
		} else {
			o = nil
		}
		s.mu.Unlock()
		if err := s.tell(ctx, at, o, c.offset); err != nil {
			return err
		}
	}
	return nil
}

// commits are the committed offsets of partitions. Stable ones are not given while one of them stands in the midst of a transaction.
func (s *session) commits(ctx context.Context, ids map[string][]int32, stable bool) (map[place]commit, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = s.o.Group, stable
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
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, err
	}
	names := map[[16]byte]string{}
	for name, t := range s.topics {
		names[t.ID] = name
	}
	found := map[place]commit{}
	note := func(topic string, partition int32, offset int64, metadata *string, code int16) error {
		found[place{topic, partition}] = commit{offset, parseMark(metadata)}
		return kerr.ErrorForCode(code)
	}
	errs := []error{kerr.ErrorForCode(resp.ErrorCode)}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			errs = append(errs, note(t.Topic, p.Partition, p.Offset, p.Metadata, p.ErrorCode))
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
				errs = append(errs, note(topic, p.Partition, p.Offset, p.Metadata, p.ErrorCode))
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
