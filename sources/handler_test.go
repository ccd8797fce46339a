package sources

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
)

// machine is a worker in small: each record changes its state, and now and then gives an alert whose id tells the state. A record
// folded twice, or not at all, makes all later ids wrong.
type machine struct {
	position int64
	state    uint64
}

func (m *machine) fold(p pipeline.Partition, r *pipeline.Record) (id string, fired bool) {
	m.position = r.Offset + 1
	if r.Control {
		return "", false
	}
	h := fnv.New64a()
	_ = binary.Write(h, binary.LittleEndian, m.state)
	_, _ = h.Write(r.Value)
	m.state = h.Sum64()
	return fmt.Sprintf("%v@%d:%x", p, r.Offset, m.state), m.state%5 == 0
}

// store keeps every checkpoint of every partition.
type store struct {
	mu    sync.Mutex
	saved map[pipeline.Partition][]machine
}

func (s *store) save(p pipeline.Partition, m machine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved[p] = append(s.saved[p], m)
}

func (s *store) load(p pipeline.Partition, atMost int64) (machine, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range slices.Backward(s.saved[p]) {
		if m.position <= atMost {
			return m, true
		}
	}
	return machine{position: -1}, false
}

// forget drops all checkpoints but the first n of each partition.
func (s *store) forget(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, all := range s.saved {
		s.saved[p] = all[:min(n, len(all))]
	}
}

// handler is a pipeline.Handler over machines. It fails a test whose source breaks the contract.
type handler struct {
	t       testing.TB
	store   *store
	latest  bool
	rare    uint64                                    // so many times less alerts than a replay has
	refuse  atomic.Int64                              // so many calls of Assign are refused
	slow    func(context.Context, pipeline.Partition) // called by Assign
	before  atomic.Pointer[func()]                    // called by Process
	forgets atomic.Bool                               // it saves nothing
	tune    []func(*Kafka)                            // of the source that drives it
	instead pipeline.Handler                          // which that drives, if set

	mu       sync.Mutex
	machines map[pipeline.Partition]*machine
	assigned map[pipeline.Partition]int64 // the committed offset
	commits  map[pipeline.Partition]int
	busy     map[pipeline.Partition]bool
	froms    []int64 // that Assign has answered
	folded   int64
}

func newHandler(t testing.TB, s *store) *handler {
	return &handler{t: t, store: s, machines: map[pipeline.Partition]*machine{}, assigned: map[pipeline.Partition]int64{}, commits: map[pipeline.Partition]int{}, busy: map[pipeline.Partition]bool{}}
}

// enter makes sure that no two calls for a partition overlap.
func (h *handler) enter(p pipeline.Partition, call string) (leave func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy[p] {
		h.t.Errorf("%s(%v) overlaps with another call", call, p)
	}
	h.busy[p] = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.busy[p] = false
	}
}

func (h *handler) Assign(ctx context.Context, p pipeline.Partition, committed int64) (int64, error) {
	defer h.enter(p, "Assign")()
	if h.slow != nil {
		h.slow(ctx, p)
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	if h.refuse.Add(-1) >= 0 {
		return 0, errors.New("the store is out of reach")
	}
	atMost := committed
	if committed < 0 {
		atMost = math.MaxInt64 // the group's offset may have expired; the state has not
	}
	m, found := h.store.load(p, atMost)
	from := m.position
	switch {
	case found:
	case committed < 0 && h.latest:
		from = pipeline.FromLatest
	default:
		from = pipeline.FromStart
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.machines[p], h.assigned[p] = &m, max(committed, 0)
	h.froms = append(h.froms, from)
	return from, nil
}

func (h *handler) get(p pipeline.Partition) (*machine, int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.machines[p], h.assigned[p]
}

func (h *handler) Process(_ context.Context, p pipeline.Partition, records []pipeline.Record) ([]pipeline.Message, error) {
	defer h.enter(p, "Process")()
	if f := h.before.Load(); f != nil {
		(*f)()
	}
	m, committed := h.get(p)
	if m == nil {
		return nil, fmt.Errorf("%v is not assigned", p)
	}
	var told []pipeline.Message
	for i := range records {
		r := &records[i]
		if r.Offset < m.position {
			continue
		}
		id, fired := m.fold(p, r)
		if fired && r.Offset >= committed && (h.rare == 0 || m.state%h.rare == 0) {
			told = append(told, pipeline.Message{Topic: alerts, Key: bytes.Clone(r.Key), Value: []byte(id), Offset: r.Offset, Time: r.Timestamp})
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.folded += int64(len(records))
	return told, nil
}

func (h *handler) Position(p pipeline.Partition) int64 {
	m, _ := h.get(p)
	if m == nil {
		return -1
	}
	return m.position
}

func (h *handler) Due(p pipeline.Partition) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.commits[p]%4 == 3 // of those that are to be stored, one finds the state ahead of what is committed
}

// Committed checkpoints at every second commit.
func (h *handler) Committed(_ context.Context, p pipeline.Partition, offset int64) error {
	defer h.enter(p, "Committed")()
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.machines[p]
	if m == nil {
		h.t.Errorf("Committed(%v, %d): not assigned", p, offset)
		return nil
	}
	if offset < h.assigned[p] || offset > max(m.position, h.assigned[p]) {
		h.t.Errorf("Committed(%v, %d): committed %d before, position %d", p, offset, h.assigned[p], m.position)
	}
	h.assigned[p] = offset
	if h.commits[p]++; m.position == offset && h.commits[p]%2 == 0 && !h.forgets.Load() {
		h.store.save(p, *m)
	}
	return nil
}

func (h *handler) Revoke(_ context.Context, p pipeline.Partition) error {
	defer h.enter(p, "Revoke")()
	h.mu.Lock()
	defer h.mu.Unlock()
	if m := h.machines[p]; m != nil && m.position == h.assigned[p] && m.position > 0 && !h.forgets.Load() {
		h.store.save(p, *m)
	}
	delete(h.machines, p)
	return nil
}

func (h *handler) count() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.folded
}

// holds is the number of partitions that it has a state of.
func (h *handler) holds() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.machines)
}

// some is one of its partitions.
func (h *handler) some() int32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range h.machines {
		return p.ID
	}
	h.t.Fatal("it has no partition")
	return -1
}
