package sinks

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/pipeline"
)

// session is a member's time in its consumer group: a client, and a partition for each that it owns.
type session struct {
	member *member
	topic  string
	out    chan<- *message.Message
	ctx    context.Context
	cancel context.CancelCauseFunc
	client *kgo.Client
	admin  *kadm.Client
	taken  chan struct{} // has room for one: a record has left a queue
	ready  chan struct{} // closed when client and admin are set: the client calls back before it is returned

	mu         sync.Mutex
	partitions map[int32]*partition
}

const (
	askTimeout    = 4 * time.Second // of the sink and the broker, while the group waits
	commitTimeout = 3 * time.Second
	errorPause    = 250 * time.Millisecond
	lastTimeout   = time.Second // of a commit, and of leaving the group, once the session is over
)

func (n *session) connect(options []kgo.Opt) (err error) {
	n.client, err = kgo.NewClient(append(slices.Clone(options),
		kgo.ConsumeTopics(n.topic),
		kgo.AdjustFetchOffsetsFn(n.assign),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
			n.release(n.these(gone[n.topic]...), true)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
			n.release(n.these(gone[n.topic]...), false)
		}),
	)...)
	if err == nil {
		n.admin = kadm.NewClient(n.client)
		close(n.ready)
	}
	return err
}

// close leaves the group and closes the client, or gives up on that: brokers that do not answer would hold a shutdown up.
func (n *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastTimeout)
	defer cancel()
	attempt(ctx, n.client.CloseAllowingRebalance)
}

// assign takes partitions over and says where to read. It may be called again for the same.
func (n *session) assign(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	<-n.ready
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	id, err := n.topicID(ctx)
	if err != nil {
		return nil, err
	}
	for i, offset := range offsets[n.topic] {
		n.release(n.these(i), false)
		committed := max(0, offset.EpochOffset().Offset)
		p := newPartition(n, pipeline.Partition{Topic: n.topic, TopicID: id, ID: i}, committed)
		if sink, ok := n.member.sink.(Positioned); ok {
			position, err := sink.Position(ctx, p.id)
			switch {
			case err != nil:
				// Read on from the group's offset: when the sink comes back it says if that was too far.
				n.member.health.fail("position", err)
			case position == 0:
				offset = kgo.NewOffset().AtStart()
			default:
				offset = kgo.NewOffset().At(position)
			}
			if err == nil {
				n.member.health.ok("position")
				p.next, p.after, p.committed = position, position, committed
			}
		}
		offsets[n.topic][i] = offset
		n.mu.Lock()
		n.partitions[i] = p
		n.mu.Unlock()
		p.start()
	}
	return offsets, nil
}

// topicID returns the broker's id of the topic, "" from a broker that gives none.
func (n *session) topicID(ctx context.Context) (string, error) {
	topics, err := n.admin.ListTopics(ctx, n.topic)
	if err != nil {
		return "", err
	}
	t := topics[n.topic]
	if t.ID == (kadm.TopicID{}) {
		return "", t.Err
	}
	return hex.EncodeToString(t.ID[:]), t.Err
}

// poll distributes what the client fetches. While it does the group cannot rebalance, so that no record reaches a partition that was
// taken away and given back in between.
func (n *session) poll() {
	for n.awaitRoom() {
		n.member.loops.turn(n.topic)
		ctx, cancel := context.WithTimeout(n.ctx, n.member.pace.check) // so that an idle topic is not taken for a broken one
		fetches := n.client.PollRecords(ctx, maxPoll)
		cancel()
		var failed error
		fetches.EachError(func(_ string, _ int32, err error) {
			if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
				failed = err
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if p := n.partition(r.Partition); p != nil {
				p.add(r)
			}
		})
		n.client.AllowRebalance()
		if failed == nil {
			n.member.health.ok("consume " + n.topic)
			continue
		}
		n.member.health.fail("consume "+n.topic, failed)
		select {
		case <-n.ctx.Done():
		case <-time.After(errorPause):
		}
	}
}

// awaitRoom waits until the queues are short, and returns false when the session is over. The partitions share the bound: what holds
// one up is the sink, and it holds up all. Fetches that are paused for single partitions would be slower: those of the others that
// have nothing are long, and keep the broker from the next.
func (n *session) awaitRoom() bool {
	for n.ctx.Err() == nil && n.queued() >= maxQueued {
		select {
		case <-n.taken:
		case <-n.ctx.Done():
		}
	}
	return n.ctx.Err() == nil
}

func (n *session) queued() (sum int) {
	for _, p := range n.owned() {
		sum += p.queued()
	}
	return sum
}

