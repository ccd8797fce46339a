package sinks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// FileConfig configures a File sink.
type FileConfig struct {
	Path   string `yaml:"path" jsonschema:"required" jsonschema_description:"File to append to; made where it is missing, in a directory that exists."`
	Format string `yaml:"format" jsonschema:"enum=json,enum=text,default=json" jsonschema_description:"json for a CloudEvent a line, text for a line a person reads."`
}

// Check implements Config.
func (c *FileConfig) Check() error {
	var path error
	if c.Path == "" {
		path = &invalid.Value{Name: "path", Value: `""`, Want: "the path of a file"}
	}
	return errors.Join(path, checkFormat(c.Format))
}

// New implements Config.
func (c *FileConfig) New(Env) (Sink, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Clean(c.Path), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open alerts file: %w", err)
	}
	return &File{f: f, format: c.Format}, nil
}

// File appends each alert as a line to a file, at least once. A line is on the disk before the alert counts as delivered; a pipe or a
// terminal has none.
type File struct {
	format string

	mu sync.Mutex
	f  *os.File
}

// Send implements Sink. What a full disk cuts off is taken back, so that every line stays whole.
func (s *File) Send(_ context.Context, ds []*Delivery) (int, error) {
	b := lines(s.format, ds)
	s.mu.Lock()
	defer s.mu.Unlock()
	before, err := s.f.Stat()
	if err != nil {
		return 0, err
	}
	if n, err := s.f.Write(b); err != nil {
		if n > 0 {
			err = errors.Join(err, s.f.Truncate(before.Size()))
		}
		return 0, err
	}
	if before.Mode().IsRegular() {
		if err := s.f.Sync(); err != nil {
			return 0, err
		}
	}
	return len(ds), nil
}

// Close closes the file.
func (s *File) Close() error { return s.f.Close() }
