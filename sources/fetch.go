package sources

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/pipeline"
)

// process hands what was fetched to the handler, partition by partition side by side. Records that came with an error come first.
func (s *session) process(ctx context.Context, fetches kgo.Fetches) (failed bool, err error) {
	var g errgroup.Group
	seen := map[place]bool{}
	twice := false
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if len(f.Records) == 0 {
			return
		}
		at := place{f.Topic, f.Partition}
		twice = twice || seen[at]
		seen[at] = true
		g.Go(func() error { return s.fold(ctx, at, f) })
	})
	if err := g.Wait(); err != nil {
		return false, err
	}
	if twice {
		return false, errors.New("one poll brought a partition twice: their order is unknown")
	}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err == nil || errors.Is(f.Err, context.DeadlineExceeded) || errors.Is(f.Err, context.Canceled) {
			return
		}
		failed = true
		if e := s.failed(ctx, f); e != nil {
			err = e
		}
	})
	return failed, err
}

// fold takes a partition's records through its state.
func (s *session) fold(ctx context.Context, at place, f kgo.FetchTopicPartition) error {
	o := s.get(at)
	if o == nil {
		return fmt.Errorf("records of %s/%d, which is not assigned", at.topic, at.id)
	}
	o.turn.Lock()
	defer o.turn.Unlock()
	first, last := f.Records[0], f.Records[len(f.Records)-1]
	if wanted := max(o.position, o.from); wanted >= 0 && first.Offset > wanted && f.LogStartOffset > wanted {
		s.gap(o.p, wanted, first.Offset)
	}
	if first.Offset >= o.position {
		o.lag.next(first.Offset, first.Timestamp)
	}
	messages, err := s.h.Process(ctx, o.p, o.convert(f.Records))
	if err != nil {
		return fmt.Errorf("process: %w", err)
	}
	clear(o.records) // the client's buffers are not held longer than they must
	clear(o.headers)
	s.keep(o, messages, last.LeaderEpoch)
	if last.Offset+1 >= o.position { // else an abort has made the client begin again at what is folded already
		o.lag.done(o.position, last.Timestamp, f.LastStableOffset)
	}
	return nil
}

// keep notes the handler's position and what is to be written for the records below it.
func (s *session) keep(o *owned, messages []pipeline.Message, epoch int32) {
	position := s.h.Position(o.p)
	s.mu.Lock()
	defer s.mu.Unlock()
	o.fetched, o.position, o.epoch = true, position, epoch
	for _, m := range messages {
		m, cut := fit(m)
		if cut {
			s.o.Metrics.cut.WithLabelValues(s.o.Stream).Inc()
			s.log.Warn("cut a message that is larger than a broker takes", "topic", m.Topic, "partition", o.p.String(), "offset", m.Offset)
		}
		o.pending = append(o.pending, m)
		o.bytes += size(m)
	}
}

// convert puts records into the form that a handler takes, in slices that are used again.
func (o *owned) convert(records []*kgo.Record) []pipeline.Record {
	o.records, o.headers = o.records[:0], o.headers[:0]
	for _, r := range records {
		begin := len(o.headers)
		for _, h := range r.Headers {
			o.headers = append(o.headers, pipeline.Header{Key: h.Key, Value: h.Value})
		}
		o.records = append(o.records, pipeline.Record{
			Offset: r.Offset, Timestamp: r.Timestamp.UnixNano(), Key: r.Key, Value: r.Value, Headers: o.headers[begin:len(o.headers):len(o.headers)],
			Control: r.Attrs.IsControl(),
		})
	}
	return o.records
}

// failed deals with what kept a partition from being fetched. It returns an error where only a new client helps.
func (s *session) failed(ctx context.Context, f kgo.FetchTopicPartition) error {
	s.o.Metrics.fetchErrors.WithLabelValues(s.o.Stream).Inc()
	if big, ok := errors.AsType[*kgo.ErrDecompressTooLarge](f.Err); ok {
		return s.stepOver(ctx, big)
	}
	s.fetchFailed, s.failedAt = fmt.Errorf("fetch %s/%d: %w", f.Topic, f.Partition, f.Err), time.Now()
	if errors.Is(f.Err, kerr.UnknownTopicID) {
		return fmt.Errorf("topic %s was made anew: %w", f.Topic, f.Err)
	}
	s.log.Error("fetch", "topic", f.Topic, "partition", f.Partition, "error", f.Err)
	return nil
}

// stepOver goes on after a batch that cannot be decompressed within bounds. To the handler it looks as a marker at the batch's end does,
// so that the position passes it.
func (s *session) stepOver(ctx context.Context, big *kgo.ErrDecompressTooLarge) error {
	o := s.get(place{big.Topic, big.Partition})
	if o == nil {
		return nil
	}
	s.o.Metrics.skipped.WithLabelValues(s.o.Stream).Inc()
	s.log.Error("stepping over a batch that decompresses to too much", "partition", o.p.String(), "from", big.Offset, "to", big.NextOffset)
	o.turn.Lock()
	defer o.turn.Unlock()
	messages, err := s.h.Process(ctx, o.p, []pipeline.Record{{Offset: big.NextOffset - 1, Control: true}})
	if err != nil {
		return fmt.Errorf("step over %v: %w", big, err) //nolint:errorlint // big is named, not the cause
	}
	s.keep(o, messages, big.Epoch)
	o.lag.done(o.position, time.Now(), big.NextOffset)
	s.client.Client().SetOffsets(map[string]map[int32]kgo.EpochOffset{big.Topic: {big.Partition: {Epoch: big.Epoch, Offset: big.NextOffset}}})
	return nil
}
