package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
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
}

// waiting is a partition to be assigned whose checkpoints cannot be read.
type waiting struct{ since, last time.Time } // attempts

// over says whether nobody asks any more: a rebalance has given the partition to another process, which a handler is not told.
func (w waiting) over() bool { return time.Since(w.last) > attemptsPause }

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

// saved is what is stored of a partition.
type saved struct {
	offset  int64 // of the newest checkpoint
	whole   int   // bytes of the whole one at the start of its chain; 0 where there is none to continue
	changes int   // bytes of those that continue it
	pieces  int   // their number
	next    time.Time
}

// checkpointWait is how long an assignment waits for checkpoints that cannot be read before it rebuilds the state from the log:
// an unreachable store is not an empty one.
const checkpointWait = 2 * time.Minute

// attemptsPause is longer than any pause between two attempts to assign a partition.
const attemptsPause = 30 * time.Second

const (
	// A checkpoint is whole again when what has changed since the last whole one comes to a share of it, or to so many pieces: what a
	// restore reads, and what is written on average, both stay in bounds.
	changesShare = 0.5
	mostPieces   = 64

	snapshotStep  = 256 << 10        // bytes encoded at once, while the partition waits: some 0.3 ms
	snapshotPause = time.Millisecond // between two steps
	saveTimeout   = 30 * time.Second

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
	o.Metrics.begin(o.Name)
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
func (s *Stream) Outputs() []string {
	outputs := []string{s.plan.config.Alert.Topic}
	for _, t := range s.o.Topics {
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
	w.Trace = s.o.Trace
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
	s.o.Metrics.series.WithLabelValues(part.labels...).Set(float64(len(w.all)))
	s.o.Metrics.learning.WithLabelValues(part.labels...).Set(float64(len(w.young.series)))
	return from, nil
}

// restore makes a partition's worker, from what is stored or without a state, and says where it is to read from.
func (s *Stream) restore(ctx context.Context, p Partition, committed int64) (*Worker, saved, int64, error) {
	begin := time.Now()
	w, kept, err := s.stored(ctx, p, committed)
	if err == nil {
		if committed < 0 {
			s.log.Warn("the group has no committed offset: going on from the checkpoint, alerts since then may repeat",
				"partition", p.String(), "offset", kept.offset)
		}
		s.log.Info("restored", "partition", p.String(), "checkpoint", kept.offset, "committed", committed, "series", len(w.all),
			"bytes", kept.whole+kept.changes, "seconds", time.Since(begin).Seconds())
		s.o.Metrics.restores.WithLabelValues(s.name, "checkpoint").Inc()
		return w, kept, kept.offset, nil
	}
	if !errors.Is(err, ErrNoCheckpoint) && !s.waited(p) {
		return nil, saved{}, 0, err
	}
	w, none := newWorker(s.plan, p), saved{offset: -1}
	switch before := s.get(p); {
	case committed > 0 && before != nil && before.latest:
		s.o.Metrics.restores.WithLabelValues(s.name, "history").Inc()
		return w, none, FromStart, nil
	case committed > 0:
		s.log.Warn("no usable checkpoint: rebuilding the state from the log", "partition", p.String(), "committed", committed, "why", err)
		s.o.Metrics.restores.WithLabelValues(s.name, "log").Inc()
		return w, none, FromStart, nil
	case committed < 0 && s.o.Latest:
		s.o.Metrics.restores.WithLabelValues(s.name, "none").Inc()
		return w, none, FromLatest, nil
	}
	s.o.Metrics.restores.WithLabelValues(s.name, "none").Inc()
	return w, none, FromStart, nil
}

// stored restores the newest state that is stored and can be used, or wraps ErrNoCheckpoint. Bytes that are sound and yet no state of this
// program, such as those of a newer one, leave the piece before them, and then the chain before.
func (s *Stream) stored(ctx context.Context, p Partition, committed int64) (*Worker, saved, error) {
	atMost := committed
	if committed < 0 {
		atMost = math.MaxInt64 // the group's offset may have expired; the state has not
	}
	for {
		states, err := s.o.Checkpoints.Load(ctx, Log{s.o.Group, p}, atMost, s.plan.hashes)
		if err != nil {
			return nil, saved{}, err
		}
		for n := len(states); n > 0; n-- {
			last := states[n-1]
			w, kept, err := s.unpack(p, states[:n])
			if err != nil {
				s.log.Warn("checkpoint cannot be restored: going back to the one before", "partition", p.String(), "offset", last.Offset, "error", err)
				continue
			}
			if last.Config != s.plan.hashes {
				kept, err = s.adopt(ctx, w, last.Config, committed)
			}
			return w, kept, err
		}
		atMost = states[0].Offset - 1
	}
}

// unpack restores a worker.
func (s *Stream) unpack(p Partition, states []Checkpoint) (*Worker, saved, error) {
	w := newWorker(s.plan, p)
	parts := make([][]byte, len(states))
	for i, c := range states {
		parts[i] = c.State
	}
	if err := w.Restore(parts); err != nil {
		return nil, saved{}, err
	}
	last := states[len(states)-1].Offset
	if w.position != last {
		return nil, saved{}, fmt.Errorf("%w: its position is %d, the checkpoint's %d", errState, w.position, last)
	}
	kept := saved{offset: last, whole: len(parts[0]), pieces: len(parts) - 1}
	for _, b := range parts[1:] {
		kept.changes += len(b)
	}
	return w, kept, nil
}

// waited says whether the checkpoints of p have been out of reach for checkpointWait.
func (s *Stream) waited(p Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.waiting[p]
	if w.over() {
		w.since = time.Now()
	}
	w.last = time.Now()
	s.waiting[p] = w
	return time.Since(w.since) >= checkpointWait
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
		s.log.Warn("keys find no room: the partition holds max_series or max_bytes", "partition", p.String(), "series", len(w.all), "bytes", w.bytes,
			"records", w.counts.Outcomes[NotAdmitted])
	}
	m.received.WithLabelValues(s.name).Add(float64(received))
	m.bytes.WithLabelValues(s.name).Add(float64(bytes))
	m.add(s.name, &w.counts, &part.counted)
	m.addStages(s.name, &w.took)
	m.series.WithLabelValues(part.labels...).Set(float64(len(w.all)))
	s.tellLearning(part)
	if w.watermark > math.MinInt64 {
		m.watermark.WithLabelValues(part.labels...).Set(float64(w.watermark) / 1e9)
	}
	m.process.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())
	s.mu.Lock()
	part.position = w.position
	s.mu.Unlock()
	return messages, nil
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
	if time.Now().Before(part.saved.next) {
		s.later(part)
		return nil
	}
	select {
	case part.saving <- struct{}{}:
	default:
		return nil // the one before is still under way
	}
	snapshot := s.cut(part)
	if snapshot == nil {
		<-part.saving
		return nil
	}
	s.saves.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), saveTimeout) // a revoked partition's checkpoint is still good
		defer cancel()
		err := s.save(ctx, part, snapshot)
		<-part.saving
		if err != nil {
			part.turn.Lock()
			defer part.turn.Unlock()
			s.later(part)
		}
	})
	return nil
}

