package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// paced has the job read what is written at a pace, and its alerts be read.
func (w *world) paced(ctx context.Context) error {
	fleet, err := generate.NewFleet(generate.FleetConfig{Seed: 1, Machines: w.Keys, Anomalies: anomalous, WarmUp: warmUp})
	if err != nil {
		return err
	}
	topic := fmt.Sprintf("%s-paced-%d", w.topic, w.groups)
	if err := kafka.Create(ctx, w.opts, w.Partitions, topic); err != nil {
		return err
	}
	p, group, err := w.serve(ctx, job, topic)
	if err != nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	told := make(chan arrivals, 1)
	var first, last counters
	if _, err := p.during(func() error {
		err := p.ready(ctx)
		if err != nil {
			return err
		}
		go func() { told <- w.arrivals(reading, group+".alerts") }()
		if first, err = p.count(ctx); err != nil {
			return err
		}
		producer := generate.Producer{Topic: topic, Rate: w.Rate, For: pacedFor}
		written, err := producer.Run(ctx, append(slices.Clone(w.opts), kgo.ProducerLinger(pacedLinger)), fleet.Events())
		if err != nil {
			return err
		}
		if err := w.committed(ctx, group, written.Events); err != nil {
			return err
		}
		last, err = p.count(ctx)
		time.Sleep(time.Second) // the last alerts are read
		return err
	}); err != nil {
		return err
	}
	stop()
	events := last.events - first.events
	w.Add("paced"+w.suffix, eventRate, events/last.at.Sub(first.at).Seconds())
	w.Add("paced"+w.suffix, cpu, 1e6*(last.cpu-first.cpu)/events)
	w.Add("paced"+w.suffix, resident, last.resident/(1<<20))
	w.Add("paced"+w.suffix, allocations, (last.allocations-first.allocations)/events)
	if full := w.figure("records"+w.suffix, cpu); full != nil {
		w.Add("paced"+w.suffix, cpu+" ÷ full speed", 1e6*(last.cpu-first.cpu)/events/full.Runs[len(full.Runs)-1])
	}
	return w.latency(ctx, topic, <-told)
}

// pacedLinger is for how long the paced producer gathers records: what Java's and librdkafka's do where nothing else is said, half of franz-go's.
const pacedLinger = 5 * time.Millisecond

// arrivals are when the alerts of records could be read.
type arrivals struct {
	at  map[pipeline.Origin]time.Time
	err error
}

// arrivals reads a topic until ctx is done.
func (w *world) arrivals(ctx context.Context, topic string) arrivals {
	a := arrivals{at: map[pipeline.Origin]time.Time{}}
	client, err := kgo.NewClient(append(slices.Clone(w.opts), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		a.err = err
		return a
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			alert, err := pipeline.ParseAlert(r.Value)
			if a.err = errors.Join(a.err, err); err == nil {
				a.at[alert.Origin] = now
			}
		})
	}
	return a
}

// latency notes how long after their events were due alerts came.
func (w *world) latency(ctx context.Context, topic string, a arrivals) error {
	if a.err != nil {
		return a.err
	}
	events, err := kafka.ReadAll(ctx, w.opts, topic)
	if err != nil {
		return err
	}
	var took []float64 // ms
	for _, e := range events {
		if at, ok := a.at[pipeline.Origin{Topic: topic, Partition: e.Partition, Offset: e.Offset}]; ok {
			took = append(took, float64(at.Sub(e.Timestamp).Microseconds())/1e3)
		}
	}
	if len(took) == 0 {
		return errors.New("no alert came, so that the latency is not known: want more --rate, or fewer --keys")
	}
	slices.Sort(took)
	w.Add("paced"+w.suffix, "alert p50 ms", took[len(took)/2])
	w.Add("paced"+w.suffix, "alert p99 ms", took[len(took)*99/100])
	return nil
}
