package sources

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/pipeline"
)

// tooLarge says that a broker's answer was more than the client reads: it begins with a batch that is. The client does not export that
// error, and does not know which partition's it is.
func tooLarge(err error) bool { return strings.Contains(err.Error(), "BrokerMaxReadBytes") }

// undecodable says that a partition's fetch failed for what it brought: not by word of the broker, and not for the group or the network.
func undecodable(err error) bool {
	if _, ok := errors.AsType[*kerr.Error](err); ok {
		return false
	}
	if _, ok := errors.AsType[*kgo.ErrDataLoss](err); ok {
		return false
	}
	_, ok := errors.AsType[*kgo.ErrGroupSession](err)
	return !ok
}

// stepOver goes on after a batch that cannot be decoded within bounds. To the handler it looks as a marker at the batch's end does, so that
// the position passes it.
func (s *session) stepOver(ctx context.Context, at place, from, to int64, epoch int32, why error) error {
	o := s.get(at)
	if o == nil {
		return nil
	}
	s.o.Metrics.skipped.WithLabelValues(s.o.Stream).Inc()
	s.o.Metrics.skippedOffsets.WithLabelValues(s.o.Stream).Add(float64(to - from))
	s.log.Error("stepping over a batch that cannot be decoded: its records are in the log still", "partition", o.p.String(), "from", from, "to", to-1, "error", why)
	o.turn.Lock()
	defer o.turn.Unlock()
	messages, err := s.h.Process(ctx, o.p, []pipeline.Record{{Offset: to - 1, Control: true}})
	if err != nil {
		return fmt.Errorf("step over %s/%d from %d to %d: %w", at.topic, at.id, from, to-1, err)
	}
	s.keep(o, messages, epoch)
	o.lag.done(o.position, time.Time{}, to)
	s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{at.topic: {at.id: {Epoch: epoch, Offset: to}}})
	return nil
}

// stepOverDeleted goes on where the log begins, after retention has deleted what was to be read and nothing has come since: without that the
// group's offset, and who watches it, would have a lag of records that are not there.
func (s *session) stepOverDeleted(ctx context.Context, o *owned, from, start int64, epoch int32) error {
	s.gap(o.p, from, start, from)
	o.turn.Lock()
	defer o.turn.Unlock()
	messages, err := s.h.Process(ctx, o.p, []pipeline.Record{{Offset: start - 1, Control: true}})
	if err != nil {
		return fmt.Errorf("step over %v from %d to %d: %w", o.p, from, start-1, err)
	}
	s.keep(o, messages, epoch)
	o.lag.done(o.position, time.Time{}, start)
	return nil
}

// inspectAll looks at what every partition stands before.
func (s *session) inspectAll(ctx context.Context) (stepped bool, err error) {
	for _, at := range s.places() {
		one, err := s.inspect(ctx, at, false)
		if err != nil {
			return false, err
		}
		stepped = stepped || one
	}
	return stepped, nil
}

// inspect looks at the batch that a partition stands before, as it stands in the log, and steps over it if it cannot be decoded. Where it
// can be although its fetch failed, the client is set to the position: the two may have parted.
func (s *session) inspect(ctx context.Context, at place, align bool) (stepped bool, err error) {
	o := s.get(at)
	if o == nil {
		return false, nil
	}
	s.mu.Lock()
	position, epoch := max(o.position, o.from, 0), o.epoch
	s.mu.Unlock()
	if start, deleted := o.lag.deleted(); deleted && start > position && s.client.BufferedFetchRecords() == 0 { // else some of it may be here still
		return true, s.stepOverDeleted(ctx, o, position, start, epoch)
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	got, err := s.peek(ctx, at, position)
	if err != nil && tooLarge(err) {
		end, why := s.endOfLarge(ctx, at, position)
		if why != nil {
			s.log.Error("look for the end of a batch that is too large", "partition", o.p.String(), "offset", position, "error", why)
			return false, nil
		}
		return true, s.stepOver(ctx, at, position, end, epoch, err)
	}
	if err != nil {
		s.log.Warn("look at a batch", "partition", o.p.String(), "offset", position, "error", err)
		return false, nil
	}
	b, whole := first(got.RecordBatches)
	if !whole {
		return false, nil // nothing there, or less than a batch
	}
	got.RecordBatches = got.RecordBatches[:b.size]
	records, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: position, KeepControlRecords: true, IsolationLevel: kgo.ReadCommitted(), Topic: at.topic, Partition: at.id,
	}, got, s.decompressor.Apart(), nil)
	switch {
	case records.Err == nil && next > position:
		if align {
			s.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{at.topic: {at.id: {Epoch: epoch, Offset: position}}})
		}
		return false, nil
	case records.Err == nil:
		records.Err = errors.New("it holds less records than it says")
	}
	return true, s.stepOver(ctx, at, position, b.end(max(next, position), got.HighWatermark), epoch, records.Err)
}

