package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/service/top"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Options make an examination.
type Options struct {
	Config   *config.Config
	URLs     []string      // of instances
	Version  string        // of this binary
	Revision string        // that it was made of
	Each     time.Duration // that one question may take
	Env      tracing.Env   // for the variables of OpenTelemetry
}

// facts are what was found, before it is judged.
type facts struct {
	now     time.Time
	config  *config.Config
	version string // with the revision

	kafka     *kafka.Examined
	kafkaErr  error
	redis     *checkpoint.Examined // nil where nothing uses Redis
	redisErr  error
	states    map[pipeline.Log]standing   // of partitions whose topics are known
	later     map[string]kafka.GroupState // groups that were asked again, behind whose offsets a state lay
	instances []top.Scrape
	disks     []disk
	collector tracing.Asked
}

// standing is what the store of checkpoints has of a partition.
type standing struct {
	checkpoint.Standing
	err error
}

// Examine asks everything, side by side, and judges.
func Examine(ctx context.Context, o Options) *Report {
	begin := time.Now()
	f := gather(ctx, o)
	f.now = time.Now()
	return &Report{Findings: judge(f), Took: time.Since(begin)}
}

// judge goes from what everything depends on to what depends on it: the first that is bad explains most of what follows.
func judge(f *facts) []Finding {
	var all []Finding
	for _, look := range []func(*facts) []Finding{brokers, topics, rights, groups, offsets, redis, checkpoints, clocks, disks, versions, instances, probes, collector} {
		all = append(all, look(f)...)
	}
	return all
}

func gather(ctx context.Context, o Options) *facts {
	f := &facts{config: o.Config, version: build(o.Version, o.Revision), instances: make([]top.Scrape, len(o.URLs))}
	var asking sync.WaitGroup
	asking.Go(func() {
		f.kafka, f.kafkaErr = kafka.Examine(ctx, o.Config.Kafka, questions(o.Config, o.Each))
		if f.kafkaErr == nil {
			f.states = f.standings(ctx, o.Each)
			f.later = f.askAgain(ctx, o.Each)
		}
	})
	asking.Go(func() {
		if p := purposes(o.Config); p != (checkpoint.Purposes{}) {
			f.redis, f.redisErr = o.Config.Redis.Examine(ctx, p, o.Each)
		}
	})
	for i, base := range o.URLs {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, o.Each)
			defer cancel()
			f.instances[i] = top.Ask(ctx, base)
			if u, err := url.Parse(base); err == nil {
				f.instances[i].URL = u.Redacted() // findings go into tickets
			}
		})
	}
	asking.Go(func() { f.disks = lookAtDisks(o.Config) })
	asking.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, o.Each)
		defer cancel()
		f.collector = tracing.Ask(ctx, o.Config.Tracing, o.Env)
	})
	asking.Wait()
	return f
}

// questions are what is asked of Kafka: topics, the streams' groups, and those of the sinks.
func questions(c *config.Config, each time.Duration) kafka.Questions {
	q := kafka.Questions{Each: each}
	add := func(topic string) {
		if !slices.Contains(q.Topics, topic) {
			q.Topics = append(q.Topics, topic)
		}
	}
	for i := range c.Streams {
		s := &c.Streams[i]
		for _, t := range s.Topics {
			add(t)
		}
		for _, t := range s.Outputs(s.Topics) {
			add(t)
		}
		q.Groups = append(q.Groups, kafka.GroupQuestion{Name: s.Group, Topics: s.Topics, Consumer: s.GroupProtocol == sources.Consumer})
		for _, sink := range c.Sinks {
			q.Groups = append(q.Groups, kafka.GroupQuestion{Name: sinks.Group(s.Group, sink.ID()), Topics: []string{s.Alert.Topic}})
		}
		if s.Delivery == sources.ExactlyOnce && c.Instance != "" {
			q.Writers = append(q.Writers, sources.TransactionalID(s.Group, c.Instance))
		}
		q.KIP848 = q.KIP848 || s.GroupProtocol == sources.Consumer
	}
	return q
}

func purposes(c *config.Config) checkpoint.Purposes {
	if c.Redis == nil {
		return checkpoint.Purposes{}
	}
	return checkpoint.Purposes{
		Checkpoints: c.Checkpoints.Store == config.StoreRedis,
		Sink:        slices.ContainsFunc(c.Sinks, func(s sinks.SinkConfig) bool { return s.Kind == "redis" }),
	}
}

// standings asks the store for each partition that the brokers name.
func (f *facts) standings(ctx context.Context, each time.Duration) map[pipeline.Log]standing {
	found := map[pipeline.Log]standing{}
	store, done, err := f.store()
	if store == nil && err == nil {
		return found
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, each) // for all of them: where one takes long the others do
	defer cancel()
	for i := range f.config.Streams {
		s := &f.config.Streams[i]
		for _, topic := range s.Topics {
			t := f.kafka.Topics[topic]
			for id := range t.Partitions {
				l := pipeline.Log{Group: s.Group, Partition: pipeline.Partition{Topic: topic, TopicID: t.ID, ID: id}}
				has := standing{err: err}
				if err == nil {
					has.Standing, has.err = store.Standing(ctx, l)
				}
				found[l] = has
			}
		}
	}
	return found
}

// askAgain asks for the offsets of the groups whose states lie above them: where an instance runs, it has committed and stored since.
func (f *facts) askAgain(ctx context.Context, each time.Duration) map[string]kafka.GroupState {
	q := kafka.Questions{Each: each}
	for i := range f.config.Streams {
		s := &f.config.Streams[i]
		for l, has := range f.states {
			if at, committed := f.kafka.Groups[s.Group].Committed[l.Topic][l.ID]; l.Group == s.Group && committed && has.Offset > at {
				q.Groups = append(q.Groups, kafka.GroupQuestion{Name: s.Group, Topics: s.Topics, Consumer: s.GroupProtocol == sources.Consumer})
				break
			}
		}
	}
	if len(q.Groups) == 0 {
		return nil
	}
	again, err := kafka.Examine(ctx, f.config.Kafka, q)
	if err != nil {
		return nil
	}
	return again.Groups
}

// store opens the one that the configuration names, without making anything; nil where it keeps nothing.
func (f *facts) store() (store *checkpoint.Store, done func(), err error) {
	quiet := slog.New(slog.DiscardHandler)
	switch c := f.config; c.Checkpoints.Store {
	case config.StoreRedis:
		client, err := c.Redis.Client(nil)
		if err != nil {
			return nil, func() {}, err
		}
		return checkpoint.NewRedis(client, c.Redis.KeyPrefix, nil, quiet), func() { _ = client.Close() }, nil
	case config.StoreFile:
		if _, err := os.Stat(filepath.Clean(c.Checkpoints.Directory)); err != nil {
			return nil, func() {}, fmt.Errorf("look into the directory of the checkpoints: %w", err)
		}
		store, err := checkpoint.NewFile(c.Checkpoints.Directory, nil, quiet)
		return store, func() {}, err
	}
	return nil, func() {}, nil
}
