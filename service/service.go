// Package service runs a configuration: a stream and a Kafka source for each configured path, the router that carries alerts to the
// sinks, and the HTTP port. It takes a changed configuration while it runs.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/service/recent"
	"github.com/gonomaly/gonomaly/sinks"
)

// Options make a Service.
type Options struct {
	Load   func() (*config.Config, error) // the configuration, at the start and for each reload
	Listen string                         // where the HTTP port is, instead of where the configuration says
	Sinks  []sinks.SinkConfig             // besides those of the configuration
	Log    *slog.Logger
	Level  *slog.LevelVar
	Build  Build       // for the metrics
	Env    tracing.Env // for the variables of OpenTelemetry

	// Serving, if set, is called once the HTTP port is open.
	Serving func(net.Addr)
}

// Service is one process of Gonomaly.
type Service struct {
	o        Options
	registry *prometheus.Registry
	metrics  *metrics
	reloads  chan chan error
	done     chan struct{}
	running  *running
	config   *config.Config // in force; of the goroutine that supervises
}

// New loads the configuration and makes everything it names; it connects to nothing yet.
func New(o Options) (*Service, error) {
	c, err := o.Load()
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := &Service{o: o, registry: reg, metrics: newMetrics(reg, o.Build), reloads: make(chan chan error), done: make(chan struct{}), config: c}
	if s.running, err = newRunning(c, s.o, s.metrics, reg); err != nil {
		return nil, err
	}
	s.metrics.loaded(c)
	return s, nil
}

// Run serves until ctx is done, then drains: what is under way is committed, checkpointed and handed over.
func (s *Service) Run(ctx context.Context) error {
	defer close(s.done)
	s.setLevel(s.config)
	address := s.o.Listen
	if address == "" {
		address = s.config.Listen
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("open the HTTP port: %w", err)
	}
	s.o.Log.Info("serving", "listen", listener.Addr().String(), "streams", strings.Join(names(s.config), ", "))
	if s.o.Serving != nil {
		s.o.Serving(listener.Addr())
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serve(ctx, listener, handler(s.registry, s)) })
	g.Go(func() error { return s.supervise(ctx) })
	err = g.Wait()
	s.o.Log.Info("stopped")
	return err
}

// drainTimeout is how long the parts may take to end. Each has deadlines of its own that add up to less; this is for what is not foreseen.
const drainTimeout = 9500 * time.Millisecond

// drain stops everything, or gives up on that: what is left open is taken over by its next owner as after a crash.
func (s *Service) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- s.running.stop() }()
	select {
	case err := <-stopped:
		s.flush(ctx)
		return err
	case <-ctx.Done():
		return fmt.Errorf("not everything ended within %v: the next owner takes over as after a crash", drainTimeout)
	}
}

// flushTimeout is how long the end of the process waits for the collector of traces.
const flushTimeout = 2 * time.Second

// flush sends the spans of the last alerts; a collector that is away does not hold the end up.
func (s *Service) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := s.running.tracer.Close(ctx); err != nil {
		s.o.Log.Warn("the last spans are lost", "error", err)
	}
}

// supervise keeps the parts running, and changes them when asked to.
func (s *Service) supervise(ctx context.Context) error {
	s.running.start(ctx)
	for {
		select {
		case <-ctx.Done():
			return s.drain()
		case err := <-s.running.failed:
			return errors.Join(err, s.drain())
		case answer := <-s.reloads:
			answer <- s.reload(ctx)
		}
	}
}

// Reload takes the configuration anew. When it is bad, the last good one stays in force, and the error says what is wrong.
func (s *Service) Reload() error {
	answer := make(chan error, 1)
	select {
	case s.reloads <- answer:
		return <-answer
	case <-s.done:
		return errors.New("the service has stopped")
	}
}

func (s *Service) reload(ctx context.Context) error {
	c, err := s.o.Load()
	if err == nil {
		if restart := config.Diff(s.config, c).Restart; len(restart) > 0 {
			err = fmt.Errorf("a change of %s needs a new process", strings.Join(restart, ", "))
		}
	}
	unchanged := err == nil && same(s.config, c)
	if err == nil && !unchanged {
		err = s.running.change(ctx, s.config, c)
	}
	if err != nil {
		s.metrics.refused()
		s.o.Log.Error("reload refused: the last good configuration stays in force", "error", err)
		return err
	}
	outcome := reloadUnchanged
	if !unchanged {
		outcome = reloadLoaded
		s.foretell(c)
		s.setLevel(c)
		s.config = c
	}
	s.metrics.loaded(c)
	s.metrics.reloads.WithLabelValues(outcome).Inc()
	s.o.Log.Info("reloaded", "streams", strings.Join(names(c), ", "))
	return nil
}

// same says whether a configuration would change anything.
func same(before, after *config.Config) bool {
	d := config.Diff(before, after)
	return len(d.Added)+len(d.Removed)+len(d.Changed)+len(d.Restart) == 0 && !d.Sinks && before.Log == after.Log
}

// foretell says what a change does to what was learned, as validate --against does.
func (s *Service) foretell(c *config.Config) {
	fates, err := config.Foretell(s.config, c)
	if err != nil {
		s.o.Log.Warn("what becomes of the states is not known", "error", err)
	}
	for _, f := range fates {
		s.o.Log.Info("reload: what becomes of the state", "stream", f.Stream, "says", f.String())
	}
}

// Alerts are the last n that the process has told.
func (s *Service) Alerts(n int) recent.Alerts { return s.running.told.Alerts(n) }

// Keys are the n that most incidents of the last hour are of.
func (s *Service) Keys(n int) recent.Keys { return s.running.told.Keys(n, time.Now()) }

// Gatherer has the metrics of the process.
func (s *Service) Gatherer() prometheus.Gatherer { return s.registry }

func (s *Service) setLevel(c *config.Config) {
	if s.o.Level != nil {
		_ = s.o.Level.UnmarshalText([]byte(c.Log.Level)) // checked with the configuration
	}
}

func names(c *config.Config) []string {
	var names []string
	for _, s := range c.Streams {
		names = append(names, s.Name)
	}
	return names
}
