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

// files keeps a directory a log, and in it a file a generation. A file has its final name only once it is whole and durable, so the
// directory itself is the list.
type files struct{ dir string }

const (
	suffix     = ".checkpoint"
	unfinished = "unfinished-" // prefix
)

func (f *files) log(l pipeline.Log) string { return filepath.Join(f.dir, name(l, ",")) }

func (f *files) path(l pipeline.Log, g generation) string {
	return filepath.Join(f.log(l), fmt.Sprintf("%d-%d%s", g.epoch, g.offset, suffix))
}

func (f *files) list(_ context.Context, l pipeline.Log) ([]generation, error) {
	entries, err := os.ReadDir(f.log(l))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var gs []generation
	for _, e := range entries {
		var g generation
		stem, ok := strings.CutSuffix(e.Name(), suffix)
		if _, err := fmt.Sscanf(stem, "%d-%d", &g.epoch, &g.offset); ok && err == nil {
			gs = append(gs, g)
		}
	}
	slices.SortFunc(gs, func(a, b generation) int {
		return cmp.Or(cmp.Compare(b.epoch, a.epoch), cmp.Compare(b.offset, a.offset))
	})
	return gs, nil
}

func (f *files) read(_ context.Context, l pipeline.Log, g generation) ([]byte, error) {
	b, err := os.ReadFile(filepath.Clean(f.path(l, g)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return b, err
}

func (f *files) put(ctx context.Context, l pipeline.Log, g generation, b []byte) (generation, error) {
	dir := f.log(l)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return generation{}, err
	}
	if err := removeUnfinished(dir); err != nil {
		return generation{}, err
	}
	if err := writeFile(dir, f.path(l, g), b); err != nil {
		return generation{}, err
	}
	stored, err := f.list(ctx, l)
	if err != nil {
		return generation{}, err
	}
	for _, old := range stored[min(len(stored), kept):] {
		if err := os.Remove(f.path(l, old)); err != nil {
			return generation{}, err
		}
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
func writeFile(dir, path string, b []byte) error {
	tmp, err := os.CreateTemp(dir, unfinished+"*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
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
