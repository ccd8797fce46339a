package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/embedded"
	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// world is what all rows of a run have in common.
type world struct {
	Options
	*Result
	dir    string
	opts   kafka.Options
	client *kgo.Client
	admin  *kadm.Client
	topic  string
	groups int
	suffix string // of the rows' names
}

// onBrokers calls run with a world on the brokers that o names, or else on one of its own, and deletes what is left there.
func onBrokers(ctx context.Context, o Options, r *Result, run func(*world) error) (err error) {
	dir, err := os.MkdirTemp("", "gonomaly-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	opts, done, err := o.connect()
	if err != nil {
		return err
	}
	defer done()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	w := &world{Options: o, Result: r, dir: dir, opts: opts, client: client, admin: kadm.NewClient(client), topic: fmt.Sprintf("bench-%d", time.Now().UnixNano())}
	defer func() { err = errors.Join(err, w.clear(context.WithoutCancel(ctx))) }()
	return run(w)
}

// connect says how to reach the brokers: those that o names, or an embedded one, which done ends and o then names.
func (o *Options) connect() (opts kafka.Options, done func(), err error) {
	done = func() {}
	if len(o.Brokers) == 0 {
		broker, err := embedded.Start(o.Partitions)
		if err != nil {
			return nil, nil, err
		}
		done, o.Brokers = broker.Close, broker.Addresses()
	}
	if opts, err = (kafka.Config{Brokers: o.Brokers}).Options(); err != nil {
		done()
		return nil, nil, err
	}
	return opts, done, nil
}

// clear deletes the topics and groups of the run: the broker may be one that others use.
func (w *world) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := kgo.NewClient(w.opts...) // one that does not remember which topics there were a second ago
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("topics %s* are left on the broker: %w", w.topic, err)
	}
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("groups %s* are left on the broker: %w", w.topic, err)
	}
	others := func(name string) bool { return !strings.HasPrefix(name, w.topic) }
	var errs []error
	if names := slices.DeleteFunc(topics.Names(), others); len(names) > 0 {
		deleted, err := admin.DeleteTopics(ctx, names...)
		errs = append(errs, err, deleted.Error())
	}
	if names := slices.DeleteFunc(groups.Groups(), others); len(names) > 0 {
		deleted, err := admin.DeleteGroups(ctx, names...)
		errs = append(errs, err, deleted.Error())
	}
	return errors.Join(errs...)
}

// fill writes the events that are to be read.
func (w *world) fill(ctx context.Context) error {
	fleet, err := generate.NewFleet(generate.FleetConfig{Seed: 1, Machines: w.Keys, Anomalies: anomalies, WarmUp: warmUp})
	if err != nil {
		return err
	}
	w.say("writing %d events", w.Events)
	if err := kafka.Create(ctx, w.opts, w.Partitions, w.topic); err != nil {
		return err
	}
	p := generate.Producer{Topic: w.topic, Events: w.Events}
	_, err = p.Run(ctx, w.opts, fleet.Events())
	return err
}

// serve starts the job over a topic, as a new group.
func (w *world) serve(ctx context.Context, job, topic string) (p *process, group string, err error) {
	w.groups++
	group = fmt.Sprintf("%s.%d", topic, w.groups)
	if err := os.WriteFile(w.file(group), []byte(job), 0o600); err != nil {
		return nil, "", err
	}
	p, err = w.join(ctx, group, topic)
	return p, group, err
}

func (w *world) file(group string) string { return filepath.Join(w.dir, group+".yaml") }

// join starts a process of a group, with the job that serve has written for it.
func (w *world) join(ctx context.Context, group, topic string) (*process, error) {
	store := "file"
	if w.Redis != "" {
		store = "redis"
	}
	return start(ctx, w.Options, w.file(group), "BENCH_BROKERS="+strings.Join(w.Brokers, ","), "BENCH_TOPIC="+topic, "BENCH_GROUP="+group,
		"BENCH_STORE="+store, "BENCH_KEYS="+strconv.Itoa(w.Keys), "BENCH_COMMIT_EVERY="+cmp.Or(w.Every, usualEvery).String(),
		"BENCH_CHECKPOINT_EVERY="+cmp.Or(w.Checkpoint, usualCheckpoint).String(),
		"BENCH_DIRECTORY="+filepath.Join(w.dir, group), "BENCH_REDIS="+w.Redis)
}

// steady waits until a group has committed a part of each partition of the topic.
func (w *world) steady(ctx context.Context, group string) error {
	ends, err := w.admin.ListEndOffsets(ctx, w.topic)
	if err != nil {
		return fmt.Errorf("end of %s: %w", w.topic, err)
	}
	return eventually(ctx, func() (bool, error) {
		offsets, err := w.admin.FetchOffsets(ctx, group)
		if err != nil {
			return false, ctx.Err() // the group is not there yet
		}
		steady := true
		ends.Each(func(end kadm.ListedOffset) {
			o, _ := offsets.Lookup(end.Topic, end.Partition)
			steady = steady && float64(o.At) >= steadyFrom*float64(end.Offset)
		})
		return steady, nil
	})
}

// committed waits until a group has committed so many records.
func (w *world) committed(ctx context.Context, group string, events int64) error {
	return eventually(ctx, func() (bool, error) {
		offsets, err := w.admin.FetchOffsets(ctx, group)
		if err != nil {
			return false, ctx.Err() // the group is not there yet
		}
		sum := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		return sum >= events, nil
	})
}