// later has a checkpoint made when one is due, for the next commit may be long in coming. The worker's turn is held.
func (s *Stream) later(part *partition) {
	if part.later {
		return
	}
	part.later = true
	due := time.After(time.Until(part.saved.next))
	s.saves.Go(func() {
		select {
		case <-due:
		case <-part.revoked:
			return
		}
		part.turn.Lock()
		part.later = false
		part.turn.Unlock()
		s.mu.RLock()
		committed := part.committed
		s.mu.RUnlock()
		_ = s.Committed(context.Background(), part.p, committed)
	})
}

// cut begins a checkpoint of what is committed, or returns nil where there is nothing new. The worker's turn is held. A history is not
// stored before the group has committed where it ends, and with that where it begins: whoever finds a state and no offset would not know
// from where to learn it again.
func (s *Stream) cut(part *partition) *Snapshot {
	w := part.worker
	s.mu.Lock()
	committed := part.committed
	s.mu.Unlock()
	if part.history || w.position < 0 || w.position != committed || w.position <= part.saved.offset {
		return nil
	}
	k := &part.saved
	begin := time.Now()
	snapshot := w.Cut(k.whole == 0 || k.pieces >= mostPieces || float64(k.changes) >= changesShare*float64(k.whole))
	s.o.Metrics.checkpointPause.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())
	k.next = time.Now().Add(s.o.CheckpointEvery)
	return snapshot
}

