package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

var alertsBenchmark = Benchmark{
	Name:  "alerts",
	Short: "Measure how many alerts a second the router carries to three sinks",
	Long: `Alerts writes --alerts alerts to a topic, and has a router, in this process, carry each of them to three sinks: a file, the standard output (which here goes
nowhere), and the Redis at --redis, or without it another file. The broker is --brokers, or an embedded one in this process.

alerts/s is of alerts that all three have taken.`,
	flags: func(f *pflag.FlagSet, o *Options) {
		f.StringSliceVar(&o.Brokers, "brokers", nil, "`BROKERS` of Kafka, host:port, instead of an embedded one")
		f.StringVar(&o.Redis, "redis", "", "`ADDRESS` of the Redis that is a sink")
		f.Int64Var(&o.Events, "alerts", 100_000, "`NUMBER` of alerts")
		f.Int32Var(&o.Partitions, "partitions", 4, "`NUMBER` of partitions of their topic")
	},
	run: benchAlerts,
}

func benchAlerts(ctx context.Context, o Options, r *Result) error {
	if err := positive(number{"--alerts", float64(o.Events)}, number{"--partitions", float64(o.Partitions)}); err != nil {
		return err
	}
	opts, done, err := o.connect()
	if err != nil {
		return err
	}
	defer done()
	topic := fmt.Sprintf("bench-%d.alerts", time.Now().UnixNano())
	if err := kafka.Create(ctx, opts, o.Partitions, topic); err != nil {
		return err
	}
	o.say("writing %d alerts", o.Events)
	if err := writeAlerts(ctx, opts, topic, o.Events); err != nil {
		return err
	}
	run := 0
	err = o.each("alerts", func() error {
		run++
		rate, err := fanOut(ctx, o, opts, sinks.Topic{Name: topic, Group: fmt.Sprintf("%s.%d", topic, run)})
		if err == nil {
			r.Add("three sinks", "alerts/s", rate)
		}
		return err
	})
	w := world{opts: opts, topic: topic}
	return errors.Join(err, w.clear(context.WithoutCancel(ctx)))
}

// writeAlerts writes so many, each of a record of its own.
func writeAlerts(ctx context.Context, opts kafka.Options, topic string, n int64) error {
	client, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		return err
	}
	defer client.Close()
	var failed error
	for i := range n {
		id := fmt.Sprintf("%032x", i)
		a := pipeline.Alert{
			ID: id, Stream: "bench", Key: fmt.Sprintf("machine-%06d", i%10_000), Kind: pipeline.Anomaly, Status: pipeline.Open, Incident: id,
			Time: recordTime.Add(time.Duration(i) * time.Second), Opened: recordTime, Score: 7.5, Reason: "temp is 91.25, expected 71.2 to 74.8",
			Origin: pipeline.Origin{Topic: "bench", Offset: i}, ConfigHash: "bench",
		}
		value, err := pipeline.EncodeAlert(&a)
		if err != nil {
			return err
		}
		client.Produce(ctx, &kgo.Record{Key: []byte(a.Key), Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed = err // promises are called one after the other
			}
		})
	}
	return errors.Join(client.Flush(ctx), failed)
}

// fanOut has a router carry the alerts of a topic, and returns how many a second.
func fanOut(ctx context.Context, o Options, opts kafka.Options, topic sinks.Topic) (rate float64, err error) {
	dir, err := os.MkdirTemp("", "gonomaly-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := func(name string) sinks.SinkConfig {
		return sinks.SinkConfig{Name: name, Kind: "file", Params: &sinks.FileConfig{Path: filepath.Join(dir, name), Format: "json"}}
	}
	env := sinks.Env{Stdout: io.Discard, KeyPrefix: topic.Group}
	third := file("another")
	if o.Redis != "" {
		there := checkpoint.DefaultRedis()
		there.Address = o.Redis
		client, err := there.Client(nil)
		if err != nil {
			return 0, err
		}
		defer client.Close()                             //nolint:errcheck // all is taken
		c := sinks.Kinds["redis"]().(*sinks.RedisConfig) //nolint:forcetypeassert // it is this kind's
		env.Redis, third = client, sinks.SinkConfig{Kind: "redis", Params: c}
		defer client.Unlink(context.WithoutCancel(ctx), topic.Group+":"+c.Stream, topic.Group+":"+c.Incidents, topic.Group+":"+c.Positions)
	}
	reg := prometheus.NewRegistry()
	router, err := sinks.NewRouter(sinks.Options{
		Sinks:  []sinks.SinkConfig{file("file"), {Kind: "stdout", Params: sinks.Kinds["stdout"]()}, third},
		Topics: []sinks.Topic{topic}, Env: env, Kafka: opts, Metrics: sinks.NewMetrics(reg), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return 0, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	var begin time.Time
	first, all := 0.0, 3*float64(o.Events)
	err = eventually(ctx, func() (bool, error) {
		n, err := taken(reg)
		if n > 0 && begin.IsZero() {
			begin, first = time.Now(), n // the groups are joined
		}
		return n >= all, err
	})
	if err == nil && first >= all {
		err = fmt.Errorf("all of the --alerts %d were taken at once: want several times as many", o.Events)
	}
	return (all - first) / 3 / time.Since(begin).Seconds(), err
}

// taken is how many deliveries there were.
func taken(reg prometheus.Gatherer) (n float64, err error) {
	families, err := reg.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() == "gonomaly_sink_deliveries_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n, nil
}
