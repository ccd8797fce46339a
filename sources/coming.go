package sources

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// restorePatience is how long partitions that are assigned together wait for each other's state. One that takes longer is paused, and joins
// the others when it has its state, so that it holds up neither them nor a rebalance.
const restorePatience = 500 * time.Millisecond

// coming is an assigned partition whose state is on its way.
type coming struct {
	at     place
	begin  time.Time
	cancel context.CancelFunc
	done   chan struct{}

	// Set before done is closed.
	o   *owned
	err error

	late bool // the client holds it, paused; guarded by session.mu
}

// takeOver begins to restore a partition. If that is under way for an assignment that was interrupted, it is given up first.
func (s *session) takeOver(at place, t taken) *coming {
	s.abandon(context.Background(), at)
	ctx, cancel := context.WithCancel(s.ctx)
	c := &coming{at: at, begin: time.Now(), cancel: cancel, done: make(chan struct{})}
	s.mu.Lock()
	s.coming[at] = c
	s.mu.Unlock()
	s.assigning.begin()
	s.calls.Add(1)
	go func() {
		defer s.calls.Done()
		defer s.assigning.end()
		defer close(c.done)
		defer cancel()
		if c.o, c.err = s.restore(ctx, at, t); c.err != nil && s.get(at) == nil {
			_ = s.h.Revoke(context.WithoutCancel(ctx), s.partition(at)) // it may have been assigned, and is nobody's
		}
	}()
	return c
}

// abandon ends what restores partitions that are no longer to be ours, and waits for that, within ctx.
func (s *session) abandon(ctx context.Context, gone ...place) {
	s.mu.Lock()
	var ending []*coming
	for _, at := range gone {
		if c := s.coming[at]; c != nil {
			c.cancel()
			ending = append(ending, c)
			delete(s.coming, at)
		}
	}
	s.mu.Unlock()
	for _, c := range ending {
		select {
		case <-c.done:
		case <-ctx.Done():
			return
		}
	}
}

// settle notes that the client was told where to fetch a partition. It is called with mu held.
func (s *session) settle(c *coming) {
	o := c.o
	o.settled = time.Now()
	o.restoring = progress{from: o.from, to: max(o.committed, o.begins), began: o.settled}
	o.taken = c.begin
	o.lag.settle()
	s.tellRestored(o)
	s.log.Info("partition assigned", "partition", o.p.String(), "committed", o.committed, "state", max(o.position, 0), "to_fold", o.restoring.total(),
		"seconds", o.settled.Sub(c.begin).Seconds())
	delete(s.coming, c.at)
}

// join has the client fetch what came late, from where its state begins.
func (s *session) join() error {
	s.mu.Lock()
	waiting := len(s.coming)
	s.mu.Unlock()
	if waiting == 0 {
		return nil
	}
	held := s.client.CommittedOffsets()
	offsets, ids := map[string]map[int32]kgo.EpochOffset{}, map[string][]int32{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, c := range s.coming {
		if _, ours := held[at.topic][at.id]; !ours || !c.late || !c.over() {
			continue
		}
		if c.err != nil {
			return c.err
		}
		if offsets[at.topic] == nil {
			offsets[at.topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[at.topic][at.id] = kgo.EpochOffset{Epoch: -1, Offset: c.o.from}
		ids[at.topic] = append(ids[at.topic], at.id)
		s.settle(c)
	}
	s.client.SetOffsets(offsets)
	s.client.ResumeFetchPartitions(ids)
	return nil
}

func (c *coming) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
