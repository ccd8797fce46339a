// Package checkpoint keeps the states of partitions: in Redis for many processes, in files for one machine, in memory for tests and
// demos. All three are a Store, which knows what is newest, what is damaged and what an owner may write; they differ only in the shelf
// on which the bytes lie.
//
// Checkpoints lie in chains: a whole one, and those that continue it, each by what has changed since the one before. A chain belongs to
// an epoch, which is one unbroken line of states of a log: within it offsets only grow. An owner that could not use all of the newest
// chain (its end lies above the committed offset because the group's offsets were reset, is damaged, or belongs to another configuration)
// begins the next epoch.
package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
)

// kept is how many chains of a log are kept: the newest, and the one before it in case the newest is damaged.
const kept = 2

// chain names stored checkpoints. The zero chain precedes all.
type chain struct {
	epoch  int64
	pieces []piece // the first is whole, each of the others continues the one before
}

// piece is one of them.
type piece struct {
	offset int64
	chunks int    // into which a shelf has cut it, if it does
	tag    string // by which the shelf knows these bytes from those of another attempt, if it needs that
}

// end is the offset of the last piece, or -1 of none.
func (c chain) end() int64 {
	if len(c.pieces) == 0 {
		return -1
	}
	return c.pieces[len(c.pieces)-1].offset
}

// before says whether c ends before a checkpoint: epochs first, so that an offset that was reset is newer than what lay above it.
func (c chain) before(epoch, offset int64) bool {
	return c.epoch < epoch || c.epoch == epoch && c.end() < offset
}

// shelf is where chains lie. It is used from many goroutines, from one for each log.
type shelf interface {
	// list returns the log's chains, newest first. An error that wraps errDamaged says that what is there cannot be read; any other,
	// that the shelf could not be asked.
	list(ctx context.Context, l pipeline.Log) ([]chain, error)

	// read returns the bytes of a listed piece, or wraps errDamaged where a part of it is missing.
	read(ctx context.Context, l pipeline.Log, epoch int64, p piece) ([]byte, error)

	// put makes what the pieces come to durable, then lists it: as a chain of its own where after is pipeline.Whole, else as the next piece of the newest chain,
	// which must be of the epoch and end at after, or the error is pipeline.ErrBroken. It deletes what is no longer kept, and returns the
	// newest chain. Where something newer is listed by then, nothing changes. It may be repeated.
	put(ctx context.Context, l pipeline.Log, epoch, offset, after int64, pieces pipeline.Pieces) (newest chain, err error)
}

// errDamaged marks bytes that are there but are no checkpoint, or not the one that is looked for.
var errDamaged = errors.New("damaged")

// errVersion marks a checkpoint that is sound, and that this version of Gonomaly cannot read.
var errVersion = errors.New("written by another version of Gonomaly")

// Store implements pipeline.Checkpoints on a shelf.
type Store struct {
	shelf   shelf
	codec   *codec
	log     *slog.Logger
	metrics metrics

	mu     sync.Mutex
	epochs map[pipeline.Log]int64 // of the owner's line of states, set by Load
	warned time.Time              // that checkpoints are lost: all partitions lose theirs at once
}

const warnEvery = time.Minute

var _ pipeline.Checkpoints = (*Store)(nil)

func newStore(s shelf, reg prometheus.Registerer, log *slog.Logger) *Store {
	return &Store{shelf: s, codec: newCodec(), log: log, metrics: newMetrics(reg), epochs: map[pipeline.Log]int64{}}
}

// Load implements pipeline.Checkpoints. What was wrong with a newer checkpoint than the last one returned is logged and counted; where
// none is returned the error says it.
func (s *Store) Load(ctx context.Context, l pipeline.Log, atMost int64, config string) ([]pipeline.Stored, error) {
	states, err := s.load(ctx, l, atMost, config)
	if err == nil {
		return states, nil
	}
	if !errors.Is(err, pipeline.ErrNoCheckpoint) { // whose line of states it is may have changed since it was read last
		s.mu.Lock()
		delete(s.epochs, l)
		s.mu.Unlock()
	}
	return nil, fmt.Errorf("load checkpoint of %v: %w", l, err)
}

func (s *Store) load(ctx context.Context, l pipeline.Log, atMost int64, config string) ([]pipeline.Stored, error) {
	stored, err := s.shelf.list(ctx, l)
	if err != nil && !errors.Is(err, errDamaged) {
		return nil, err
	}
	var passed error // why the newer ones could not be used
	if err != nil {
		passed = s.damaged(l, 0, err)
	}
	var newest chain
	if len(stored) > 0 {
		newest = stored[0]
	}
	for _, c := range stored {
		states, err := s.open(ctx, l, c, atMost, config)
		if err != nil && !errors.Is(err, pipeline.ErrNoCheckpoint) {
			return nil, err
		}
		passed = errors.Join(passed, err)
		if len(states) > 0 {
			s.begin(l, newest, passed == nil && states[0].Config == config)
			return states, nil
		}
	}
	s.begin(l, newest, false)
	if passed == nil {
		passed = fmt.Errorf("%w: nothing is stored", pipeline.ErrNoCheckpoint)
	}
	return nil, passed
}

