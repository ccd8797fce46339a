package sinks

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
)

// partition hands the records of one partition over, one after the other.
type partition struct {
	id      pipeline.Partition
	session *session
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}
	arrived chan struct{} // has room for one: there may be records

	mu        sync.Mutex
	queue     []*kgo.Record
	next      int64 // to be handed over
	after     int64 // all alerts below are acknowledged, and the last of them was taken by the sink
	committed int64
	end       int64 // of the topic, as last seen
}

func newPartition(n *session, id pipeline.Partition, committed int64) *partition {
	ctx, cancel := context.WithCancel(n.ctx)
	return &partition{
		id: id, session: n, ctx: ctx, cancel: cancel, done: make(chan struct{}), arrived: make(chan struct{}, 1),
		next: committed, after: committed, committed: committed,
	}
}

// start begins to hand over.
func (p *partition) start() {
	go func() {
		defer close(p.done)
		p.run()
	}()
}

func (p *partition) stop() {
	p.cancel()
	<-p.done
}

func (p *partition) run() {
	for {
		r := p.head()
		if r == nil {
			select {
			case <-p.arrived:
				continue
			case <-p.ctx.Done():
				return
			}
		}
		aside := false
		if !r.Attrs.IsControl() {
			m := newMessage(p.id, r.Offset, p.confirmed(), r.Timestamp, r.Key, r.Value)
			for _, h := range r.Headers {
				m.Metadata[headerPrefix+h.Key] = string(h.Value)
			}
			fate := &fate{}
			if !handOver(context.WithValue(p.ctx, fateKey{}, fate), m, p.session.out) {
				return
			}
			aside = fate.aside.Load()
		}
		p.acknowledge(r, aside)
	}
}

// fate is what became of a message, for who handed it over: an acknowledgement does not say.
type fate struct{ aside atomic.Bool }

type fateKey struct{}

// putAside notes that a message went to the dead letters, and not to the sink.
func putAside(ctx context.Context) {
	if f, ok := ctx.Value(fateKey{}).(*fate); ok {
		f.aside.Store(true)
	}
}

// add queues a record.
func (p *partition) add(r *kgo.Record) {
	p.mu.Lock()
	p.queue = append(p.queue, r)
	p.mu.Unlock()
	signal(p.arrived)
}

// signal makes a channel with room for one ready.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *partition) queued() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

func (p *partition) head() *kgo.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	return p.queue[0]
}

// acknowledge takes a record out of the queue. What was put aside the sink has not taken: where it stands it is not asked to be behind it, or it
// would count as one that has lost writes.
func (p *partition) acknowledge(r *kgo.Record, aside bool) {
	defer signal(p.session.taken)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.next = r.Offset + 1
	if !r.Attrs.IsControl() && !aside {
		p.after = p.next
	}
}

// confirmed is the offset below which the sink has taken every alert.
func (p *partition) confirmed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.after
}

func (p *partition) toCommit() (offset int64, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next, p.next != p.committed
}

func (p *partition) setCommitted(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.committed = offset
}

func (p *partition) setEnd(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = offset
}

// lag returns how many records are not acknowledged, and the age of the oldest of those.
func (p *partition) lag() (records int64, oldest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	records = max(0, p.end-p.next)
	if len(p.queue) > 0 {
		oldest = max(0, time.Since(p.queue[0].Timestamp))
		records = max(records, int64(len(p.queue)))
	}
	return records, oldest
}
