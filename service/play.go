package service

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources"
)

// Play takes a file, or standard input for "-", through one stream of a configuration and on to its sinks, without Kafka: a channel in the
// process stands for the alerts topic. Without a sink alerts go to standard output. What cannot be decoded is counted, and the log says why. It returns when
// everything is read and delivered, or when ctx is done; what is not delivered then is lost, for there is nothing durable about a file.
func Play(ctx context.Context, c *config.Config, s config.Stream, input string, log *slog.Logger) (err error) {
	reader, err := sources.OpenFile(ctx, input, s.Decode)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // stopped before there was anything
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	if s.Decode.Format == "csv" && reader.Header() != nil {
		s.Decode.Columns = reader.Header()
	}
	reg := prometheus.NewRegistry() // nobody reads it
	stream, err := pipeline.NewStream(pipeline.Options{
		Name: s.Name, Group: s.Group, Topics: s.Topics, Config: s.Config, Checkpoints: checkpoint.NewMemory(reg, log),
		CheckpointEvery: c.Checkpoints.Every, Metrics: pipeline.NewMetrics(reg), Log: log,
	})
	if err != nil {
		return err
	}
	env, err := newEnv(c, reg)
	if err != nil {
		return err
	}
	if env.Redis != nil {
		defer func() { err = errors.Join(err, env.Redis.Close()) }()
	}
	to := slices.Clone(c.Sinks)
	if len(to) == 0 {
		to = []sinks.SinkConfig{{Kind: "stdout", Params: sinks.Kinds["stdout"]()}}
	}
	channel := sinks.NewChannel()
	router, err := sinks.NewRouter(sinks.Options{
		Sinks: to, Topics: []sinks.Topic{{Name: s.Alert.Topic, Group: s.Group}}, Env: env, Channel: channel, Metrics: sinks.NewMetrics(reg), Log: log,
	})
	if err != nil {
		return err
	}

	aside := int64(0) // dead letters
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return router.Run(ctx) })
	g.Go(func() error {
		select {
		case <-router.Running():
		case <-ctx.Done():
		}
		source := sources.File{Reader: reader, Batch: 1, Emit: func(messages []pipeline.Message) error {
			n := len(messages)
			messages = slices.DeleteFunc(messages, func(m pipeline.Message) bool { return m.Topic != s.Alert.Topic })
			aside += int64(n - len(messages))
			return channel.Write(ctx, messages)
		}}
		err := source.Run(ctx, stream)
		stream.Wait()
		return errors.Join(err, channel.Close()) // the router ends when it has delivered what is there
	})
	err = g.Wait()
	log.Info("read", "input", reader.Name(), "records", reader.Rows(), "set_aside", aside)
	if n := reader.Rows(); err == nil && n > 0 && aside == n {
		return errors.New("no record could be decoded: does the configuration's decode section fit the input?")
	}
	return err
}
