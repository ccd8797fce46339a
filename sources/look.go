package sources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Times of looking.
const (
	lookWait  = 500 * time.Millisecond // that a scrape waits for brokers
	lookFresh = 100 * time.Millisecond // within which two scrapes share a look
	lookBytes = 64 << 10               // fetched of a partition, where its next record's time is not known
	lookSteps = 8                      // batches of markers and aborted records that one look steps over
)

// looking is what a session remembers of its looks.
type looking struct {
	turn chan struct{} // holds a token while somebody looks

	mu     sync.Mutex
	looked time.Time
	silent map[int32]bool // brokers that have not answered the last look
}

// begin waits for the look under way, if brokers answer, and says whether another is to follow; then the caller calls end.
func (l *looking) begin(ctx context.Context, scrape bool) bool {
	l.mu.Lock()
	silent := false
	for _, one := range l.silent {
		silent = silent || one
	}
	l.mu.Unlock()
	select {
	case l.turn <- struct{}{}:
	default:
		if scrape && silent {
			return false
		}
		select {
		case l.turn <- struct{}{}:
		case <-ctx.Done():
			return false
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if scrape && time.Since(l.looked) < lookFresh {
		l.end()
		return false
	}
	return true
}

func (l *looking) end() { <-l.turn }

func (l *looking) isSilent(broker int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent[broker]
}

// forget forgets brokers that lead nothing any more: nobody asks them again, and no scrape is to go by their silence.
func (l *looking) forget(leaders map[int32][]*owned) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.silent, func(broker int32, _ bool) bool { return leaders[broker] == nil })
}

func (l *looking) note(broker int32, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent[broker], l.looked = err != nil, time.Now()
}

// look asks the brokers where the logs of the partitions end, and how old the next record is where the loop does not know: before it is
// fetched, or while what is fetched waits. So what a scrape tells is true at that moment, and not as of the last batch. It returns when ctx is
// done, and what a slow broker answers after that counts for the next scrape. A broker that has not answered at all is asked again by the
// watch only.
func (s *session) look(ctx context.Context, scrape bool) {
	l := &s.looking
	if !l.begin(ctx, scrape) {
		return
	}
	inner, leave, err := s.enter(s.ctx)
	if err != nil {
		l.end()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer leave()
		defer l.end()
		asking, cancel := context.WithTimeout(inner, listTimeout)
		defer cancel()
		var all sync.WaitGroup
		leaders := s.byLeader()
		l.forget(leaders)
		for leader, owned := range leaders {
			if !scrape || !l.isSilent(leader) {
				all.Go(func() { l.note(leader, s.lookAt(asking, leader, owned)) })
			}
		}
		all.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// keepLooking looks now and then, scraped or not: a broker that has fallen silent is found to answer again, and each partition's status
// gets a sample.
func (s *session) keepLooking(ctx context.Context) {
	tick := time.NewTicker(s.watching.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.look(ctx, false)
		s.sample(time.Now())
	}
}

// byLeader are the partitions that the client fetches, by the broker that has them.
func (s *session) byLeader() map[int32][]*owned {
	astray := map[place]bool{}
	for _, at := range s.strays(s.client.CommittedOffsets()) {
		astray[at] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	leaders := map[int32][]*owned{}
	if s.over {
		return leaders
	}
	for at, o := range s.owned {
		o.lag.stray(astray[at])
		if o.settled.IsZero() {
			continue
		}
		if leader, _, err := s.client.PartitionLeader(at.topic, at.id); err == nil && leader >= 0 {
			leaders[leader] = append(leaders[leader], o)
		}
	}
	return leaders
}

// lookAt asks one broker.
func (s *session) lookAt(ctx context.Context, leader int32, all []*owned) error {
	asked := time.Now()
	var starts, highs map[place]int64
	var failed [2]error
	var asking sync.WaitGroup
	asking.Go(func() { starts, failed[0] = s.listed(ctx, leader, all, listStart, readCommitted) })
	asking.Go(func() { highs, failed[1] = s.listed(ctx, leader, all, listEnd, readUncommitted) })
	ends, err := s.listed(ctx, leader, all, listEnd, readCommitted)
	asking.Wait()
	if err := errors.Join(err, failed[0], failed[1]); err != nil {
		return err
	}
	var dark []*owned
	for _, o := range all {
		at := place{o.p.Topic, o.p.ID}
		start, known := starts[at]
		end, too := ends[at]
		if !known || !too {
			continue
		}
		o.lag.sees(bounds{start, end}, asked)
		o.lag.reaches(end, highs[at], asked)
		if _, is := o.lag.dark(); is {
			dark = append(dark, o)
		}
	}
	return s.lookInto(ctx, leader, dark)
}

// What a list of offsets is asked for, as the protocol has it.
const (
	listStart = -2
	listEnd   = -1 // of committed records the last stable offset

	readUncommitted int8 = 0
	readCommitted   int8 = 1
)

// listed are the starts or the ends of logs, of those that the broker tells.
func (s *session) listed(ctx context.Context, leader int32, all []*owned, which int64, isolation int8) (map[place]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	topics := map[string][]kmsg.ListOffsetsRequestTopicPartition{}
	for _, o := range all {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = o.p.ID, which
		topics[o.p.Topic] = append(topics[o.p.Topic], p)
	}
	for name, partitions := range topics {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic, t.Partitions = name, partitions
		req.Topics = append(req.Topics, t)
	}
	answer, err := s.client.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("list offsets of broker %d: %w", leader, err)
	}
	found := map[place]int64{}
	for _, t := range answer.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 && p.Offset >= 0 {
				found[place{t.Topic, p.Partition}] = p.Offset
			}
		}
	}
	return found, nil
}