// save finishes a snapshot and stores it. A failure costs replay, nothing else: it is counted and said once, and the next checkpoint has
// what this one had.
func (s *Stream) save(ctx context.Context, part *partition, snapshot *Snapshot) error {
	begin := time.Now()
	for done := false; !done; {
		done = s.step(part)
		if !done {
			time.Sleep(snapshotPause)
		}
	}
	state, err := snapshot.Bytes()
	c := Checkpoint{Offset: snapshot.Offset, After: Whole, Config: s.plan.hashes, State: state}
	part.turn.Lock()
	if !snapshot.Whole {
		c.After = part.saved.offset
	}
	part.turn.Unlock()
	if err == nil {
		err = s.o.Checkpoints.Save(ctx, Log{s.o.Group, part.p}, c)
	}

	part.turn.Lock()
	k := &part.saved
	switch {
	case err != nil:
		part.worker.Undo(snapshot)
		if errors.Is(err, ErrBroken) {
			k.whole, k.next = 0, time.Time{}
		}
	case snapshot.Whole:
		*k = saved{offset: c.Offset, whole: max(1, len(state)), next: k.next}
	default:
		k.offset, k.changes, k.pieces = c.Offset, k.changes+len(state), k.pieces+1
	}
	part.turn.Unlock()
	s.tell(part, c, begin, err)
	return err
}

// step encodes a piece of the snapshot under way.
func (s *Stream) step(part *partition) (done bool) {
	part.turn.Lock()
	defer part.turn.Unlock()
	begin := time.Now()
	done = part.worker.Continue(snapshotStep)
	s.o.Metrics.checkpointPause.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())
	return done
}

// tell counts a checkpoint, and says when they begin to fail and when they are stored again. That a whole one is wanted is no failure.
func (s *Stream) tell(part *partition, c Checkpoint, begin time.Time, err error) {
	s.mu.Lock()
	before := s.unsaved[part.p]
	current := s.partitions[part.p] == part
	broken := errors.Is(err, ErrBroken)
	switch {
	case err == nil || !current:
		delete(s.unsaved, part.p)
	case !broken:
		s.unsaved[part.p] = err
	}
	s.mu.Unlock()
	switch {
	case broken:
		s.o.Metrics.checkpoints.WithLabelValues(s.name, "broken").Inc()
		return
	case err != nil:
		s.o.Metrics.checkpoints.WithLabelValues(s.name, "failed").Inc()
		if before == nil {
			s.log.Error("checkpoint", "partition", part.p.String(), "offset", c.Offset, "error", err)
		}
		return
	case before != nil:
		s.log.Info("checkpoints are stored again", "partition", part.p.String(), "offset", c.Offset)
	}
	kind := "changes"
	if c.After == Whole {
		kind = "whole"
		if current {
			s.o.Metrics.checkpointBytes.WithLabelValues(part.labels...).Set(float64(len(c.State)))
		}
	}
	s.o.Metrics.checkpoints.WithLabelValues(s.name, "stored").Inc()
	s.o.Metrics.checkpointBytesTotal.WithLabelValues(s.name, kind).Add(float64(len(c.State)))
	s.o.Metrics.checkpointDuration.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())
	if current {
		s.o.Metrics.checkpointAge.set(part.labels, begin)
	}
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

// Wait returns when no checkpoint is under way.
func (s *Stream) Wait() { s.saves.Wait() }

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

// Stored is nil while checkpoints can be read and stored, as far as is known. A change of the configuration wants that: it begins with one.
func (s *Stream) Stored() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lacks(s.unstored())
}

// unstored says which checkpoints cannot be read or stored. The lock is held.
func (s *Stream) unstored() (missing []string) {
	for p, w := range s.waiting {
		if !w.over() {
			missing = append(missing, fmt.Sprintf("%v: its checkpoints cannot be read since %s", p, w.since.UTC().Format(time.RFC3339)))
		}
	}
	for p, err := range s.unsaved {
		missing = append(missing, fmt.Sprintf("%v: %v", p, err))
	}
	return missing
}

func (s *Stream) lacks(missing []string) error {
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("stream %s: %s", s.name, strings.Join(missing, "; "))
}
