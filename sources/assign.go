package sources

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
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
	committed int64              // the group's offset: nothing below it is written or committed again; -1 where even 0 is to be committed
	position  int64              // the next offset that the state wants; -1 while it does not care
	from      int64              // where fetching began, negative where the broker decides
	epoch     int32              // of the leader that the last record came from
	pending   []pipeline.Message // made by records below position, in no transaction that is known to have been committed
	written   int                // so many of pending are in the open transaction
	bytes     int                // of pending
}

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
	taken, err := s.survey(ctx, offsets)
	if err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	assigned := make(chan *owned, len(taken))
	for at, t := range taken {
		g.Go(func() error {
			o, err := s.restore(ctx, at, t)
			if err == nil {
				assigned <- o
			}
			return err
		})
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

func fetchFrom(offset int64) kgo.Offset {
	switch offset {
	case pipeline.FromStart:
		return kgo.NewOffset().AtStart()
	case pipeline.FromLatest:
		return kgo.NewOffset().AtEnd()
	}
	return kgo.NewOffset().At(offset)
}

// restore has the handler take a partition over. Where that asks for the start or the end of the log, it gets what they are now, as far
// as they are known.
func (s *session) restore(ctx context.Context, at place, t taken) (*owned, error) {
	p := pipeline.Partition{Topic: at.topic, TopicID: s.topics[at.topic].HexID(), ID: at.id}
	before := s.get(at)
	if before != nil {
		before.turn.Lock()
		defer before.turn.Unlock()
	}
	from, err := backoff.RetryNotifyWithData(func() (int64, error) {
		return s.h.Assign(ctx, p, t.committed)
	}, backoff.WithContext(retries(), ctx), s.unassigned("assign "+p.String()))
	if err != nil {
		return nil, fmt.Errorf("assign %v: %w", p, err)
	}
	latest := from == pipeline.FromLatest
	if latest && t.late {
		from = pipeline.FromStart
	}
	o := &owned{p: p, committed: max(t.committed, 0), epoch: -1}
	switch {
	case t.log == nil:
	case from == pipeline.FromStart:
		from = t.log.start
		if t.committed > 0 && t.log.start > 0 {
			s.gap(p, 0, t.log.start)
		}
	case from == pipeline.FromLatest:
		from = t.log.end
		if err := s.beginAt(ctx, p, from); err != nil {
			return nil, err
		}
	}
	o.position, o.from = s.h.Position(p), from
	if t.log != nil {
		if latest { // where it begins is committed, even before a record is seen: a later start would find another end
			o.committed, o.position = -1, max(o.position, from)
		}
		o.lag.begin(max(o.position, from), t.log.end)
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

// beginAt moves the handler's position to the end of a log that is to be read from its end.
func (s *session) beginAt(ctx context.Context, p pipeline.Partition, end int64) error {
	if end == 0 {
		return nil
	}
	if _, err := s.h.Process(ctx, p, []pipeline.Record{{Offset: end - 1, Control: true}}); err != nil {
		return fmt.Errorf("begin %v at its end: %w", p, err)
	}
	return nil
}

// gap says that records are gone that were still to be read. A state that is restored has not seen them; one that is rebuilt begins
// after them.
func (s *session) gap(p pipeline.Partition, wanted, first int64) {
	s.o.Metrics.gaps.WithLabelValues(s.o.Stream).Inc()
	s.log.Warn("retention has deleted records before they were read: the state is without them", "partition", p.String(), "wanted", wanted, "first", first)
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