// open reads a chain as far as it is of use. An error that wraps ErrNoCheckpoint says why the rest is not.
func (s *Store) open(ctx context.Context, l pipeline.Log, c chain, atMost int64, config string) ([]pipeline.Stored, error) {
	var states []pipeline.Stored
	after := int64(pipeline.Whole)
	for _, p := range c.pieces {
		if p.offset > atMost {
			return states, fmt.Errorf("%w: offset %d is newer than %d", pipeline.ErrNoCheckpoint, p.offset, atMost)
		}
		b, err := s.shelf.read(ctx, l, c.epoch, p)
		var state pipeline.Stored
		var epoch int64
		if err == nil {
			state, epoch, err = decode(b, l, maxState)
		}
		if err == nil && (state.Offset != p.offset || epoch != c.epoch || state.After != after) {
			err = fmt.Errorf("%w: it is of epoch %d and offset %d, after %d", errDamaged, epoch, state.Offset, state.After)
		}
		switch {
		case errors.Is(err, errDamaged):
			return states, s.damaged(l, p.offset, err)
		case errors.Is(err, errVersion):
			s.log.Warn("checkpoint is of another version", "group", l.Group, "partition", l.String(), "offset", p.offset, "error", err,
				"remedy", otherVersion.remedy)
			return states, fmt.Errorf("%w: offset %d: %w", pipeline.ErrNoCheckpoint, p.offset, err)
		case err != nil:
			return nil, err
		case !continues(state.Config, config):
			return states, fmt.Errorf("%w: offset %d is of configuration %q, want the points of %q", pipeline.ErrNoCheckpoint, p.offset, state.Config, config)
		}
		states, after = append(states, state), p.offset
	}
	return states, nil
}

// continues says whether a state of one configuration can go on under another: where both make the same points.
func continues(state, config string) bool {
	points, _, _ := strings.Cut(state, "-")
	want, _, _ := strings.Cut(config, "-")
	return points == want
}

// damaged says that a checkpoint was lost to the log's owner, who may still find an older one, and so might never hear of it.
func (s *Store) damaged(l pipeline.Log, offset int64, err error) error {
	s.metrics.damaged.Inc()
	s.log.Error("checkpoint is damaged", "group", l.Group, "partition", l.String(), "offset", offset, "error", err,
		"remedy", damagedState.remedy)
	return fmt.Errorf("%w: offset %d: %w", pipeline.ErrNoCheckpoint, offset, err)
}

// begin sets the epoch that the log's owner writes in: that of the newest chain if its state goes on, else the next.
func (s *Store) begin(l pipeline.Log, newest chain, goesOn bool) {
	epoch := newest.epoch
	if !goesOn {
		epoch++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epochs[l] = epoch
}

// Save implements pipeline.Checkpoints. It is an error that another owner has begun a later epoch: this one should have let go.
func (s *Store) Save(ctx context.Context, l pipeline.Log, c pipeline.Checkpoint, state pipeline.Pieces) error {
	err := s.save(ctx, l, c, state)
	if err != nil {
		return fmt.Errorf("save checkpoint of %v at %d: %w", l, c.Offset, err)
	}
	return nil
}

func (s *Store) save(ctx context.Context, l pipeline.Log, c pipeline.Checkpoint, state pipeline.Pieces) error {
	s.mu.Lock()
	epoch, loaded := s.epochs[l]
	s.mu.Unlock()
	stored, err := s.shelf.list(ctx, l)
	if err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	var newest chain
	if len(stored) > 0 {
		newest = stored[0]
	}
	if !loaded {
		epoch = max(newest.epoch, 1)
	}
	if newest.before(epoch, c.Offset) {
		if c.After != pipeline.Whole && (newest.epoch != epoch || newest.end() != c.After) {
			if newest.before(epoch, c.After) {
				s.lost(l, c.After, newest)
			}
			return fmt.Errorf("%w: that is at %d in epoch %d, want %d in %d", pipeline.ErrBroken, newest.end(), newest.epoch, c.After, epoch)
		}
		pieces, err := s.codec.encode(c, state, l, epoch)
		if err != nil {
			return err
		}
		if newest, err = s.shelf.put(ctx, l, epoch, c.Offset, c.After, pieces); err != nil {
			return err
		}
	}
	if newest.epoch > epoch {
		return fmt.Errorf("epoch %d is over: another owner began epoch %d", epoch, newest.epoch)
	}
	return nil
}

// lost says that the store has less than it has confirmed. Nobody else is told: the next checkpoint is a whole one, and all is well.
func (s *Store) lost(l pipeline.Log, confirmed int64, newest chain) {
	s.metrics.lost.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.warned) < warnEvery {
		return
	}
	s.warned = time.Now()
	s.log.Warn("the store has lost checkpoints: whole ones are written", "noticed", l.String(), "confirmed", confirmed, "stored", newest.end(),
		"remedy", lostStates.remedy)
}

// name is a log's name in a file system or a key: its parts escaped, so that a separator never stands in one, and nothing is a brace
// or a slash. A topic without an id, from a broker that gives none, goes by its name.
func name(l pipeline.Log, separator string) string {
	topic := l.TopicID
	if topic == "" {
		topic = l.Topic
	}
	return url.QueryEscape(l.Group) + separator + url.QueryEscape(topic) + separator + strconv.Itoa(int(l.ID))
}

type metrics struct{ damaged, lost prometheus.Counter }

func newMetrics(reg prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "gonomaly_checkpoints_" + name, Help: help})
	}
	m := metrics{
		damaged: counter("damaged_total", "Checkpoints found corrupt, or with a part missing, when they were loaded."),
		lost:    counter("lost_total", "Checkpoints that could not be continued, because the store no longer has what it had confirmed. Whole ones follow."),
	}
	if reg != nil {
		reg.MustRegister(m.damaged, m.lost)
	}
	return m
}
