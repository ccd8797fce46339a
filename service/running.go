package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/service/recent"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// running are the parts that a configuration asks for.
type running struct {
	o           Options
	metrics     *metrics
	checkpoints pipeline.Checkpoints
	env         sinks.Env
	told        *recent.Told
	tracer      *tracing.Tracer // nil without tracing
	failed      chan error

	mu      sync.Mutex
	streams []*path
	router  *carrier
}

// task is something that runs until it is stopped.
type task struct {
	cancel context.CancelFunc
	done   chan error
}

func begin(ctx context.Context, run func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(ctx)
	t := &task{cancel: cancel, done: make(chan error, 1)}
	go func() { t.done <- run(ctx) }()
	return t
}

func (t *task) stop() error {
	t.cancel()
	return <-t.done
}

// path is a stream with its source.
type path struct {
	config config.Stream
	stream *pipeline.Stream
	source *sources.Kafka
	*task
}

func (r *running) newPath(c *config.Config, s config.Stream) (*path, error) {
	stream, err := pipeline.NewStream(pipeline.Options{
		Name: s.Name, Group: s.Group, Topics: s.Topics, Latest: s.Start == config.StartLatest, Config: s.Config,
		Checkpoints: r.checkpoints, CheckpointEvery: c.Checkpoints.Every, Metrics: r.metrics.pipeline, Log: r.o.Log,
		Tracing: r.tracer.Pipeline(),
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.Name, err)
	}
	source, err := sources.NewKafka(sources.KafkaOptions{
		Client: c.Kafka, Config: s.KafkaConfig, Stream: s.Name, Group: s.Group, Topics: s.Topics, Outputs: stream.Outputs(), Instance: c.Instance,
		Clients: r.metrics.clients, Metrics: r.metrics.sources, Log: r.o.Log, Tracer: r.tracer,
		Told: func(messages []pipeline.Message) { r.told.Add(s.Name, time.Now().UTC(), messages) },
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", s.Name, err)
	}
	return &path{config: s, stream: stream, source: source}, nil
}

func (p *path) start(ctx context.Context, failed chan<- error) {
	p.task = begin(ctx, func(ctx context.Context) error {
		err := p.source.Run(ctx, p.stream)
		p.stream.Wait()
		if err != nil {
			report(failed, fmt.Errorf("stream %s: %w", p.config.Name, err))
		}
		return err
	})
}

// report hands the first failure on; one is enough to end the process.
func report(failed chan<- error, err error) {
	select {
	case failed <- err:
	default:
	}
}

// carrier is the router with what it was made from.
type carrier struct {
	*sinks.Router
	*task
}

func (r *running) newCarrier(c *config.Config) (*carrier, error) {
	opts, err := c.Kafka.Options()
	if err != nil {
		return nil, err
	}
	var topics []sinks.Topic
	for _, s := range c.Streams {
		topics = append(topics, sinks.Topic{Name: s.Alert.Topic, Group: s.Group})
	}
	router, err := sinks.NewRouter(sinks.Options{
		Sinks: append(slices.Clone(c.Sinks), r.o.Sinks...), Topics: topics, Env: r.env, Kafka: kafka.Guarded(opts, r.metrics.clients), Instance: c.Instance,
		Metrics: r.metrics.sinks, Log: r.o.Log, Tracer: r.tracer,
	})
	if err != nil {
		return nil, err
	}
	return &carrier{Router: router}, nil
}

func (k *carrier) start(ctx context.Context, failed chan<- error) {
	k.task = begin(ctx, func(ctx context.Context) error {
		err := k.Run(ctx)
		if err != nil && ctx.Err() == nil {
			report(failed, fmt.Errorf("sinks: %w", err))
		}
		return err
	})
}

// newEnv makes what sinks are made of. The caller closes its Redis client.
func newEnv(c *config.Config, reg prometheus.Registerer) (sinks.Env, error) {
	env := sinks.Env{Stdout: os.Stdout}
	if c.Redis != nil {
		client, err := c.Redis.Client(reg)
		if err != nil {
			return env, err
		}
		env.Redis, env.KeyPrefix = client, c.Redis.SinkPrefix()
	}
	return env, nil
}

// newRunning makes all parts and starts none. Where one cannot be made, those that hold something are closed.
func newRunning(c *config.Config, o Options, m *metrics, reg *prometheus.Registry) (*running, error) {
	r := &running{o: o, metrics: m, told: recent.New(time.Now().UTC()), failed: make(chan error, 1)}
	if err := r.make(c, reg); err != nil {
		return nil, errors.Join(err, r.discard())
	}
	return r, nil
}

// make makes the router last: it closes by itself what it holds.
func (r *running) make(c *config.Config, reg *prometheus.Registry) (err error) {
	if r.env, err = newEnv(c, reg); err != nil {
		return err
	}
	r.tracer, err = tracing.New(tracing.Options{
		Config: c.Tracing, Env: r.o.Env, Version: r.o.Build.Version, Instance: c.Instance, Metrics: r.metrics.tracing, Log: r.o.Log,
	})
	if err != nil {
		return err
	}
	switch c.Checkpoints.Store {
	case config.StoreRedis:
		r.checkpoints = checkpoint.NewRedis(r.env.Redis, c.Redis.KeyPrefix, reg, r.o.Log)
	case config.StoreFile:
		if r.checkpoints, err = checkpoint.NewFile(c.Checkpoints.Directory, reg, r.o.Log); err != nil {
			return err
		}
	default:
		r.checkpoints = checkpoint.NewMemory(reg, r.o.Log)
	}
	for _, s := range c.Streams {
		p, err := r.newPath(c, s)
		if err != nil {
			return err
		}
		r.streams = append(r.streams, p)
	}
	if err := r.metrics.certify(c); err != nil {
		return err
	}
	r.router, err = r.newCarrier(c)
	return err
}

// discard closes what make has opened of parts that were never started.
func (r *running) discard() error {
	err := r.tracer.Close(context.Background()) // no span waits
	if r.env.Redis != nil {
		err = errors.Join(err, r.env.Redis.Close())
	}
	return err
}

func (r *running) start(ctx context.Context) {
	for _, p := range r.streams {
		p.start(ctx, r.failed)
	}
	r.router.start(ctx, r.failed)
}

// stop drains everything, side by side.
func (r *running) stop() error {
	var errs []error
	for _, p := range r.streams {
		p.cancel()
	}
	r.router.cancel()
	for _, p := range r.streams {
		errs = append(errs, <-p.done)
	}
	errs = append(errs, <-r.router.done)
	if r.env.Redis != nil {
		errs = append(errs, r.env.Redis.Close())
	}
	return errors.Join(errs...)
}

// change goes over to another configuration: everything new is made before anything old is stopped, so that a configuration that cannot
// be made changes nothing. Streams that are the same go on undisturbed.
func (r *running) change(ctx context.Context, before, after *config.Config) error {
	d := config.Diff(before, after)
	if err := r.pending(after); err != nil {
		return err
	}
	var made []*path
	for _, s := range after.Streams {
		if slices.Contains(d.Added, s.Name) || slices.Contains(d.Changed, s.Name) {
			p, err := r.newPath(after, s)
			if err != nil {
				return err
			}
			made = append(made, p)
		}
	}
	var router *carrier
	if d.Sinks || len(d.Added)+len(d.Removed)+len(d.Changed) > 0 {
		var err error
		if router, err = r.newCarrier(after); err != nil {
			return err
		}
	}

	var leaving, stay []*path
	for _, p := range r.streams {
		if slices.Contains(d.Removed, p.config.Name) || slices.Contains(d.Changed, p.config.Name) {
			p.cancel()
			leaving = append(leaving, p)
		} else {
			stay = append(stay, p)
		}
	}
	r.mu.Lock()
	r.streams = append(stay, made...) // until they run they are not ready
	r.mu.Unlock()
	var errs []error
	for _, p := range leaving {
		errs = append(errs, <-p.done)
	}
	if router != nil {
		errs = append(errs, r.router.stop())
	}
	if err := errors.Join(errs...); err != nil {
		r.o.Log.Warn("while leaving the configuration before", "error", err)
	}

	for _, name := range d.Removed {
		r.told.Forget(name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range made {
		p.start(ctx, r.failed)
	}
	if router != nil {
		for _, s := range before.Sinks {
			if !slices.ContainsFunc(after.Sinks, func(t sinks.SinkConfig) bool { return t.ID() == s.ID() }) {
				r.metrics.sinks.Forget(s.ID())
			}
		}
		r.router = router
		r.router.start(ctx, r.failed)
	}
	return nil
}

// pending is why a change of what streams learn or tell has to wait: it takes effect where their state is stored.
func (r *running) pending(after *config.Config) error {
	var errs []error
	for _, p := range r.streams {
		for _, s := range after.Streams {
			if s.Name != p.config.Name || s.Hash() == p.config.Hash() {
				continue
			}
			if err := p.stream.Stored(); err != nil {
				errs = append(errs, fmt.Errorf("the change takes effect at a checkpoint, and stays pending while there is none; reload again then: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}
