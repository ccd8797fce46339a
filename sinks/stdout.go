package sinks

import (
	"context"
	"io"
	"sync"
)

// StdoutConfig configures a Stdout sink.
type StdoutConfig struct {
	Format string `yaml:"format" jsonschema:"enum=json,enum=text,default=json" jsonschema_description:"json for a CloudEvent a line, text for a line a person reads."`
}

// Check implements Config.
func (c *StdoutConfig) Check() error { return checkFormat(c.Format) }

// New implements Config.
func (c *StdoutConfig) New(env Env) (Sink, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	return &Stdout{w: env.Stdout, format: c.Format}, nil
}

// Stdout writes each alert as a line to standard output, at least once.
type Stdout struct {
	format string

	mu sync.Mutex
	w  io.Writer
}

// Send implements Sink.
func (s *Stdout) Send(_ context.Context, ds []*Delivery) (int, error) {
	b := lines(s.format, ds)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.w.Write(b); err != nil {
		return 0, err
	}
	return len(ds), nil
}
