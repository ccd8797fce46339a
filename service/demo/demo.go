// Package demo shows the whole of Gonomaly in one process: an embedded broker, real and simulated events, the service as it runs in
// production, and on the terminal what it finds, held against what there was to find.
package demo

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/service"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources/embedded"
	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Options say what to play.
type Options struct {
	Seed   uint64
	Rate   float64       // events a second, > 0
	For    time.Duration // Rate times For events are played, however long that takes
	Listen string        // of the HTTP port
	Out    io.Writer     // where the show is
	Colour bool          // Out understands ANSI colours
	Log    *slog.Logger
}

//go:embed gonomaly.yaml
var settings string

const (
	partitions = 4
	fewest     = 100         // events that there is something to see in
	step       = time.Minute // between two points of a machine
	warmUp     = 300         // points of a machine before its first fault
	anomalies  = 6           // of the fleet in 10,000 points
	perMachine = 2500        // points of a machine, about
	tick       = time.Second // between two lines of progress
)

// program is what one run plays: how much of the taxi series, and of which fleet.
type program struct {
	machines    int
	taxi, fleet int64 // events
	generate    *generate.Fleet
}

// plan divides the events: the taxi series, or half of the events if that is less, and the fleet.
func plan(o Options) (program, error) {
	total := int64(math.Round(o.Rate * o.For.Seconds()))
	if total < fewest {
		return program{}, &invalid.Value{Name: "--rate times --for", Value: total, Want: fmt.Sprintf("%d events or more", fewest)}
	}
	taxi := min(int64(generate.TaxiEvents), total/2)
	p := program{taxi: taxi, fleet: total - taxi}
	p.machines = int(min(max(p.fleet/perMachine, 1), 200))
	fleet, err := generate.NewFleet(generate.FleetConfig{Seed: o.Seed, Machines: p.machines, Anomalies: anomalies, WarmUp: warmUp})
	p.generate = fleet
	return p, err
}

var errInterrupted = errors.New("interrupted")

// Run plays the demo, and returns what it has shown. It ends when everything is played and told, or with ctx.
func Run(ctx context.Context, o Options) (Summary, error) {
	p, err := plan(o)
	if err != nil {
		return Summary{}, err
	}
	broker, err := embedded.Start(partitions, "taxi", "machines")
	if err != nil {
		return Summary{}, err
	}
	defer broker.Close()
	cluster := kafka.Config{Brokers: broker.Addresses()}
	show := &terminal{out: o.Out, colour: o.Colour, injected: p.generate.Injections(p.fleet)}
	open := make(chan net.Addr, 1)
	s, err := service.New(service.Options{
		Load: func() (*config.Config, error) {
			return config.Parse("demo", []byte(settings), func(name string) (string, bool) {
				return strings.Join(cluster.Brokers, ","), name == "KAFKA_BROKERS"
			})
		},
		Listen: o.Listen, Log: o.Log, Sinks: []sinks.SinkConfig{{Name: "terminal", Kind: "terminal", Params: show}},
		Serving: func(at net.Addr) { open <- at },
	})
	if err != nil {
		return Summary{}, err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.Run(serving) }()

	select {
	case at := <-open:
		show.begin(at, cluster.Brokers, o, p)
	case err := <-served:
		return Summary{}, cmp.Or(err, errInterrupted)
	}
	playing, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		failed <- <-served
		cancel()
	}()
	summary, err := p.play(playing, s, cluster, o, show)
	stop()
	switch broken := <-failed; {
	case ctx.Err() != nil:
		return Summary{}, errInterrupted
	case broken != nil:
		return Summary{}, broken
	}
	return summary, err
}

// play writes the events and waits until what they lead to is told.
func (p program) play(ctx context.Context, s *service.Service, cluster kafka.Config, o Options, show *terminal) (Summary, error) {
	opts, err := cluster.Options()
	if err != nil {
		return Summary{}, err
	}
	begin := time.Now()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	lag := make(chan float64, 1)
	go func() { lag <- show.watch(watching, s.Gatherer(), begin) }()

	share := float64(p.taxi) / float64(p.taxi+p.fleet)
	g, playing := errgroup.WithContext(ctx)
	g.Go(func() error {
		taxi := generate.Producer{Topic: "taxi", Rate: o.Rate * share, Events: p.taxi}
		_, err := taxi.Run(playing, opts, generate.Taxi())
		return err
	})
	g.Go(func() error {
		fleet := generate.Producer{Topic: "machines", Rate: o.Rate * (1 - share), Events: p.fleet}
		_, err := fleet.Run(playing, opts, p.generate.Events())
		return err
	})
	if err := g.Wait(); err != nil || ctx.Err() != nil {
		return Summary{}, err
	}
	told, err := drained(ctx, opts, show)
	if err != nil {
		return Summary{}, err
	}
	elapsed := time.Since(begin)
	stop()
	summary := judge(told, show.injected, played(p.taxi), step)
	summary.Events = p.taxi + p.fleet
	summary.EventsPerSecond = math.Round(float64(summary.Events) / elapsed.Seconds())
	summary.LagSecondsMax = math.Round(1000*<-lag) / 1000
	return summary, nil
}

// played are the named events that begin within the first so many half-hours of the taxi series.
func played(events int64) []generate.Named {
	end := time.Date(2014, 7, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(events) * 30 * time.Minute)
	return slices.DeleteFunc(generate.TaxiAnomalies(), func(n generate.Named) bool { return n.Start.After(end) })
}

// groups are the consumer groups of the demo's streams, by topic.
var groups = map[string]string{"taxi": "gonomaly.taxi", "machines": "gonomaly.machines"}

// drained waits until every event is processed and every alert has come to the terminal, and returns the alerts of the topics.
func drained(ctx context.Context, opts kafka.Options, show *terminal) ([]pipeline.Alert, error) {
	for topic, group := range groups {
		for {
			behind, err := kafka.Behind(ctx, opts, group, topic)
			if err != nil {
				return nil, err
			}
			if behind == 0 {
				break
			}
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
	told, err := readAlerts(ctx, opts)
	if err != nil {
		return nil, err
	}
	for show.count() < len(told) { // the terminal is a sink like any other, and may be a moment behind
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return told, nil
}

// readAlerts returns all alerts of the demo's alerts topics.
func readAlerts(ctx context.Context, opts kafka.Options) ([]pipeline.Alert, error) {
	var topics []string
	for topic := range groups {
		topics = append(topics, pipeline.AlertTopic([]string{topic}))
	}
	records, err := kafka.ReadAll(ctx, opts, topics...)
	if err != nil {
		return nil, err
	}
	told := make([]pipeline.Alert, len(records))
	for i, r := range records {
		if told[i], err = pipeline.ParseAlert(r.Value); err != nil {
			return nil, err
		}
	}
	return told, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the last alerts: %w", ctx.Err())
	}
}
