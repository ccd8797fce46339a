// Package sources brings records to the pipeline: from the partitions of Kafka exactly once, where what comes of them and the group's
// offsets move together; and from a file or standard input, each as one partition.
package sources

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// KafkaOptions make a Kafka source.
type KafkaOptions struct {
	Client   kafka.Config
	Config   KafkaConfig // of the zero one's fields each stands for its default
	Stream   string      // for metrics and logs
	Group    string      // consumer group
	Topics   []string    // to read; waited for while they are missing
	Outputs  []string    // to write, that of the alerts first; created if missing
	Instance string      // stable name of the process among the group's: a restart takes over at once. "" has none
	Clients  *kafka.Metrics
	Metrics  *KafkaMetrics
	Log      *slog.Logger
	Tracer   *tracing.Tracer // nil for no traces

	// Told, if set, is called with messages of a partition that have become durable. It must not wait, for the loop does.
	Told func(messages []pipeline.Message)

	// Step is how many records are processed at once, of all partitions together, before a turn may end; 0 for 20,000, some milliseconds of work.
	Step int

	// Dial opens a connection to a broker; nil for the way that Client says.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Kafka reads topics as a member of a consumer group, exactly once: alerts, dead letters and the group's offsets move in one
// transaction; or at least once, without. A client that has failed is dropped and made anew, with the state taken up from the last
// checkpoint; that never ends the process.
type Kafka struct {
	o             KafkaOptions
	opts          kafka.Options
	transactional string // id of this slot's transactions: the same after a restart, so that it aborts what its predecessor left
	log           *slog.Logger
	watching      watching
	memory        memory
	patience      time.Duration // with states that are on their way

	// Of Run: what outlives a session.
	member string              // its last id in the group
	known  map[string][16]byte // topics' ids

	mu       sync.Mutex
	turn     time.Time           // of the loop, last
	progress time.Time           // of the loop, last: a turn, or records processed within one
	trouble  error               // why the source is not ready
	renewed  map[string][16]byte // ids of topics that were made anew
	windows  map[place]*window   // of the partitions that were taken over
}

// Times of the protocol. They came out best in trials with kills, freezes and failing brokers; a default broker refuses shorter sessions.
const (
	transactionWait  = 5 * time.Second // after it, and the time between two commits, the broker aborts
	sessionTimeout   = 6 * time.Second
	heartbeat        = time.Second
	rebalanceTimeout = 6 * time.Second
	endTimeout       = 8 * time.Second // longer than a rebalance
	beginTimeout     = 5 * time.Second
	fenceTimeout     = 15 * time.Second
	metadataAge      = 250 * time.Millisecond // younger is not asked for again

	// Those of a shutdown add up to less than the ten seconds that it may take.
	lastEndTimeout = 3 * time.Second
	revokeTimeout  = 3 * time.Second // for the checkpoints of revoked partitions; a group's rebalance waits for them
	closeTimeout   = 2 * time.Second
)

// maxIdle is how long the loop may go without a turn and still count as healthy: longer than every deadline on its way.
const maxIdle = time.Minute

// NewKafka checks the options; it does not connect.
func NewKafka(o KafkaOptions) (*Kafka, error) {
	if o.Group == "" || len(o.Topics) == 0 || len(o.Outputs) == 0 {
		return nil, fmt.Errorf("stream %s: a Kafka source wants a group, topics to read and topics to write", o.Stream)
	}
	def := DefaultKafka()
	o.Config.Delivery = cmp.Or(o.Config.Delivery, def.Delivery)
	o.Config.CommitEvery = cmp.Or(o.Config.CommitEvery, def.CommitEvery)
	o.Config.GroupProtocol = cmp.Or(o.Config.GroupProtocol, def.GroupProtocol)
	o.Step = cmp.Or(o.Step, usualStep)
	if o.Config.Probe != nil {
		o.Config.Probe = o.Config.Probe.orDefault()
	}
	if err := o.Config.Check(); err != nil {
		return nil, err
	}
	opts, err := o.Client.Options()
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	if o.Dial != nil {
		opts = append(opts, kgo.Dialer(o.Dial))
	}
	o.Metrics.begin(o.Stream, o.Outputs)
	if o.Config.Probe != nil {
		o.Metrics.beginProbes(o.Stream, o.Topics)
	}
	slot := o.Instance
	if slot == "" {
		slot = rand.Text()
	}
	return &Kafka{
		o: o, opts: opts, transactional: TransactionalID(o.Group, slot), log: o.Log.With("stream", o.Stream),
		watching: defaultWatching, memory: processMemory, patience: restorePatience, known: map[string][16]byte{}, renewed: map[string][16]byte{},
		turn: time.Now(), progress: time.Now(), trouble: errors.New("not connected yet"), windows: map[place]*window{},
	}, nil
}

// TransactionalID is under what a group's instance writes.
func TransactionalID(group, instance string) string { return "gonomaly." + group + "." + instance }

// Run drives h until ctx is done, then commits, hands the partitions over with a checkpoint, and returns nil; that takes at most ten
// seconds.
func (k *Kafka) Run(ctx context.Context, h pipeline.Handler) error {
	defer k.o.Metrics.progress.DeleteLabelValues(k.o.Stream) // a loop that has ended is not stuck
	if k.o.Config.Probe != nil {
		var probing sync.WaitGroup
		probing.Go(func() { newProber(k).run(ctx) })
		defer probing.Wait()
	}
	pause := retries()
	for ctx.Err() == nil {
		begin := time.Now()
		err := k.session(ctx, h)
		if ctx.Err() != nil {
			return nil
		}
		k.o.Metrics.rebuilds.WithLabelValues(k.o.Stream).Inc()
		k.note(err)
		k.o.Clients.Denied(err)
		k.log.Error("the Kafka client failed: making a new one", "error", err)
		if fenced(err) {
			k.yield(ctx)
		}
		if time.Since(begin) > time.Minute {
			pause.Reset()
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
		}
	}
	return nil
}

// retries paces what is tried again without end.
func retries() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
}

