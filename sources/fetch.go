package sources

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// fold takes records through the state of their partition, unless that was revoked since they were polled: they are another's.
func (s *session) fold(ctx context.Context, one share) error {
	o, f := one.o, one.FetchTopicPartition
	o.turn.Lock()
	defer o.turn.Unlock()
	if s.get(one.at) != o {
		return nil
	}
	first, last := *f.Records[0], *f.Records[len(f.Records)-1] // the records themselves are given back as they are processed
	s.mu.Lock()                                                // a commit may be under way beside it
	wanted, committed := max(o.position, o.from), o.committed
	s.mu.Unlock()
	if wanted < 0 && committed > 0 { // the state is rebuilt from a log whose start nobody could tell when it was taken over
		wanted = 0
	}
	if wanted >= 0 && first.Offset > wanted && f.LogStartOffset > wanted {
		s.gap(o.p, wanted, first.Offset, committed)
	}
	var newest time.Time
	for records := f.Records; len(records) > 0; {
		converted := o.convert(records)
		n := len(converted)
		for _, r := range records {
			if r.Offset >= o.position && !r.Attrs.IsControl() {
				o.lag.at(r.Offset, r.Timestamp)
				break
			}
		}
		for _, r := range slices.Backward(records[:n]) {
			if !r.Attrs.IsControl() {
				newest = r.Timestamp
				break
			}
		}
		began := s.o.Tracer.Begin()
		messages, err := s.h.Process(ctx, o.p, converted)
		if err != nil {
			return fmt.Errorf("process: %w", err)
		}
		s.o.Tracer.Processed(messages, began, n)
		for _, r := range records[:n] {
			r.Recycle()
		}
		clear(o.records) // buffers that do not come back are not held longer than they must
		clear(o.headers)
		s.keep(o, messages, last.LeaderEpoch)
		s.folded()
		records = records[n:]
	}
	if last.Offset+1 >= o.position { // else an abort has made the client begin again at what is folded already
		o.lag.done(o.position, newest, f.LastStableOffset)
	}
	return nil
}

// What the handler gets at once. portionBytes is as much, where one record does not have more: each of them may come back as a dead letter.
// portionRecords are as many, where they lie further apart than portionTime: after them the lag is told anew. To process them takes some
// milliseconds, and where records are few and far between they are hours of the log.
const (
	portionBytes   = 16 << 20
	portionRecords = 1000
	portionTime    = 250 * time.Millisecond
)

// keep notes the handler's position and what is to be written for the records below it.
func (s *session) keep(o *owned, messages []pipeline.Message, epoch int32) {
	position := s.h.Position(o.p)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.fetched, o.position, o.epoch = true, position, epoch
	s.tellRestored(o)
	for _, m := range messages {
		m, cut := m.Fit()
		if cut {
			s.o.Metrics.cut.WithLabelValues(s.o.Stream).Inc()
			s.log.Warn("cut a message that is larger than a broker takes", "topic", m.Topic, "partition", o.p.String(), "offset", m.Offset)
		}
		o.pending = append(o.pending, m)
		o.bytes += m.Size()
	}
}

// convert puts as many of the records as a handler gets at once, one at least, into the form that it takes, in slices that are used again.
func (o *owned) convert(records []*kgo.Record) []pipeline.Record {
	o.records, o.headers = o.records[:0], o.headers[:0]
	bytes, full := 0, portionRecords
	for n, r := range records {
		if n == full {
			if r.Timestamp.Sub(records[0].Timestamp).Abs() > portionTime {
				break
			}
			full += portionRecords
		}
		if bytes += len(r.Key) + len(r.Value); bytes > portionBytes && n > 0 {
			break
		}
		begin := len(o.headers)
		for _, h := range r.Headers {
			o.headers = append(o.headers, pipeline.Header{Key: h.Key, Value: h.Value})
		}
		o.records = append(o.records, pipeline.Record{
			Offset: r.Offset, Timestamp: nanoseconds(r.Timestamp), Key: r.Key, Value: r.Value, Headers: o.headers[begin:len(o.headers):len(o.headers)],
			Control: r.Attrs.IsControl(),
		})
	}
	return o.records
}

// nanoseconds is a record's timestamp since 1970. One that int64 nanoseconds cannot tell, after 2262, is -1 ms, which in Kafka is that of a record
// without one.
func nanoseconds(t time.Time) int64 {
	if ms := t.UnixMilli(); ms < 0 || ms > math.MaxInt64/1_000_000 {
		return -1_000_000
	}
	return t.UnixNano()
}

// failed deals with what kept a partition from being fetched. It returns an error where only a new client helps.
func (s *session) failed(ctx context.Context, f kgo.FetchTopicPartition) error {
	s.o.Metrics.fetchErrors.WithLabelValues(s.o.Stream).Inc()
	stepped, err := false, error(nil)
	if tooLarge(f.Err) {
		stepped, err = s.inspectAll(ctx)
	} else if undecodable(f.Err) {
		stepped, err = s.inspect(ctx, place{f.Topic, f.Partition}, true)
	}
	if stepped || err != nil {
		return err
	}
	s.o.Clients.Denied(f.Err)
	s.fetchFailed, s.failedAt = fmt.Errorf("fetch: %w", f.Err), time.Now() // without a topic it is the group that is away
	if f.Topic != "" {
		s.fetchFailed = fmt.Errorf("fetch %s/%d: %w", f.Topic, f.Partition, f.Err)
	}
	if lost, ok := errors.AsType[*kgo.ErrDataLoss](f.Err); ok {
		s.o.Metrics.losses.WithLabelValues(s.o.Stream).Inc()
		s.log.Error("the brokers have lost records that were processed: those written in their place, below the position, are not processed",
			"topic", f.Topic, "partition", f.Partition, "position", lost.ConsumedTo, "log", lost.ResetTo)
		return nil
	}
	if held, say := s.repeats.Say("fetch", f.Err.Error()); say { // whatever the partition: it is mostly all of them
		s.log.Error("records are not fetched", "error", s.fetchFailed, "repeated", held)
	}
	if errors.Is(f.Err, kerr.UnknownTopicID) || fenced(f.Err) {
		return s.fetchFailed
	}
	return nil
}
