package sources

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kgo"

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
	settled   time.Time // when the client was told where to fetch; zero before
	fetched   bool      // something has come of it
	committed int64     // the group's offset: nothing below it is written or committed again; -1 where even 0 is to be committed
	position  int64     // the next offset that the state wants; -1 while it does not care
	unchecked int64     // the group's offset when it was taken over, or the state's, until a leader that was silent then says how far the log reaches; else 0
	begins    int64     // where a group without an offset begins, which is committed even before the state is there
	since     int64     // the first offset that the state knows; 0 for all of the log
	from      int64     // where fetching began, negative where the broker decides
	epoch     int32     // of the leader that the last record came from
	restoring progress
	taken     time.Time          // when it was assigned
	restored  bool               // and all that was committed before is folded
	pending   []pipeline.Message // made by records below position, in no transaction that is known to have been committed
	written   int                // so many of pending are in the open transaction,
	end       int64              // all those of records below it: what may be committed
	endEpoch  int32              // the epoch at end
	bytes     int                // of pending
}

// due is the offset that the next commit has. It is called with session.mu held.
func (o *owned) due() int64 { return max(o.end, o.begins) }

func (s *session) partition(at place) pipeline.Partition {
	return pipeline.Partition{Topic: at.topic, TopicID: s.topics[at.topic].HexID(), ID: at.id}
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

// assign restores the state of newly assigned partitions, side by side, and says from where to fetch. A partition whose state is long in
// coming, because the checkpoints are out of reach, is paused until then: an error would cost the client the partitions that it has, and so
// might a long wait. The client ends ctx when the group rebalances, and calls again.
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
	all := make([]*coming, 0, len(taken))
	paused, places := map[string][]int32{}, make([]place, 0, len(taken))
	for at, t := range taken {
		all = append(all, s.takeOver(at, t))
		paused[at.topic] = append(paused[at.topic], at.id)
		places = append(places, at)
	}
	s.client.PauseFetchPartitions(paused)
	patience, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for _, c := range all {
		wait := patience
		if taken[c.at].log == nil {
			wait = ctx // nobody knows yet where its log begins, and so where to hold it
		}
		select {
		case <-c.done:
			err = errors.Join(err, c.err)
		case <-wait.Done():
		}
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		s.abandon(context.Background(), places...)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	settled := map[string][]int32{}
	for _, c := range all {
		if c.late = !c.over() || c.err != nil; c.late {
			offsets[c.at.topic][c.at.id] = kgo.NewOffset().At(taken[c.at].log.start)
			continue
		}
		offsets[c.at.topic][c.at.id] = fetchFrom(c.o.from)
		settled[c.at.topic] = append(settled[c.at.topic], c.at.id)
		s.settle(c)
	}
	s.client.ResumeFetchPartitions(settled)
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
	p := s.partition(at)
	before := s.get(at)
	if before != nil {
		before.turn.Lock()
		defer before.turn.Unlock()
	}
	from, err := s.hand(ctx, p, t.committed, t.log)
	if err != nil {
		return nil, err
	}
	if from == pipeline.FromStart && t.committed > 0 && (s.o.Config.Rebuild > 0 || t.since > 0) {
		if from, err = s.rebuildFrom(ctx, p, at, t); err != nil {
			return nil, err
		}
	}
	o := &owned{p: p, lag: lag{committed: t.committed, window: s.windowOf(at, t)}, committed: max(t.committed, 0), since: t.since, epoch: -1, endEpoch: -1}
	latest := from == pipeline.FromLatest
	switch {
	case latest && t.late:
		from = pipeline.FromStart
	case latest && s.o.Config.WarmUp > 0:
		if from, err = s.warmUp(ctx, at, o, &t); err != nil {
			return nil, err
		}
	}
	switch {
	case t.log == nil:
		o.unchecked = max(o.committed, from)
	case from == pipeline.FromStart:
		from = t.log.start
		if t.committed >= 0 && t.log.start > 0 { // 0 is what a group commits that begins at the end of an empty log
			s.gap(p, 0, t.log.start, t.committed)
		}
	case from == pipeline.FromLatest:
		from = t.log.end
		o.since = from
		if err := s.beginAt(ctx, p, from); err != nil {
			return nil, err
		}
	case from < t.log.start: // said and committed now, for the next record may be long in coming
		s.gap(p, from, t.log.start, t.committed)
		from = t.log.start
		if err := s.beginAt(ctx, p, from); err != nil {
			return nil, err
		}
	case from == t.committed && s.h.Position(p) < 0: // nothing is there to rebuild it from
		if err := s.beginAt(ctx, p, from); err != nil {
			return nil, err
		}
	}
	o.position, o.from = s.h.Position(p), from
	o.end = o.position
	if t.log != nil {
		if latest { // where it begins is committed, even before a record is seen: a later start would find another end
			o.committed, o.begins = -1, max(o.begins, from)
		}
		o.lag.begin(max(o.position, from), *t.log, time.Now())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil { // abandoned, which is decided with mu held
		return nil, fmt.Errorf("assign %v: %w", p, err)
	}
	if before != nil && before.written > 0 {
		s.tainted.Store(true)
	}
	s.owned[at] = o
	s.o.Metrics.track(s.o.Stream, p, &o.lag)
	return o, nil
}

// hand has the handler take a partition over, as often as it takes. Where the group has no offset its state may be one that the log, as far as
// that is known, does not reach.
func (s *session) hand(ctx context.Context, p pipeline.Partition, committed int64, log *bounds) (from int64, err error) {
	from, err = backoff.RetryNotifyWithData(func() (int64, error) {
		from, err := s.h.Assign(ctx, p, committed)
		if err == nil && log != nil && from > log.end {
			err = beyondEnd("state's offset", place{p.Topic, p.ID}, from, log.end)
		}
		return from, err
	}, backoff.WithContext(retries(), ctx), s.unassigned("assign "+p.String()))
	if err != nil {
		return 0, fmt.Errorf("assign %v: %w", p, err)
	}
	return from, nil
}

// beginAt moves the handler's position over what is not to be read, or not there to be read.
func (s *session) beginAt(ctx context.Context, p pipeline.Partition, offset int64) error {
	if offset == 0 {
		return nil
	}
	if _, err := s.h.Process(ctx, p, []pipeline.Record{{Offset: offset - 1, Control: true}}); err != nil {
		return fmt.Errorf("begin %v at %d: %w", p, offset, err)
	}
	return nil
}

// gap says that records are gone that were still to be read. A state that is restored has not seen them; one that is rebuilt begins
// after them. Those below the group's offset had been read before.
func (s *session) gap(p pipeline.Partition, wanted, first, committed int64) {
	s.o.Metrics.gaps.WithLabelValues(s.o.Stream).Inc()
	s.o.Metrics.gapOffsets.WithLabelValues(s.o.Stream).Add(float64(max(0, first-max(wanted, committed))))
	s.log.Warn("retention has deleted records before they were read: the state is without them", "partition", p.String(), "wanted", wanted, "first", first)
}

// unassigned says why an assignment has to wait: always to those who ask whether the source is ready, and once in the log.
func (s *session) unassigned(what string) backoff.Notify {
	said := false
	return func(err error, _ time.Duration) {
		s.assigning.fail(err)
		s.o.Clients.Denied(err)
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
