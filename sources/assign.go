package sources

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/pipeline"
)

// place is a partition as the client names it.
type place struct {
	topic string
	id    int32
}

// owned is an assigned partition.
type owned struct {
	p   pipeline.Partition
	lag lag

	// turn is held while the handler works on the partition, so that no two of its calls overlap.
	turn sync.Mutex

	// Used in the handler's turn.
	records []pipeline.Record // reused
	headers []pipeline.Header // reused

	// Guarded by session.mu.
	settled   time.Time          // when the client was told where to fetch; zero before
	fetched   bool               // something has come of it
	committed int64              // the group's offset: nothing below it is written or committed again
	position  int64              // the next offset that the state wants; -1 while it does not care
	from      int64              // where fetching began, negative where the broker decides
	epoch     int32              // of the leader that the last record came from
	pending   []pipeline.Message // made by records below position, in no transaction that is known to have been committed
	written   int                // so many of pending are in the open transaction
	bytes     int                // of pending
}

// bounds are a partition's log: its first retained offset, and the one that a reader of committed records comes to last.
type bounds struct{ start, end int64 }

// errOver is what a client is told that has outlived its session.
var errOver = errors.New("the session is over")

// enter admits a call of the client to the handler, unless the session is over. The context that it returns ends with the session.
func (s *session) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, nil, errOver
	}
	s.calls.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
		s.calls.Done()
	}, nil
}

// assign restores the state of newly assigned partitions, side by side, and says from where to fetch. While that cannot be done, because
// the checkpoints are out of reach, it does not return: an error would cost the client the partitions that it has. The client ends
// ctx when the group rebalances, and calls again.
func (s *session) assign(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	select {
	case <-s.connected:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.assigning.begin()
	defer s.assigning.end()
	logs, err := s.logs(ctx, offsets)
	if err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	assigned := make(chan *owned, count(offsets))
	for topic, partitions := range offsets {
		for id, offset := range partitions {
			at, committed := place{topic, id}, max(offset.EpochOffset().Offset, -1)
			g.Go(func() error {
				o, err := s.restore(ctx, at, committed, logs[at])
				if err == nil {
					assigned <- o
				}
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	close(assigned)
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range assigned {
		offsets[o.p.Topic][o.p.ID] = fetchFrom(o.from)
		o.settled = time.Now()
	}
	s.o.Metrics.rebalances.WithLabelValues(s.o.Stream).Inc()
	return offsets, nil
}

func count(offsets map[string]map[int32]kgo.Offset) (n int) {
	for _, partitions := range offsets {
		n += len(partitions)
	}
	return n
}

func fetchFrom(offset int64) kgo.Offset {
	switch offset {
	case pipeline.FromStart:
		return kgo.NewOffset().AtStart()
	case pipeline.FromLatest:
		return kgo.NewOffset().AtEnd()
	}
	return kgo.NewOffset().At(offset)
}

// logs asks for the bounds of the partitions' logs; one whose leader does not answer is left out. A committed offset beyond the end is
// of another log: the topic was truncated, or made anew under the same name. Going on there would skip records in silence.
func (s *session) logs(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[place]*bounds, error) {
	var topics []string
	for topic := range offsets {
		topics = append(topics, topic)
	}
	return backoff.RetryNotifyWithData(func() (map[place]*bounds, error) {
		logs, err := s.listLogs(ctx, topics)
		if err != nil {
			return nil, err
		}
		for topic, partitions := range offsets {
			for id, offset := range partitions {
				at, committed := place{topic, id}, offset.EpochOffset().Offset
				if log, ok := logs[at]; ok && committed > log.end {
					return nil, fmt.Errorf("the committed offset %d of %s/%d lies beyond the end of its log, %d: topic truncated or made anew? "+
						"Reset the group's offsets to begin again", committed, topic, id, log.end)
				}
			}
		}
		return logs, nil
	}, backoff.WithContext(retries(), ctx), s.unassigned("read the bounds of logs"))
}

func (s *session) listLogs(ctx context.Context, topics []string) (map[place]*bounds, error) {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	admin := kadm.NewClient(s.client.Client())
	starts, err := admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the starts of logs: %w", err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the ends of logs: %w", err)
	}
	logs := map[place]*bounds{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(end.Topic, end.Partition); ok && start.Err == nil && end.Err == nil {
			logs[place{end.Topic, end.Partition}] = &bounds{start.Offset, end.Offset}
		}
	})
	return logs, nil
}

// unassigned says why an assignment has to wait: always to those who ask whether the source is ready, and once in the log.
func (s *session) unassigned(what string) backoff.Notify {
	said := false
	return func(err error, _ time.Duration) {
		s.assigning.fail(err)
		if !said {
			s.log.Error(what, "error", err)
			said = true
		}
	}
}

// restore has the handler take a partition over. Where that asks for the start or the end of the log, it gets what they are now, as far
// as they are known.
func (s *session) restore(ctx context.Context, at place, committed int64, log *bounds) (*owned, error) {
	p := pipeline.Partition{Topic: at.topic, TopicID: s.topics[at.topic].HexID(), ID: at.id}
	before := s.get(at)
	if before != nil {
		before.turn.Lock()
		defer before.turn.Unlock()
	}
	from, err := backoff.RetryNotifyWithData(func() (int64, error) {
		return s.h.Assign(ctx, p, committed)
	}, backoff.WithContext(retries(), ctx), s.unassigned("assign "+p.String()))
	if err != nil {
		return nil, fmt.Errorf("assign %v: %w", p, err)
	}
	switch {
	case log == nil:
	case from == pipeline.FromStart:
		from = log.start
		if committed > 0 && log.start > 0 {
			s.gap(p, 0, log.start)
		}
	case from == pipeline.FromLatest:
		from = log.end
		if err := s.beginAt(ctx, p, from); err != nil {
			return nil, err
		}
	}
	o := &owned{p: p, committed: max(committed, 0), position: s.h.Position(p), from: from, epoch: -1}
	if log != nil {
		o.lag.begin(max(o.position, from), log.end)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if before != nil && before.written > 0 {
		s.tainted.Store(true)
	}
	s.owned[at] = o
	s.o.Metrics.track(s.o.Stream, p, &o.lag)
	return o, nil
}

// beginAt moves the handler's position to the end of a log that is to be read from its end: then that is committed like any position,
// and what is written while nobody reads is not skipped by the next start.
func (s *session) beginAt(ctx context.Context, p pipeline.Partition, end int64) error {
	if end == 0 {
		return nil
	}
	if _, err := s.h.Process(ctx, p, []pipeline.Record{{Offset: end - 1, Control: true}}); err != nil {
		return fmt.Errorf("begin %v at its end: %w", p, err)
	}
	return nil
}

// gap says that records are gone that were still to be read.
func (s *session) gap(p pipeline.Partition, wanted, first int64) {
	s.o.Metrics.gaps.WithLabelValues(s.o.Stream).Inc()
	s.log.Warn("retention has deleted records before they were read: series warm up again", "partition", p.String(), "wanted", wanted, "first", first)
}

// assigning knows how the assignments under way are doing.
type assigning struct {
	mu  sync.Mutex
	n   int
	err error
}

func (a *assigning) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	a.err = errors.New("partitions are being assigned")
}

func (a *assigning) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

func (a *assigning) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n--; a.n == 0 {
		a.err = nil
	}
}

// state is nil when nothing is under way.
func (a *assigning) state() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}
