package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// session is one client with the partitions it was assigned. Its loop is one goroutine; the client calls assign and drop from others
// while the loop polls or ends a turn. A session is over before the next one begins: none of its calls to the handler remains.
type session struct {
	*Kafka
	h            pipeline.Handler
	topics       map[string]kafka.Topic
	client       *kgo.Client
	delivery     delivery
	decompressor *kafka.Decompressor
	connected    chan struct{} // closed when client is set: the client calls back before it is returned
	ctx          context.Context
	cancel       context.CancelFunc
	calls        sync.WaitGroup // of the client to the handler
	assigning    assigning

	// Of the loop.
	fetchFailed error // what a fetch failed with last
	failedAt    time.Time
	repeats     kafka.Repeats // of failed fetches
	writeFailed error         // what the last turn was given up for, if for that
	aborts      int           // in a row, other than by rebalances
	ending      time.Time     // of the last turn that had something to end for
	hurried     bool          // the turn was cut short: the group rebalances
	pressure    pressure
	polled      polled
	polledAt    time.Time // last
	leisure     bool      // the last poll that brought records brought all that there were
	worked      time.Time // until when, at the records of the last poll
	busy        float64   // share of the time since the work before it that this took

	looking looking
	sampled time.Time // progress at the last samples; of keepLooking

	failures failures    // of writes
	revoked  atomic.Bool // partitions were taken away: the turn must end soon
	tainted  atomic.Bool // the turn holds alerts that would be told again: it must not commit
	suspects chan place  // partitions that stand still, for the loop to look at what they stand before

	mu      sync.Mutex
	over    bool
	endTurn context.CancelFunc // stops waiting for records
	owned   map[place]*owned
	coming  map[place]*coming // what restores them, until the client fetches them

	expected  int       // partitions that the group has given to this member and the client has not
	expecting time.Time // since when, zero for none

	groupState string
	restless   time.Time // since when the group has not come to rest and this member has nothing; zero where that is not so
}

func newSession(ctx context.Context, k *Kafka, h pipeline.Handler, topics map[string]kafka.Topic) *session {
	s := &session{
		pressure: pressure{memory: k.memory}, Kafka: k, h: h, topics: topics, decompressor: k.o.Client.Decompressor(), connected: make(chan struct{}), suspects: make(chan place, 1),
		looking: looking{turn: make(chan struct{}, 1), silent: map[int32]bool{}},
		endTurn: func() {}, owned: map[place]*owned{}, coming: map[place]*coming{},
	}
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it outlives ctx by the time that a clean end takes
	return s
}

// Bounds of what a session holds in memory. A poll hands over what a fetch has brought; the client holds another. What batches decompress
// to is bounded by the decompressor.
const (
	fetchBytes     = 2 << 20 // compressed, of one answer of one broker
	partitionBytes = 512 << 10
	longestFetch   = 250 * time.Millisecond // where there is nothing: what an assigned partition costs that is silent
	unsentRecords  = 10_000                 // of messages in the client's hands
	unsentBytes    = 16 << 20
	pendingBytes   = 32 << 20 // of messages in one turn; it ends when it has them
)

// connect makes the client. It joins the group at once.
func (s *session) connect() error {
	start := kgo.NewOffset().AtStart()
	opts := append(kafka.Observed(s.opts, s.o.Clients, s.o.Stream, s.log),
		kgo.ConsumerGroup(s.o.Group), kgo.ConsumeTopics(s.o.Topics...), kgo.ConsumeStartOffset(start), kgo.ConsumeResetOffset(start),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.BlockRebalanceOnPoll(), kgo.OnPartitionsCallbackBlocked(s.hurry),
		kgo.AdjustFetchOffsetsFn(s.assign), kgo.OnPartitionsRevoked(s.drop), kgo.OnPartitionsLost(s.drop),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), // markers move the position
		kgo.FetchMaxWait(longestFetch), kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(partitionBytes), kgo.MaxConcurrentFetches(2),
		kgo.WithDecompressor(s.decompressor), kgo.WithPools(s.decompressor),
		kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(heartbeat), kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.ConcurrentTransactionsBackoff(20*time.Millisecond),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(unsentRecords+1),
		kgo.MetadataMinAge(metadataAge), kgo.MetadataMaxAge(30*time.Second),
	)
	if s.o.Config.GroupProtocol == Consumer {
		opts = append(opts, kgo.ServerSideBalancer())
	}
	if s.o.Instance != "" {
		opts = append(opts, kgo.InstanceID(s.o.Instance))
	}
	client, delivery, err := s.deliver(opts)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	s.client, s.delivery = client, delivery
	close(s.connected)
	return nil
}

// run polls, processes and commits until ctx is done, or something happens that this client does not survive.
func (s *session) run(ctx context.Context) error {
	stuck := make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { s.watch(watching, stuck) })
	watch.Go(func() { s.keepLooking(watching) })
	defer watch.Wait()
	defer stop()

	open := false
	for ctx.Err() == nil {
		s.note(s.trouble())
		if !open {
			if err := s.begin(ctx); err != nil {
				return err
			}
			open = true
		}
		if err := s.gather(ctx); err != nil {
			return err
		}
		select {
		case err := <-stuck:
			return errors.Join(err, s.fetchFailed)
		default:
		}
		if !s.work() {
			s.client.AllowRebalance() // ending a transaction with nothing in it costs half a second
			continue
		}
		if err := s.end(ctx); err != nil {
			return err
		}
		open = false
	}
	return nil
}

