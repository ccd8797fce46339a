package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

func newProduce() *cobra.Command {
	var cluster cluster
	var input string
	var partitions int32
	var p generate.Producer
	fleet := generate.FleetConfig{WarmUp: 300}
	c := &cobra.Command{
		Use:   "produce --topic TOPIC",
		Short: "Write events to a topic: generated ones with known anomalies, or a file's",
		Long: `Produce writes JSON events to a topic, for trying out and for load tests. A topic that is missing is created.

Without --input the events are a fleet's: each of --keys machines reports once a simulated minute, from 1 January 2026 on, such as
  {"machine":"machine-000042","ts":1767225600000,"temp":71.2345,"pressure":4.5123,"rpm":2981.42,"vibration":1.0343,"load":63.2145,…}
and --anomalies of 10,000 points begin a fault (once a machine has reported 300 times). Each fault is printed on standard output as a
line of JSON when its first event is written. The same seed gives the same events.

With --input they are the rows of a CSV file with a header, or of JSON lines, gzipped or not; - is standard input. Rows have no key and
go to one partition, in order.`,
		Example: `  gonomaly produce --topic machines --rate 1000 --for 5m --keys 50 --anomalies 5
  gonomaly produce --topic load --events 2000000 --keys 10000      as fast as the broker takes them
  gonomaly produce --topic taxi --input nyc_taxi.csv.gz`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkProduce(&p, partitions, input, c.Flags()); err != nil {
				return usageError{err}
			}
			opts, _, err := cluster.options(c)
			if err != nil {
				return err
			}
			events, failed, err := eventsOf(c.Context(), input, fleet)
			if err != nil {
				return err
			}
			if err := kafka.Create(c.Context(), opts, partitions, p.Topic); err != nil {
				return err
			}
			p.Injections = c.OutOrStdout()
			done, err := p.Run(c.Context(), opts, events)
			_, _ = fmt.Fprintf(c.ErrOrStderr(), "%d events, %d bytes, %d anomalies in %v: %.0f events a second\n",
				done.Events, done.Bytes, done.Injections, done.Elapsed.Round(time.Millisecond), float64(done.Events)/done.Elapsed.Seconds())
			return errors.Join(err, failed())
		},
	}
	f := c.Flags()
	cluster.flags(f)
	f.StringVar(&p.Topic, "topic", "", "`TOPIC` to write to")
	f.Int32Var(&partitions, "partitions", 4, "partitions of the topic, if it is to be created")
	f.Float64Var(&p.Rate, "rate", 0, "events a second; 0 for as fast as possible")
	f.DurationVar(&p.For, "for", 0, "how long to write; with --rate, rate times so long events however long they take")
	f.Int64Var(&p.Events, "events", 0, "how many events to write")
	f.IntVar(&fleet.Machines, "keys", 10, "machines of the fleet")
	f.Uint64Var(&fleet.Seed, "seed", 1, "`SEED` of the fleet")
	f.Float64Var(&fleet.Anomalies, "anomalies", 0, "faults in 10,000 points")
	f.StringVar(&input, "input", "", "`FILE` to write instead of generated events")
	return c
}

// checkProduce says what is wrong with the flags.
func checkProduce(p *generate.Producer, partitions int32, input string, given *pflag.FlagSet) error {
	for _, name := range []string{"keys", "seed", "anomalies"} {
		if input != "" && given.Changed(name) {
			return fmt.Errorf("--%s is of the generated events: leave it out with --input", name)
		}
	}
	switch {
	case p.Topic == "":
		return errors.New("which topic? Name it with --topic")
	case !(p.Rate >= 0) || math.IsInf(p.Rate, 0):
		return fmt.Errorf("--rate is %v, want ≥ 0", p.Rate)
	case p.For < 0:
		return fmt.Errorf("--for is %v, want ≥ 0s", p.For)
	case p.Events < 0:
		return fmt.Errorf("--events is %d, want ≥ 0", p.Events)
	case partitions < 1:
		return fmt.Errorf("--partitions is %d, want ≥ 1", partitions)
	case input == "" && p.For == 0 && p.Events == 0:
		return errors.New("how much? Say --events or --for")
	}
	return nil
}

// eventsOf are the events of a file or of a fleet, and what kept them from the file's end.
func eventsOf(ctx context.Context, input string, c generate.FleetConfig) (events iter.Seq[generate.Event], failed func() error, err error) {
	if input == "" {
		fleet, err := generate.NewFleet(c)
		if err != nil {
			return nil, nil, usageError{inFlags(err)}
		}
		return fleet.Events(), func() error { return nil }, nil
	}
	file, err := sources.OpenFile(ctx, input, decode.Config{})
	if err != nil {
		return nil, nil, err
	}
	events, unread := generate.File(file)
	return events, func() error { return errors.Join(unread(), file.Close()) }, nil
}

// inFlags names the flag that a fleet's value is from.
func inFlags(err error) error {
	var v *invalid.Value
	if !errors.As(err, &v) {
		return err
	}
	flags := map[string]string{"machines": "--keys", "anomalies": "--anomalies"}
	return &invalid.Value{Name: cmp.Or(flags[v.Name], v.Name), Value: v.Value, Want: v.Want}
}
