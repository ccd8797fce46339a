package sources

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// drop forgets partitions that were revoked or lost. The transaction that holds their alerts aborts; their next owner tells them.
func (s *session) drop(ctx context.Context, _ *kgo.Client, partitions map[string][]int32) {
	if len(partitions) == 0 {
		return // the client says that a rebalance has begun
	}
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return
	}
	defer leave()
	s.revoked.Store(true)
	var gone []place
	for topic, ids := range partitions {
		for _, id := range ids {
			gone = append(gone, place{topic, id})
		}
	}
	s.forget(ctx, gone)
}

// forget revokes partitions, side by side.
func (s *session) forget(ctx context.Context, gone []place) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	s.abandon(ctx, gone...)
	var revoking sync.WaitGroup
	for _, at := range gone {
		s.mu.Lock()
		o := s.owned[at]
		delete(s.owned, at)
		s.mu.Unlock()
		if o == nil {
			continue
		}
		s.o.Metrics.untrack(s.o.Stream, o.p, &o.lag) // at once, and not when its turn is over: it is another's
		revoking.Go(func() {
			o.turn.Lock()
			defer o.turn.Unlock()
			s.log.Info("partition revoked", "partition", o.p.String(), "committed", max(o.committed, 0), "state", max(o.position, 0))
			if err := s.h.Revoke(ctx, o.p); err != nil {
				s.log.Error("revoke", "partition", o.p.String(), "error", err)
			}
		})
	}
	revoking.Wait()
}

// strays are partitions that the client does not hold although it never said that they were taken: within a transaction it tells of the
// first revocation only.
func (s *session) strays(held map[string]map[int32]kgo.EpochOffset) (strays []place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, o := range s.owned {
		settled := !o.settled.IsZero() && o.from >= 0 && time.Since(o.settled) > settleTime
		if _, ok := held[at.topic][at.id]; !ok && (o.fetched || settled) {
			strays = append(strays, at)
		}
	}
	return strays
}

// settleTime is more than the client takes to hold a partition after assign has returned.
const settleTime = 5 * time.Second