// session is the life of one client: from the topics that it waits for to the error that it does not survive.
func (k *Kafka) session(ctx context.Context, h pipeline.Handler) error {
	topics, err := k.prepare(ctx)
	if err != nil {
		return err
	}
	s := newSession(ctx, k, h, topics)
	if err := s.connect(); err != nil {
		return err
	}
	k.o.Metrics.follow(k.o.Stream, s)
	defer k.o.Metrics.unfollow(k.o.Stream, s)
	err = s.run(ctx)
	if err != nil && ctx.Err() != nil {
		k.log.Warn("the last records are left to the next owner", "error", err)
	}
	s.drain()
	if member, _ := s.client.GroupMetadata(); member != "" {
		k.member = member
	}
	closeClient(s.client)
	switch {
	case ctx.Err() != nil: // even if the last commit failed: nobody comes back to its place
		k.leave(ctx, forGood)
	case k.o.Config.GroupProtocol == Consumer:
		k.leave(ctx, forNow)
	}
	return err
}

// note marks a turn of the loop, and keeps what is wrong, nil for nothing.
func (k *Kafka) note(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.trouble = err
	k.turn = time.Now()
	k.advance(k.turn)
}

// advance marks progress of the loop. The lock is held.
func (k *Kafka) advance(at time.Time) {
	k.progress = at
	k.o.Metrics.progress.WithLabelValues(k.o.Stream).Set(float64(at.UnixMilli()) / 1e3)
}

// folded marks that the loop has processed records, in a turn that may be long.
func (k *Kafka) folded() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.advance(time.Now())
}

func (k *Kafka) lastProgress() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.progress
}

// Pace is how the loop of a source goes.
type Pace string

const (
	Turning Pace = "turning"
	Slow    Pace = "slow"  // a turn takes long, and records are processed in it
	Stuck   Pace = "stuck" // nothing happens: only this is helped by another process
)

// slowTurn is how long a turn takes that is worth a word: longer than the end of a transaction may.
const slowTurn = 10 * time.Second

// Loop is how the loop goes: how long ago it began a turn, and made progress of any kind.
func (k *Kafka) Loop() (pace Pace, turned, progressed time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	turned, progressed = time.Since(k.turn), time.Since(k.progress)
	switch {
	case progressed > maxIdle:
		return Stuck, turned, progressed
	case turned > slowTurn:
		return Slow, turned, progressed
	}
	return Turning, turned, progressed
}

// Ready is nil while the source is a member of its group, has its partitions, and can fetch and write; else it says what is missing.
func (k *Kafka) Ready() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.trouble != nil {
		return fmt.Errorf("stream %s: %w", k.o.Stream, k.trouble)
	}
	return nil
}
