package checkpoint

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
)

// NewMemory returns a store that lasts as long as the process. reg may be nil.
func NewMemory(reg prometheus.Registerer, log *slog.Logger) *Store {
	return newStore(&memory{logs: map[pipeline.Log][]stored{}}, reg, log)
}

type memory struct {
	mu   sync.Mutex
	logs map[pipeline.Log][]stored // newest first
}

type stored struct {
	generation
	bytes []byte
}

func (m *memory) list(_ context.Context, l pipeline.Log) ([]generation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var gs []generation
	for _, s := range m.logs[l] {
		gs = append(gs, s.generation)
	}
	return gs, nil
}

func (m *memory) read(_ context.Context, l pipeline.Log, g generation) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.logs[l] {
		if s.generation == g {
			return s.bytes, nil
		}
	}
	return nil, errDamaged
}

func (m *memory) put(_ context.Context, l pipeline.Log, g generation, b []byte) (generation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.logs[l]
	if len(old) > 0 && !old[0].before(g) {
		return old[0].generation, nil
	}
	m.logs[l] = append([]stored{{g, b}}, old[:min(len(old), kept-1)]...)
	return g, nil
}
