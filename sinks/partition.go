package sinks

import (
	"bytes"
	"context"
	"slices"
	"sync"
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
	begin     int64 // of the log, as last seen: what retention has deleted waits for nobody
	end       int64 // of the same
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
		b, n := p.waiting()
		switch {
		case n == 0:
			select {
			case <-p.arrived:
				continue
			case <-p.ctx.Done():
				return
			}
		case len(b.records) == 0: // what is nobody's
			p.acknowledge(n, b.taken)
			continue
		}
		acknowledged, over := handOver(p.ctx, b, p.session.out)
		switch {
		case acknowledged:
			p.acknowledge(n, b.taken)
		case over:
			p.acknowledge(b.done, b.taken) // what it has come to does not come again
			return
		default:
			return
		}
	}
}

// nobodys says of a record of an alerts topic that no sink is to have it: a transaction marker, or what a worker has answered to a probe.
func nobodys(r *kgo.Record) bool {
	if r.Attrs.IsControl() {
		return true
	}
	return bytes.HasPrefix(r.Key, probeKey) && slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == pipeline.ProbeHeader })
}

var probeKey = []byte(pipeline.ProbeKey)

// waiting is the next batch, of the next n records in the queue: alerts, or else only what is nobody's.
func (p *partition) waiting() (b *batch, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b = &batch{partition: p.id, taken: p.after}
	bytes := 0
	for _, r := range p.queue {
		if nobodys(r) != nobodys(p.queue[0]) || n == batchRecords || n > 0 && bytes+len(r.Value) > batchBytes {
			break
		}
		n++
		bytes += len(r.Value)
		if !nobodys(r) {
			b.records = append(b.records, record{r.Offset, r.Timestamp, r.Key, r.Value, r.Headers})
		}
	}
	return b, n
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

// acknowledge goes on behind the next n records; the sink has taken everything below an offset. One that stores its position has stored
// one only for what it has taken: for what is nobody's, or was set aside, it stands where it stood.
func (p *partition) acknowledge(n int, taken int64) {
	if n == 0 {
		return
	}
	defer signal(p.session.taken)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.after = p.queue[n-1].Offset+1, taken
	clear(p.queue[:n])
	p.queue = p.queue[n:]
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

func (p *partition) setBounds(begin, end int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin, p.end = begin, end
}

// lag returns how many records are not acknowledged, and the age of the oldest that a sink is to have: a sink that stands where its last alert
// was finds the answers to weeks of probes behind it, and nobody waits for them.
func (p *partition) lag() (records int64, oldest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	records = max(0, p.end-max(p.begin, p.next))
	if i := slices.IndexFunc(p.queue, func(r *kgo.Record) bool { return !nobodys(r) }); i >= 0 {
		oldest = max(0, time.Since(p.queue[i].Timestamp))
	}
	return max(records, int64(len(p.queue))), oldest
}