// peek fetches what stands at an offset of a partition, past the client's own fetching.
func (s *session) peek(ctx context.Context, at place, offset int64) (*kmsg.FetchResponseTopicPartition, error) {
	leader, _, err := s.client.PartitionLeader(at.topic, at.id)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes, req.IsolationLevel = 0, partitionBytes, 1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = at.topic, s.topics[at.topic].ID
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = at.id, offset, partitionBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := s.client.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			got := &resp.Topics[i].Partitions[j]
			return got, kerr.ErrorForCode(got.ErrorCode)
		}
	}
	return nil, errors.New("the broker's answer lacks the partition")
}

// endOfLarge finds where a batch ends that cannot be read at all: a broker answers with it for each of its offsets. Most have one record.
func (s *session) endOfLarge(ctx context.Context, at place, start int64) (int64, error) {
	logs, err := s.listLogs(ctx, []string{at.topic})
	log := logs[at]
	if log == nil {
		return 0, errors.Join(errors.New("its log's end is not known"), err)
	}
	inside := start // an offset of the batch
	outside := start + 1
	for step := int64(1); outside < log.end; step *= 2 {
		if _, err := s.peek(ctx, at, outside); err == nil {
			break
		} else if !tooLarge(err) {
			return 0, err
		}
		inside, outside = outside, outside+step
	}
	outside = min(outside, log.end)
	for outside-inside > 1 {
		middle := inside + (outside-inside)/2
		switch _, err := s.peek(ctx, at, middle); {
		case err == nil:
			outside = middle
		case tooLarge(err):
			inside = middle
		default:
			return 0, err
		}
	}
	return outside, nil
}

// batch is the header of a batch, as far as it concerns us.
type batch struct {
	offset int64 // first, or of an old format's the last
	size   int   // bytes
	last   int64 // offset; covered by the checksum that may be wrong
	time   int64 // of the newest record, Unix milliseconds; 0 in an old format
	next   int64 // first offset of the batch behind it, as far as that is there; else -1
}

// first reads the header of the first batch; whole says that it is all there.
func first(data []byte) (b batch, whole bool) {
	const (
		sizeAt, magicAt, deltaAt, timeAt = 8, 16, 23, 35
		header                           = 61
	)
	if len(data) <= magicAt {
		return batch{}, false
	}
	b = batch{offset: int64(binary.BigEndian.Uint64(data)), size: int(int32(binary.BigEndian.Uint32(data[sizeAt:]))) + sizeAt + 4, next: -1} //nolint:gosec // as they stand there
	b.last = b.offset
	if b.size <= magicAt || b.size > len(data) {
		return batch{}, false
	}
	if data[magicAt] >= 2 && b.size >= header {
		b.last += int64(int32(binary.BigEndian.Uint32(data[deltaAt:]))) //nolint:gosec // as it stands there
		b.time = int64(binary.BigEndian.Uint64(data[timeAt:]))          //nolint:gosec // as it stands there
	}
	if rest := data[b.size:]; len(rest) > sizeAt {
		b.next = int64(binary.BigEndian.Uint64(rest)) //nolint:gosec // as it stands there
	}
	return b, true
}

// end is the offset after the batch: as the header has it, if that can be, for the broker goes by it too; else what the batch behind it
// says; else the one that follows.
func (b batch) end(position, highWatermark int64) int64 {
	for _, end := range []int64{b.last + 1, b.next} {
		if end > position && end <= highWatermark {
			return end
		}
	}
	return position + 1
}
