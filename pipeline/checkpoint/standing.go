package checkpoint

import (
	"context"
	"errors"
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
	if v, ok := s.shelf.(inventory); ok {
		found.Missing, found.Written, err = v.inventory(ctx, l, newest)
	}
	return found, err
}

// inventory is of a shelf that can say whether all of a chain is there, and when it was written last.
type inventory interface {
	inventory(ctx context.Context, l pipeline.Log, c chain) (missing int, written time.Time, err error)
}

func (s *shelves) inventory(ctx context.Context, l pipeline.Log, c chain) (missing int, _ time.Time, err error) {
	var keys []string
	for _, p := range c.pieces {
		keys = append(keys, s.chunks(l, c.epoch, p)...)
	}
	there, err := s.client.Exists(ctx, keys...).Result()
	return len(keys) - int(there), time.Time{}, err
}

func (f *files) inventory(_ context.Context, l pipeline.Log, c chain) (missing int, written time.Time, err error) {
	entries, err := f.entries(l)
	for _, e := range entries {
		if e.epoch != c.epoch || e.offset != c.end() {
			continue
		}
		info, failed := os.Stat(filepath.Join(f.log(l), e.name))
		if failed == nil {
			written = info.ModTime()
		}
		err = errors.Join(err, failed)
	}
	return 0, written, err
}
