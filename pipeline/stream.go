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
	name  string
	plan  *plan
	o     Options
	log   *slog.Logger
	saves sync.WaitGroup

	mu         sync.RWMutex
	partitions map[Partition]*partition
	waiting    map[Partition]time.Time // since when the checkpoints of a partition to be assigned could not be read
	unsaved    map[Partition]error     // what the last checkpoint of a partition failed with
}

// partition is an assigned partition. Its worker belongs to whoever the source lets call; the rest is guarded by Stream.mu.
type partition struct {
	worker    *Worker
	counted   Counts // what the metrics have
	labels    []string
	committed int64 // records below it have had their output; 0 where the group has no offset
	position  int64 // of the worker, for readers beside it
	saved     int64 // offset of the last checkpoint
	next      time.Time
	saving    chan struct{} // holds a token while a checkpoint is under way
}

// checkpointWait is how long an assignment waits for checkpoints that cannot be read before it rebuilds the state from the log:
// an unreachable store is not an empty one.
const checkpointWait = 2 * time.Minute

// checkpointShare bounds the share of a partition's time that encoding its state may take.
const checkpointShare = 0.05

// NewStream checks the configuration; what it refuses are *invalid.Value, joined.
func NewStream(o Options) (*Stream, error) {
	if o.Config.Alert.Topic == "" && len(o.Topics) > 0 {
		o.Config.Alert.Topic = AlertTopic(o.Topics)
	}
	p, err := newPlan(o.Name, o.Config)
	if err != nil {
		return nil, err
	}
	return &Stream{
		name: o.Name, plan: p, o: o, log: o.Log.With("stream", o.Name),
		partitions: map[Partition]*partition{}, waiting: map[Partition]time.Time{}, unsaved: map[Partition]error{},
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
	w, from, err := s.restore(ctx, p, committed)
	if err != nil {
		return 0, fmt.Errorf("restore %v: %w", p, err)
	}
	w.Trace = s.o.Trace
	part := &partition{
		worker: w, counted: newCounts(), labels: s.labels(p), committed: max(committed, 0), position: w.position, saved: w.position,
		next: time.Now().Add(s.o.CheckpointEvery), saving: make(chan struct{}, 1),
	}
	s.mu.Lock()
	s.partitions[p] = part
	delete(s.waiting, p)
	s.mu.Unlock()
	s.o.Metrics.checkpointAge.set(part.labels, time.Now())
	s.o.Metrics.series.WithLabelValues(part.labels...).Set(float64(len(w.series)))
	return from, nil
}

func (s *Stream) restore(ctx context.Context, p Partition, committed int64) (*Worker, int64, error) {
	atMost := committed
	if committed < 0 {
		atMost = math.MaxInt64 // the group's offset may have expired; the state has not
	}
	c, err := s.o.Checkpoints.Load(ctx, Log{s.o.Group, p}, atMost, s.plan.hash)
	if err == nil {
		w := newWorker(s.plan, p)
		if err = w.UnmarshalBinary(c.State); err == nil && w.position != c.Offset {
			err = fmt.Errorf("%w: its position is %d, the checkpoint's %d", errState, w.position, c.Offset)
		}
		if err == nil {
			if committed < 0 {
				s.log.Warn("the group has no committed offset: going on from the checkpoint, alerts since then may repeat", "partition", p.String(), "offset", c.Offset)
			}
			s.log.Info("restored", "partition", p.String(), "checkpoint", c.Offset, "committed", committed, "series", len(w.series))
			s.o.Metrics.restores.WithLabelValues(s.name, "checkpoint").Inc()
			return w, c.Offset, nil
		}
		err = errors.Join(ErrNoCheckpoint, err)
	}
	if !errors.Is(err, ErrNoCheckpoint) && !s.waited(p) {
		return nil, 0, err
	}
	w := newWorker(s.plan, p)
	switch {
	case committed > 0:
		s.log.Warn("no usable checkpoint: rebuilding the state from the log", "partition", p.String(), "committed", committed, "why", err)
		s.o.Metrics.restores.WithLabelValues(s.name, "log").Inc()
		return w, FromStart, nil
	case committed < 0 && s.o.Latest:
		s.o.Metrics.restores.WithLabelValues(s.name, "none").Inc()
		return w, FromLatest, nil
	}
	s.o.Metrics.restores.WithLabelValues(s.name, "none").Inc()
	return w, FromStart, nil
}

// waited says whether the checkpoints of p have been out of reach for checkpointWait.
func (s *Stream) waited(p Partition) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, ok := s.waiting[p]
	if !ok {
		since = time.Now()
		s.waiting[p] = since
	}
	return time.Since(since) >= checkpointWait
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
	w, m := part.worker, s.o.Metrics
	received := 0
	for i := range records {
		if r := &records[i]; !r.Control && r.Offset >= max(w.position, part.committed) {
			received++
		}
	}
	messages := w.Process(records, part.committed)
	m.received.WithLabelValues(s.name).Add(float64(received))
	m.add(s.name, &w.counts, &part.counted)
	m.series.WithLabelValues(part.labels...).Set(float64(len(w.series)))
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
	if time.Now().Before(part.next) || part.worker.position != offset || offset <= part.saved {
		return nil
	}
	select {
	case part.saving <- struct{}{}:
	default:
		return nil // the one before is still being stored
	}
	begin := time.Now()
	c, err := s.checkpoint(part)
	if err != nil {
		return err
	}
	pause := time.Duration(float64(time.Since(begin)) / checkpointShare)
	part.next = time.Now().Add(max(s.o.CheckpointEvery, pause))
	part.saved = offset
	s.saves.Go(func() {
		defer func() { <-part.saving }()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) // a revoked partition's checkpoint is still good
		defer cancel()
		s.save(ctx, p, part.labels, c)
	})
	return nil
}