// stillFailing is how long after a fetch has failed it counts as failing: the client reports a lasting failure now and then only.
const stillFailing = 10 * time.Second

// trouble is why the source is not ready.
func (s *session) trouble() error {
	if err := s.assigning.state(); err != nil {
		return err
	}
	if s.fetchFailed != nil && time.Since(s.failedAt) < stillFailing {
		return s.fetchFailed
	}
	if s.writeFailed != nil {
		return s.writeFailed
	}
	if _, generation := s.client.GroupMetadata(); generation < 0 {
		return errors.New("not a member of the group yet")
	}
	if err := cmp.Or(s.withheld(time.Now()), s.unsettled(time.Now())); err != nil {
		return err
	}
	return s.pressure.trouble(time.Now())
}

// gather polls and processes for the length of a turn, or until that is full or partitions are to be given away.
func (s *session) gather(ctx context.Context) error {
	turn, cancel := context.WithDeadline(ctx, turnEnd(time.Now(), s.ending, s.o.Config.CommitEvery))
	defer cancel()
	defer func() { s.hurried = errors.Is(turn.Err(), context.Canceled) }()
	s.mu.Lock()
	s.endTurn = cancel
	s.mu.Unlock()
	if len(s.polled.shares) > 0 {
		s.client.PollFetches(over) // what is left of the last turn is processed as if it were polled now
	}
	for turn.Err() == nil && !s.revoked.Load() {
		if s.full() {
			return nil
		}
		if err := s.join(); err != nil {
			return err
		}
		if len(s.polled.shares) == 0 {
			select {
			case at := <-s.suspects:
				if _, err := s.inspect(ctx, at, true); err != nil {
					return err
				}
			default:
			}
		}
		if s.pressed() {
			<-turn.Done()
			return nil
		}
		s.rest(turn)
		if err := s.poll(turn); err != nil {
			return err
		}
		begin := time.Now()
		if _, err := s.step(ctx, func(*owned) bool { return true }); err != nil {
			return err
		}
		s.reckon(begin, time.Now())
		failed, err := s.complain(ctx)
		if err != nil {
			return err
		}
		if err := s.write(ctx); err != nil {
			return err
		}
		if failed {
			<-turn.Done() // what fails may fail again at once, thousands of times a second
		}
	}
	return nil
}

// rest lets records gather before the next poll, where they are little work: to fetch and to process a few at a time takes more than twice
// as long for each. Their alerts wait for the end of the turn anyway, and early enough before it all that has come is polled; what is delivered
// at least once does not wait for that.
func (s *session) rest(turn context.Context) {
	if !s.leisure || s.busy > mostBusy || len(s.polled.shares) > 0 || !s.exactlyOnce() {
		return
	}
	end, _ := turn.Deadline()
	left := time.Until(end) - min(s.o.Config.CommitEvery/10, lastPolls)
	select {
	case <-time.After(min(longestRest, time.Duration((1-s.busy)*float64(left)))):
	case <-turn.Done():
	}
}

// Bounds of rest.
const (
	longestRest = 200 * time.Millisecond
	lastPolls   = 10 * time.Millisecond // before the end of a turn: what the client has fetched meanwhile, and what has come since
	mostBusy    = 0.25
)

// reckon notes which share of the time the work took that was done from begin to now.
func (s *session) reckon(begin, now time.Time) {
	s.busy = float64(now.Sub(begin)) / float64(now.Sub(s.worked))
	s.worked = now
}

// turnEnd is when a turn is to end that begins now. Commits are to begin at even distances: what one took comes out of the turn after it, for
// alerts of records that came meanwhile have waited that long already; but half of the turn is left.
func turnEnd(now, ending time.Time, every time.Duration) time.Time {
	if now.Sub(ending) < every/2 {
		return ending.Add(every)
	}
	return now.Add(every)
}

// hurry ends the turn: the group rebalances, and waits for us to let go.
func (s *session) hurry(context.Context, *kgo.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endTurn()
}

// full says that the turn holds as much as it should.
func (s *session) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := 0
	for _, o := range s.owned {
		bytes += o.bytes
	}
	return bytes >= pendingBytes
}

// drain ends the session's calls to the handler: those under way, and then every partition is handed over, with a checkpoint where
// nothing is processed beyond what is committed.
func (s *session) drain() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.cancel()
	s.calls.Wait()
	s.forget(context.WithoutCancel(s.ctx), s.places())
}

func (s *session) places() []place {
	s.mu.Lock()
	defer s.mu.Unlock()
	places := make([]place, 0, len(s.owned))
	for at := range s.owned {
		places = append(places, at)
	}
	return places
}

func (s *session) get(at place) *owned {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned[at]
}
