package checkpoint

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Standing is what a store has of a log.
type Standing struct {
	Offset  int64     // of the newest checkpoint
	Pieces  int       // of the chain: the whole state, and the changes since
	Missing int       // bits of them that the store has lost
	Written time.Time // zero where the store does not keep it
}

// Standing looks at what is stored of a log, without reading it: an error that wraps pipeline.ErrNoCheckpoint says that there is nothing.
func (s *Store) Standing(ctx context.Context, l pipeline.Log) (Standing, error) {
	chains, err := s.shelf.list(ctx, l)
	if err != nil && len(chains) == 0 {
		return Standing{}, err
	}
	if len(chains) == 0 {
		return Standing{}, pipeline.ErrNoCheckpoint
	}
	newest := chains[0]
	found := Standing{Offset: newest.end(), Pieces: len(newest.pieces)}
	if v, ok := s.shelf.(interface {
		missing(ctx context.Context, l pipeline.Log, c chain) (int, error)
	}); ok {
		found.Missing, err = v.missing(ctx, l, newest)
	}
	if v, ok := s.shelf.(interface {
		written(l pipeline.Log, c chain) (time.Time, error)
	}); ok {
		found.Written, err = v.written(l, newest)
	}
	return found, err
}

// missing counts the chunks of a chain that are gone.
func (s *shelves) missing(ctx context.Context, l pipeline.Log, c chain) (int, error) {
	var keys []string
	for _, p := range c.pieces {
		keys = append(keys, s.chunks(l, c.epoch, p)...)
	}
	there, err := s.client.Exists(ctx, keys...).Result()
	return len(keys) - int(there), err
}

// written is when a chain got its last piece.
func (f *files) written(l pipeline.Log, c chain) (time.Time, error) {
	entries, err := f.entries(l)
	for _, e := range entries {
		if e.epoch == c.epoch && e.offset == c.end() {
			info, err := os.Stat(filepath.Join(f.log(l), e.name))
			if err != nil {
				return time.Time{}, err
			}
			return info.ModTime(), nil
		}
	}
	return time.Time{}, err
}