func (s *Stream) checkpoint(part *partition) (Checkpoint, error) {
	state, err := part.worker.AppendBinary(nil)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint of %v: %w", part.worker.partition, err)
	}
	return Checkpoint{Offset: part.worker.position, Config: s.plan.hash, State: state}, nil
}

// save stores a checkpoint. A failure costs replay, nothing else: it is counted, said once, and the next checkpoint is the retry.
func (s *Stream) save(ctx context.Context, p Partition, labels []string, c Checkpoint) {
	begin := time.Now()
	err := s.o.Checkpoints.Save(ctx, Log{s.o.Group, p}, c)
	s.mu.Lock()
	before := s.unsaved[p]
	if err != nil {
		s.unsaved[p] = err
	} else {
		delete(s.unsaved, p)
	}
	s.mu.Unlock()
	switch {
	case err != nil:
		s.o.Metrics.checkpoints.WithLabelValues(s.name, "failed").Inc()
		if before == nil {
			s.log.Error("checkpoint", "partition", p.String(), "offset", c.Offset, "error", err)
		}
		return
	case before != nil:
		s.log.Info("checkpoints are stored again", "partition", p.String(), "offset", c.Offset)
	}
	s.o.Metrics.checkpoints.WithLabelValues(s.name, "stored").Inc()
	s.o.Metrics.checkpointDuration.WithLabelValues(s.name).Observe(time.Since(begin).Seconds())
	if s.get(p) != nil {
		s.o.Metrics.checkpointBytes.WithLabelValues(labels...).Set(float64(len(c.State)))
		s.o.Metrics.checkpointAge.set(labels, begin)
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
	defer func() {
		s.o.Metrics.forget(part.labels)
		s.mu.Lock()
		delete(s.unsaved, p)
		s.mu.Unlock()
	}()
	if at := part.worker.position; at < 0 || at != part.committed || at == part.saved {
		return nil
	}
	select {
	case part.saving <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	c, err := s.checkpoint(part)
	if err != nil {
		return err
	}
	s.save(ctx, p, part.labels, c)
	return nil
}

// Wait returns when no checkpoint is under way.
func (s *Stream) Wait() { s.saves.Wait() }

// Ready is nil once every assigned partition has its state back and checkpoints are stored; else it says what is missing.
func (s *Stream) Ready() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var missing []string
	for p, part := range s.partitions {
		if max(part.position, 0) < part.committed { // the position is -1 before the first record
			missing = append(missing, fmt.Sprintf("%v: restoring, at offset %d of %d", p, max(part.position, 0), part.committed))
		}
	}
	for p, since := range s.waiting {
		missing = append(missing, fmt.Sprintf("%v: its checkpoints cannot be read since %s", p, since.UTC().Format(time.RFC3339)))
	}
	for p, err := range s.unsaved {
		missing = append(missing, fmt.Sprintf("%v: %v", p, err))
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return fmt.Errorf("stream %s: %s", s.name, strings.Join(missing, "; "))
}