// keepHouse commits, measures the lag, and looks whether an idle sink still has what it took.
func (n *session) keepHouse() {
	tick := time.NewTicker(n.member.pace.commit)
	defer tick.Stop()
	var checked time.Time
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		n.commit(n.owned())
		if time.Since(checked) >= n.member.pace.check {
			checked = time.Now()
			n.readBounds()
			n.checkPositions()
		}
		n.tellLag()
	}
}

// tellLag has the metrics tell how far partitions are behind. The lock keeps one that is let go meanwhile from being told of for ever.
func (n *session) tellLag() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, p := range n.partitions {
		lag, oldest := p.lag()
		n.member.metrics.lag.WithLabelValues(n.labels(id)...).Set(float64(lag))
		n.member.metrics.oldest.WithLabelValues(n.labels(id)...).Set(oldest.Seconds())
	}
}

// readBounds asks where the topic's partitions begin and end.
func (n *session) readBounds() {
	ctx, cancel := context.WithTimeout(n.ctx, askTimeout)
	defer cancel()
	starts, err := n.admin.ListStartOffsets(ctx, n.topic)
	var ends kadm.ListedOffsets
	if err == nil {
		ends, err = n.admin.ListCommittedOffsets(ctx, n.topic)
	}
	if err != nil {
		if n.ctx.Err() == nil {
			n.member.health.fail("ask the broker", err) // the lag stays what it was
		}
		return
	}
	n.member.health.ok("ask the broker")
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(n.topic, end.Partition)
		if p := n.partition(end.Partition); p != nil && start.Err == nil && end.Err == nil {
			p.setBounds(start.Offset, end.Offset)
		}
	})
}

// checkPositions ends the session if the sink's store stands before what it has confirmed: otherwise an idle topic would be noticed
// only with its next alert.
func (n *session) checkPositions() {
	sink, ok := n.member.sink.(Positioned)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, askTimeout)
	defer cancel()
	for _, p := range n.owned() {
		confirmed := p.confirmed()
		position, err := n.member.position(ctx, sink, p.id)
		if err != nil {
			if n.ctx.Err() == nil && !rests(err) {
				n.member.metrics.failures.WithLabelValues(n.member.name).Inc()
				n.member.health.fail("position", err)
			}
			return
		}
		if position < confirmed {
			n.member.log.Warn("sink lost writes, alerts are read again", "partition", p.id.String(), "from", position, "had_reached", confirmed)
			n.member.metrics.rewinds.WithLabelValues(n.member.name).Inc()
			n.cancel(errRewind)
			return
		}
	}
	n.member.health.ok("position")
}

// commit tells the group what is acknowledged. It tries once: what is not committed now will be by the next call, or is delivered
// again.
func (n *session) commit(partitions []*partition) {
	offsets := map[int32]kgo.EpochOffset{}
	for _, p := range partitions {
		if offset, changed := p.toCommit(); changed {
			offsets[p.id.ID] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		}
	}
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(n.ctx), commitTimeout)
	defer cancel()
	defer context.AfterFunc(n.ctx, func() { time.AfterFunc(lastTimeout, cancel) })()
	attempt(ctx, func() {
		n.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{n.topic: offsets},
			func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, reply *kmsg.OffsetCommitResponse, err error) {
				if err != nil {
					n.member.log.Debug("offsets are not committed", "topic", n.topic, "error", err)
					return
				}
				for _, t := range reply.Topics {
					for _, r := range t.Partitions {
						if p := n.partition(r.Partition); p != nil && r.ErrorCode == 0 {
							p.setCommitted(offsets[r.Partition].Offset)
						}
					}
				}
			})
	})
}

// attempt waits for f until ctx is done: some of the client's calls do not heed that while brokers do not answer.
func attempt(ctx context.Context, f func()) {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// release lets partitions go, after the alerts under way.
func (n *session) release(gone []*partition, commit bool) {
	var wg sync.WaitGroup
	for _, p := range gone {
		wg.Go(p.stop)
	}
	wg.Wait()
	if commit {
		n.commit(gone)
	}
	defer signal(n.taken)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range gone {
		delete(n.partitions, p.id.ID)
		n.member.metrics.lag.DeleteLabelValues(n.labels(p.id.ID)...)
		n.member.metrics.oldest.DeleteLabelValues(n.labels(p.id.ID)...)
	}
}

func (n *session) partition(id int32) *partition {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.partitions[id]
}

func (n *session) owned() []*partition {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.partitions))
}

// these are the partitions with these numbers, of those that are owned.
func (n *session) these(ids ...int32) []*partition {
	return slices.DeleteFunc(n.owned(), func(p *partition) bool { return !slices.Contains(ids, p.id.ID) })
}
