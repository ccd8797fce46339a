// Package checkpoint keeps the states of partitions: in Redis for many processes, in files for one machine, in memory for tests and
// demos. All three are a Store, which knows what is newest, what is damaged and what an owner may write; they differ only in the shelf
// on which the bytes lie.
//
// A checkpoint lies in a generation, named by epoch and offset. An epoch is one unbroken line of states of a log: within it offsets
// only grow. An owner that could not use the newest generation (it lies above the committed offset because the group's offsets were
// reset, is damaged, or belongs to another configuration) begins the next epoch.
package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
)

// kept is how many generations of a log are kept: the newest, and the one before it in case the newest is damaged.
const kept = 2

// generation names a stored checkpoint. The zero generation precedes all.
type generation struct {
	epoch, offset int64
	chunks        int // into which a shelf has cut it, if it does
}

// before says whether g is older than o: epochs first, so that an offset that was reset is newer than what lay above it.
func (g generation) before(o generation) bool {
	return g.epoch < o.epoch || g.epoch == o.epoch && g.offset < o.offset
}

// shelf is where generations lie. It is used from many goroutines, from one for each log.
type shelf interface {
	// list returns the log's generations, newest first. An error that wraps errDamaged says that what is there cannot be read;
	// any other, that the shelf could not be asked.
	list(ctx context.Context, l pipeline.Log) ([]generation, error)

	// read returns the bytes of a listed generation, or wraps errDamaged where a part of it is missing.
	read(ctx context.Context, l pipeline.Log, g generation) ([]byte, error)

	// put makes b durable, then lists it as g, and deletes what is no longer kept. Where something newer is listed by then, nothing
	// changes and the newest is returned. It may be repeated.
	put(ctx context.Context, l pipeline.Log, g generation, b []byte) (newest generation, err error)
}

// errDamaged marks bytes that are there but are no checkpoint.
var errDamaged = errors.New("damaged")

// Store implements pipeline.Checkpoints on a shelf.
type Store struct {
	shelf   shelf
	codec   *codec
	log     *slog.Logger
	metrics metrics

	mu     sync.Mutex
	epochs map[pipeline.Log]int64 // of the owner's line of states, set by Load
}

var _ pipeline.Checkpoints = (*Store)(nil)

func newStore(s shelf, reg prometheus.Registerer, log *slog.Logger) *Store {
	return &Store{shelf: s, codec: newCodec(), log: log, metrics: newMetrics(reg), epochs: map[pipeline.Log]int64{}}
}

// Load implements pipeline.Checkpoints. What was wrong with a newer checkpoint than the one returned is logged and counted; where none
// is returned the error says it.
func (s *Store) Load(ctx context.Context, l pipeline.Log, atMost int64, config string) (pipeline.Checkpoint, error) {
	stored, err := s.shelf.list(ctx, l)
	if err != nil && !errors.Is(err, errDamaged) {
		return pipeline.Checkpoint{}, fmt.Errorf("load checkpoint of %v: %w", l, err)
	}
	var passed error // why the newer ones could not be used
	if err != nil {
		passed = s.damaged(l, generation{}, err)
	}
	for _, g := range stored {
		c, err := s.open(ctx, l, g, atMost, config)
		if err == nil {
			s.begin(l, stored[0], passed == nil)
			return c, nil
		}
		if !errors.Is(err, pipeline.ErrNoCheckpoint) {
			return pipeline.Checkpoint{}, fmt.Errorf("load checkpoint of %v: %w", l, err)
		}
		passed = errors.Join(passed, err)
	}
	if passed == nil {
		passed = fmt.Errorf("%w: nothing is stored", pipeline.ErrNoCheckpoint)
	}
	if len(stored) > 0 {
		s.begin(l, stored[0], false)
	} else {
		s.begin(l, generation{}, false)
	}
	return pipeline.Checkpoint{}, fmt.Errorf("load checkpoint of %v: %w", l, passed)
}

// open reads one generation. An error that wraps ErrNoCheckpoint says why it is of no use.
func (s *Store) open(ctx context.Context, l pipeline.Log, g generation, atMost int64, config string) (pipeline.Checkpoint, error) {
	if g.offset > atMost {
		return pipeline.Checkpoint{}, fmt.Errorf("%w: offset %d is newer than %d", pipeline.ErrNoCheckpoint, g.offset, atMost)
	}
	b, err := s.shelf.read(ctx, l, g)
	var c pipeline.Checkpoint
	var epoch int64
	if err == nil {
		c, epoch, err = decode(b, maxState)
	}
	if err == nil && (c.Offset != g.offset || epoch != g.epoch) {
		err = fmt.Errorf("%w: it is of epoch %d and offset %d", errDamaged, epoch, c.Offset)
	}
	switch {
	case errors.Is(err, errDamaged):
		return pipeline.Checkpoint{}, s.damaged(l, g, err)
	case err != nil:
		return pipeline.Checkpoint{}, err
	case c.Config != config:
		return pipeline.Checkpoint{}, fmt.Errorf("%w: offset %d is of configuration %q, want %q", pipeline.ErrNoCheckpoint, g.offset, c.Config, config)
	}
	return c, nil
}

// damaged says that a checkpoint was lost to the log's owner, who may still find an older one, and so might never hear of it.
func (s *Store) damaged(l pipeline.Log, g generation, err error) error {
	s.metrics.damaged.Inc()
	s.log.Error("checkpoint is damaged", "group", l.Group, "partition", l.Partition, "offset", g.offset, "error", err)
	return fmt.Errorf("%w: offset %d: %w", pipeline.ErrNoCheckpoint, g.offset, err)
}

// begin sets the epoch that the log's owner writes in: that of the newest generation if its state goes on, else the next.
func (s *Store) begin(l pipeline.Log, newest generation, goesOn bool) {
	epoch := newest.epoch
	if !goesOn {
		epoch++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epochs[l] = epoch
}

// Save implements pipeline.Checkpoints. It is an error that another owner has begun a later epoch: this one should have let go.
func (s *Store) Save(ctx context.Context, l pipeline.Log, c pipeline.Checkpoint) error {
	err := s.save(ctx, l, c)
	if err != nil {
		return fmt.Errorf("save checkpoint of %v at %d: %w", l, c.Offset, err)
	}
	return nil
}

func (s *Store) save(ctx context.Context, l pipeline.Log, c pipeline.Checkpoint) error {
	s.mu.Lock()
	epoch, loaded := s.epochs[l]
	s.mu.Unlock()
	stored, err := s.shelf.list(ctx, l)
	if err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	var newest generation
	if len(stored) > 0 {
		newest = stored[0]
	}
	if !loaded {
		epoch = max(newest.epoch, 1)
	}
	g := generation{epoch: epoch, offset: c.Offset}
	if newest.before(g) {
		b, err := s.codec.encode(nil, c, epoch)
		if err != nil {
			return err
		}
		if newest, err = s.shelf.put(ctx, l, g, b); err != nil {
			return err
		}
	}
	if newest.epoch > epoch {
		return fmt.Errorf("epoch %d is over: another owner began epoch %d", epoch, newest.epoch)
	}
	return nil
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

type metrics struct {
	damaged prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{damaged: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "gonomaly_checkpoints_damaged_total",
		Help: "Checkpoints found corrupt, or with a part missing, when they were loaded.",
	})}
	if reg != nil {
		reg.MustRegister(m.damaged)
	}
	return m
}
