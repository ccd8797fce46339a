package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// two has the job done by one process and then by two, while all events are written.
func (w *world) two(ctx context.Context) error {
	one, err := w.shared(ctx, 1)
	if err != nil {
		return err
	}
	both, err := w.shared(ctx, 2)
	if err != nil {
		return err
	}
	w.Add("two"+w.suffix, cpu, both)
	w.Add("two"+w.suffix, cpu+" ÷ one process", both/one)
	return nil
}

// shared has so many processes of a group share a topic, and returns the CPU that all of them take for an event, in µs.
func (w *world) shared(ctx context.Context, processes int) (perEvent float64, err error) {
	fleet, err := generate.NewFleet(generate.FleetConfig{Seed: 1, Machines: w.Keys, Anomalies: anomalies, WarmUp: warmUp})
	if err != nil {
		return 0, err
	}
	topic := fmt.Sprintf("%s-shared-%d", w.topic, w.groups)
	if err := kafka.Create(ctx, w.opts, w.Partitions, topic); err != nil {
		return 0, err
	}
	var all []*process
	defer func() {
		for _, p := range all {
			_, stopped := p.stop()
			err = errors.Join(err, stopped)
		}
	}()
	p, group, err := w.serve(ctx, job, topic)
	for err == nil {
		all = append(all, p)
		if len(all) == processes {
			break
		}
		p, err = w.join(ctx, group, topic)
	}
	if err != nil {
		return 0, err
	}
	before, err := w.total(ctx, all)
	if err != nil {
		return 0, err
	}
	producer := generate.Producer{Topic: topic, Events: w.Events}
	if _, err := producer.Run(ctx, w.opts, fleet.Events()); err != nil {
		return 0, err
	}
	if err := w.committed(ctx, group, w.Events); err != nil {
		return 0, err
	}
	after, err := w.total(ctx, all)
	if err != nil {
		return 0, err
	}
	if after.idle {
		return 0, errors.New("one of the processes has had none of the events: want more --events")
	}
	return 1e6 * (after.cpu - before.cpu) / (after.events - before.events), nil
}

type total struct {
	counters
	idle bool // one of them has had no event
}

// total is what processes count together, each of which has its part of the topic.
func (w *world) total(ctx context.Context, all []*process) (sum total, err error) {
	for _, p := range all {
		if err := p.ready(ctx); err != nil {
			return sum, err
		}
		c, err := p.count(ctx)
		if err != nil {
			return sum, err
		}
		sum.events += c.events
		sum.cpu += c.cpu
		sum.idle = sum.idle || c.events == 0
	}
	return sum, nil
}
