package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Options make a Stream.
type Options struct {
	Name   string
	Group  string
	Topics []string
	Latest bool // begin at the end of a topic that the group has never read, instead of at its start
	Config Config

	Checkpoints     Checkpoints
	CheckpointEvery time.Duration
	Metrics         *Metrics
	Log             *slog.Logger
	Trace           func(Trace) // for backtests: called for every point
	Tracing         *Tracing    // nil has messages say of no trace
}

// Stream is the Handler of one configured path: a Worker for each assigned partition, and their checkpoints.
type Stream struct {
	name    string
	plan    *plan
	o       Options
	log     *slog.Logger
	saves   sync.WaitGroup
	crowded sync.Once // said that there may be no room

	mu         sync.RWMutex
	partitions map[Partition]*partition
	waiting    map[Partition]waiting
	before     []string            // configurations whose states were taken over
	unsaved    map[Partition]error // what the last checkpoint of a partition failed with
	aside      uint64              // records set aside since that was said
	saidAside  time.Time
	misread    string // see Misread
}

// partition is an assigned partition.
type partition struct {
	p       Partition
	labels  []string
	saving  chan struct{} // holds a token while a checkpoint is under way
	revoked chan struct{} // closed when the partition is no longer ours
	latest  bool          // it was to begin at the end of its log

	// turn guards the worker: it belongs to whoever the source lets call, and now and then, for a moment, to the checkpoint under way.
	turn    sync.Mutex
	worker  *Worker
	counted Counts // what the metrics have
	saved   saved
	later   bool      // a checkpoint will be tried when it is due
	warned  time.Time // that keys find no room

	history  bool // it warms up, and it is not known that the group has committed where it begins
	learning bool // it is said that most series are

	// Guarded by Stream.mu.
	committed int64 // records below it have had their output; 0 where the group has no offset
	position  int64 // of the worker, for readers beside it
}

const (
	revokeAttempts = 3 // at the last checkpoint

	warnEvery = time.Minute

	clockSlack = time.Minute // by which clocks may differ before records count as of the future
)

// NewStream checks the configuration; what it refuses are *invalid.Value, joined.
func NewStream(o Options) (*Stream, error) {
	if o.Config.Alert.Topic == "" && len(o.Topics) > 0 {
		o.Config.Alert.Topic = AlertTopic(o.Topics)
	}
	p, err := newPlan(o.Name, o.Config)
	if err != nil {
		return nil, err
	}
	o.Metrics.begin(o.Name, o.Topics)
	return &Stream{
		name: o.Name, plan: p, o: o, log: o.Log.With("stream", o.Name),
		partitions: map[Partition]*partition{}, waiting: map[Partition]waiting{}, unsaved: map[Partition]error{},
	}, nil
}

// AlertTopic is where the alerts of a stream over these topics go by default.
func AlertTopic(topics []string) string { return topics[0] + ".alerts" }

// Fields names the fields of a point.
func (s *Stream) Fields() []string { return s.plan.fields }

// Outputs are the topics that the stream writes to.
func (s *Stream) Outputs() []string { return s.plan.config.Outputs(s.o.Topics) }

// Outputs are the topics that a stream over these topics writes to, that of the alerts first.
func (c *Config) Outputs(topics []string) []string {
	outputs := []string{c.Alert.Topic}
	for _, t := range topics {
		outputs = append(outputs, DeadLetterTopic(t))
	}
	return outputs
}

// Assign restores the newest state at or below the committed offset. See Handler.
func (s *Stream) Assign(ctx context.Context, p Partition, committed int64) (int64, error) {
	w, kept, from, err := s.restore(ctx, p, committed)
	if err != nil {
		return 0, fmt.Errorf("restore %v: %w", p, err)
	}
	w.Trace, w.Tracing = s.o.Trace, s.o.Tracing
	part := &partition{
		p: p, labels: s.labels(p), saving: make(chan struct{}, 1), revoked: make(chan struct{}),
		worker: w, counted: newCounts(), saved: kept, committed: max(committed, 0), position: w.position, latest: from == FromLatest,
	}
	part.saved.next = time.Now().Add(s.o.CheckpointEvery)
	s.mu.Lock()
	if before := s.partitions[p]; before != nil {
		part.history = before.latest && from == FromStart
		close(before.revoked)
	}
	s.partitions[p] = part
	delete(s.waiting, p)
	s.mu.Unlock()
	s.checkRoom()
	s.o.Metrics.checkpointAge.set(part.labels, time.Now())
	s.o.Metrics.series.WithLabelValues(part.labels...).Set(float64(w.index.n))
	s.o.Metrics.learning.WithLabelValues(part.labels...).Set(float64(len(w.young.series)))
	s.o.Metrics.tellWatermark(part)
	return from, nil
}

func (s *Stream) get(p Partition) *partition {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.partitions[p]
}

