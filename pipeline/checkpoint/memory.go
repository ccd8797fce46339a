package checkpoint

import (
	"context"
	"log/slog"
	"slices"
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

// stored is a chain with its pieces' bytes.
type stored struct {
	chain
	bytes [][]byte
}

func (m *memory) list(_ context.Context, l pipeline.Log) ([]chain, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var chains []chain
	for _, s := range m.logs[l] {
		chains = append(chains, s.chain)
	}
	return chains, nil
}

func (m *memory) read(_ context.Context, l pipeline.Log, epoch int64, p piece) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.logs[l] {
		if i := slices.Index(s.pieces, p); i >= 0 && s.epoch == epoch && s.bytes[i] != nil {
			return s.bytes[i], nil
		}
	}
	return nil, errDamaged
}

func (m *memory) put(_ context.Context, l pipeline.Log, epoch, offset, after int64, pieces pipeline.Pieces) (chain, error) {
	var b []byte
	for piece, err := range pieces {
		if err != nil {
			return chain{}, err
		}
		b = append(b, piece...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.logs[l]
	switch {
	case len(old) > 0 && !old[0].before(epoch, offset):
	case after == pipeline.Whole:
		m.logs[l] = append([]stored{{chain{epoch, []piece{{offset: offset}}}, [][]byte{b}}}, old[:min(len(old), kept-1)]...)
	case len(old) == 0 || old[0].epoch != epoch || old[0].end() != after:
		return chain{}, pipeline.ErrBroken
	default: // a reader may hold the slices: they are not appended to in place
		old[0].pieces = append(slices.Clone(old[0].pieces), piece{offset: offset})
		old[0].bytes = append(slices.Clone(old[0].bytes), b)
	}
	return m.logs[l][0].chain, nil
}
