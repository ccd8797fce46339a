package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
)

// NewFile returns a store in a directory, which it makes where it is missing: for one process on one machine. reg may be nil.
func NewFile(dir string, reg prometheus.Registerer, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make checkpoint directory: %w", err)
	}
	return newStore(&files{dir}, reg, log), nil
}

// files keeps a directory a log, and in it a file a piece: EPOCH-OFFSET.checkpoint for a whole one, EPOCH-OFFSET-AFTER.changes for one that
// continues the one at AFTER. A file has its final name only once it is whole and durable, so the directory itself is the list.
type files struct{ dir string }

const (
	wholeSuffix   = ".checkpoint"
	changesSuffix = ".changes"
	unfinished    = "unfinished-" // prefix
)

func (f *files) log(l pipeline.Log) string { return filepath.Join(f.dir, name(l, ",")) }

// entry is a file of a log's directory.
type entry struct {
	name                 string
	epoch, offset, after int64
}

func parseEntry(name string) (e entry, ok bool) {
	e = entry{name: name, after: pipeline.Whole}
	if stem, whole := strings.CutSuffix(name, wholeSuffix); whole {
		_, err := fmt.Sscanf(stem, "%d-%d", &e.epoch, &e.offset)
		return e, err == nil
	}
	stem, changes := strings.CutSuffix(name, changesSuffix)
	_, err := fmt.Sscanf(stem, "%d-%d-%d", &e.epoch, &e.offset, &e.after)
	return e, changes && err == nil
}

func nameOf(epoch, offset, after int64) string {
	if after == pipeline.Whole {
		return fmt.Sprintf("%d-%d%s", epoch, offset, wholeSuffix)
	}
	return fmt.Sprintf("%d-%d-%d%s", epoch, offset, after, changesSuffix)
}

// entries lists a log's directory, the newest first.
func (f *files) entries(l pipeline.Log) ([]entry, error) {
	found, err := os.ReadDir(f.log(l))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var entries []entry
	for _, one := range found {
		if e, ok := parseEntry(one.Name()); ok {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.epoch, a.epoch), cmp.Compare(b.offset, a.offset))
	})
	return entries, nil
}

func (f *files) list(_ context.Context, l pipeline.Log) ([]chain, error) {
	entries, err := f.entries(l)
	return chains(entries), err
}

// chains puts entries together, from the oldest on: each continues the chain that ends where it says, if that is the newest.
func chains(entries []entry) []chain {
	var cs []chain // oldest first
	for _, e := range slices.Backward(entries) {
		if e.after == pipeline.Whole {
			cs = append(cs, chain{e.epoch, []piece{{offset: e.offset}}})
		} else if n := len(cs) - 1; n >= 0 && cs[n].epoch == e.epoch && cs[n].end() == e.after {
			cs[n].pieces = append(cs[n].pieces, piece{offset: e.offset})
		}
	}
	slices.Reverse(cs)
	return cs
}

func (f *files) read(_ context.Context, l pipeline.Log, epoch int64, p piece) ([]byte, error) {
	entries, err := f.entries(l)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.epoch == epoch && e.offset == p.offset {
			b, err := os.ReadFile(filepath.Clean(filepath.Join(f.log(l), e.name)))
			if !errors.Is(err, fs.ErrNotExist) {
				return b, err
			}
		}
	}
	return nil, fmt.Errorf("%w: the file of offset %d is missing", errDamaged, p.offset)
}

func (f *files) put(ctx context.Context, l pipeline.Log, epoch, offset, after int64, pieces pipeline.Pieces) (chain, error) {
	dir := f.log(l)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return chain{}, err
	}
	if err := removeUnfinished(dir); err != nil {
		return chain{}, err
	}
	path := filepath.Join(dir, nameOf(epoch, offset, after))
	if err := writeFile(dir, path, pieces); err != nil {
		return chain{}, err
	}
	entries, err := f.entries(l)
	if err != nil {
		return chain{}, err
	}
	wholes := 0
	for _, e := range entries {
		if wholes >= kept {
			if err := os.Remove(filepath.Join(dir, e.name)); err != nil {
				return chain{}, err
			}
		} else if e.after == pipeline.Whole {
			wholes++
		}
	}
	stored, err := f.list(ctx, l)
	if err != nil {
		return chain{}, err
	}
	if len(stored) == 0 || stored[0].before(epoch, offset) { // somebody moved the directory, or deleted what this continues
		return chain{}, errors.Join(pipeline.ErrBroken, os.Remove(path))
	}
	return stored[0], nil
}

// removeUnfinished deletes what a process left that died while it wrote.
func removeUnfinished(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// writeFile gives path its content in one step that survives a crash: the bytes reach the disk under another name, the name follows,
// and then the directory.
func writeFile(dir, path string, pieces pipeline.Pieces) error {
	tmp, err := os.CreateTemp(dir, unfinished+"*") // mode 0600
	if err != nil {
		return err
	}
	for piece, broken := range pieces {
		if err = broken; err == nil {
			_, err = tmp.Write(piece)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(dir)
}

// syncDir makes a rename durable. Windows has no such call; NTFS journals the rename itself.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