// Process folds records into the partition's state. See Handler.
func (s *Stream) Process(_ context.Context, p Partition, records []Record) ([]Message, error) {
	part := s.get(p)
	if part == nil {
		return nil, fmt.Errorf("process %v: not assigned", p)
	}
	begin := time.Now()
	part.turn.Lock()
	defer part.turn.Unlock()
	s.mu.RLock()
	committed := part.committed
	s.mu.RUnlock()
	w, m := part.worker, s.o.Metrics
	received, bytes := 0, 0
	for i := range records {
		if r := &records[i]; !r.Control && r.Offset >= max(w.position, committed) {
			received++
			bytes += len(r.Key) + len(r.Value)
		}
	}
	w.Horizon = begin.Add(clockSlack).UnixNano()
	messages := w.Process(records, committed)
	if w.counts.Outcomes[NotAdmitted] > part.counted.Outcomes[NotAdmitted] && time.Since(part.warned) > warnEvery {
		part.warned = time.Now()
		s.log.Warn("keys find no room: the partition holds max_series or max_bytes", "partition", p.String(), "series", w.index.n, "bytes", w.bytes,
			"records", w.counts.Outcomes[NotAdmitted])
	}
	if n := w.counts.Outcomes[DeadLettered] - part.counted.Outcomes[DeadLettered]; n > 0 {
		s.tellAside(p, n, messages)
	}
	if w.misread > 0 {
		s.tellMisread(p, w.misread)
		w.misread = 0
	}
	m.bytes.WithLabelValues(s.name).Add(float64(bytes))
	m.sums.moving.RLock()
	m.received.WithLabelValues(s.name).Add(float64(received))
	m.add(s.name, p.Topic, &w.counts, &part.counted)
	m.sums.moving.RUnlock()
	m.addStages(s.name, &w.took)
	m.series.WithLabelValues(part.labels...).Set(float64(w.index.n))
	s.tellLearning(part)
	m.tellWatermark(part)
	m.process.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())
	s.mu.Lock()
	part.position = w.position
	s.mu.Unlock()
	return messages, nil
}

// tellAside says, at once and then once in a while, that records are set aside, and why the last was: where a field's name is misspelt that is
// every record, and nothing else in the log tells it from a stream that is well.
func (s *Stream) tellAside(p Partition, n uint64, messages []Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside += n
	if time.Since(s.saidAside) < warnEvery {
		return
	}
	letters := DeadLetterTopic(p.Topic)
	for _, m := range slices.Backward(messages) {
		if m.Topic != letters {
			continue
		}
		attrs := []any{"records", s.aside, "partition", p.String(), "offset", m.Offset}
		for _, h := range m.Headers {
			if h.Key == "gonomaly.reason" || h.Key == "gonomaly.detail" {
				attrs = append(attrs, h.Key[len("gonomaly."):], string(h.Value))
			}
		}
		s.log.Warn("records are set aside: they cannot be decoded", attrs...)
		s.aside, s.saidAside = 0, time.Now()
		return
	}
}

// tellMisread says, once, that event times seem to be read in a wrong unit: all is well but for windows that last for months.
func (s *Stream) tellMisread(p Partition, at int64) {
	doubt := s.plan.config.Decode.Time.Doubt(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if doubt == "" || s.misread != "" {
		return
	}
	s.misread = doubt
	s.log.Warn("event times seem to be read in a wrong unit: correct decode.time", "partition", p.String(), "time", doubt)
}

// Misread says of an event time, the first of them, that it seems to have been read in a wrong unit; "" where none was.
func (s *Stream) Misread() string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.misread
}

// Position is the next offset the partition's state wants. See Handler.
func (s *Stream) Position(p Partition) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if part := s.partitions[p]; part != nil {
		return part.position
	}
	return -1
}

// Due says that a checkpoint is due and none is under way. See Handler.
func (s *Stream) Due(p Partition) bool {
	part := s.get(p)
	if part == nil {
		return false
	}
	part.turn.Lock()
	defer part.turn.Unlock()
	return len(part.saving) == 0 && !time.Now().Before(part.saved.next)
}

// Committed checkpoints the state now and then. See Handler.
func (s *Stream) Committed(_ context.Context, p Partition, offset int64) error {
	part := s.get(p)
	if part == nil {
		return nil
	}
	s.mu.Lock()
	part.committed = max(part.committed, offset)
	s.mu.Unlock()
	part.turn.Lock()
	defer part.turn.Unlock()
	part.history = false
	s.checkpoint(part)
	return nil
}

// Revoke forgets a partition. See Handler.
func (s *Stream) Revoke(ctx context.Context, p Partition) error {
	s.mu.Lock()
	part := s.partitions[p]
	delete(s.partitions, p)
	s.mu.Unlock()
	if part == nil {
		return nil
	}
	close(part.revoked)
	defer func() {
		s.o.Metrics.forget(part.labels)
		s.mu.Lock()
		delete(s.unsaved, p)
		s.mu.Unlock()
	}()
	select {
	case part.saving <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-part.saving }()
	// No later one makes up for it: connections that a restart of the store has left dead must not cost it. But a rebalance waits for us,
	// so that a store that stays away costs a replay. A failure is counted and said.
	for range revokeAttempts {
		part.turn.Lock()
		snapshot := s.cut(part)
		part.turn.Unlock()
		if snapshot == nil || s.save(ctx, part, snapshot) == nil || ctx.Err() != nil {
			break
		}
	}
	return nil
}

// Ready is nil once every assigned partition has its state back and checkpoints are stored; else it says what is missing.
func (s *Stream) Ready() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	missing := s.unstored()
	for p, part := range s.partitions {
		if max(part.position, 0) < part.committed { // the position is -1 before the first record
			missing = append(missing, fmt.Sprintf("%v: restoring, at offset %d of %d", p, max(part.position, 0), part.committed))
		}
	}
	return s.lacks(missing)
}