// lookInto fetches the next records of partitions, past the client's own fetching, to see how old they are. A broker gives the first
// partition of an answer a whole batch, and the others only what has room: those are asked for again by themselves.
func (s *session) lookInto(ctx context.Context, leader int32, dark []*owned) error {
	if len(dark) == 0 {
		return nil
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes, req.IsolationLevel = 0, fetchBytes, 1
	topics := map[string]*kmsg.FetchRequestTopic{}
	wanted := map[place]*owned{}
	for _, o := range dark {
		from, is := o.lag.dark()
		if !is {
			continue
		}
		t := topics[o.p.Topic]
		if t == nil {
			fresh := kmsg.NewFetchRequestTopic()
			fresh.Topic, fresh.TopicID = o.p.Topic, s.topics[o.p.Topic].ID
			t = &fresh
			topics[o.p.Topic] = t
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = o.p.ID, from, lookBytes
		t.Partitions = append(t.Partitions, p)
		wanted[place{o.p.Topic, o.p.ID}] = o
	}
	names := map[[16]byte]string{}
	for name, t := range topics {
		names[t.TopicID] = name
		req.Topics = append(req.Topics, *t)
	}
	answer, err := s.client.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return fmt.Errorf("look at records of broker %d: %w", leader, err)
	}
	resp := answer.(*kmsg.FetchResponse)
	for i := range resp.Topics {
		name := resp.Topics[i].Topic
		if name == "" {
			name = names[resp.Topics[i].TopicID] // newer versions name topics by id only
		}
		for j := range resp.Topics[i].Partitions {
			got := &resp.Topics[i].Partitions[j]
			at := place{name, got.Partition}
			if o := wanted[at]; o != nil && kerr.ErrorForCode(got.ErrorCode) == nil {
				s.lookThrough(ctx, at, o, got)
			}
		}
	}
	return nil
}

// lookThrough goes from an answer on to the first data record, over markers and aborted records.
func (s *session) lookThrough(ctx context.Context, at place, o *owned, got *kmsg.FetchResponseTopicPartition) {
	for range lookSteps {
		from, dark := o.lag.dark()
		if !dark {
			return
		}
		if _, whole := first(got.RecordBatches); whole {
			records, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
				Offset: from, IsolationLevel: kgo.ReadCommitted(), Topic: at.topic, Partition: at.id,
			}, got, s.decompressor.Apart(), nil)
			switch {
			case len(records.Records) > 0:
				o.lag.found(from, data{records.Records[0].Offset, records.Records[0].Timestamp})
				return
			case records.Err != nil || next <= from:
				return // the loop deals with what cannot be decoded
			}
			o.lag.found(from, data{offset: next})
		}
		if from, dark = o.lag.dark(); !dark {
			return
		}
		var err error
		if got, err = s.peek(ctx, at, from); err != nil {
			return
		}
		if _, whole := first(got.RecordBatches); !whole {
			return
		}
	}
}
