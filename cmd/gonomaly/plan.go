package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/bench"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

func newPlan() *cobra.Command {
	var file, stream, curves string
	var asJSON bool
	l := bench.Load{}
	c := &cobra.Command{
		Use:   "plan -c FILE --rate EVENTS --keys NUMBER",
		Short: "Say what a load takes: cores, memory, partitions, traffic of Redis and Kafka",
		Long: `Plan works out what the streams of a configuration take under a load, by what gonomaly bench curves has measured: on the machine that
the figures of docs/capacity.md are of, or on yours, with --curves. Each stream is taken to bear all of the load; --stream picks one.
It connects to nothing.

How far the model can be trusted stands in docs/capacity.md.`,
		Example: `  gonomaly plan -c gonomaly.yaml --rate 50000 --keys 100000
  gonomaly plan -c gonomaly.yaml --rate 1e6 --keys 5000000 --bytes 400 --cores 16
  gonomaly plan -c gonomaly.yaml --rate 50000 --keys 100000 --curves mine.json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" || l.Rate == 0 || l.Keys == 0 {
				return usageError{errors.New("of what, and how much? Say -c FILE, --rate and --keys")}
			}
			if err := checkLoad(l); err != nil {
				return usageError{err}
			}
			loaded, err := config.Load(file)
			if err != nil {
				return err
			}
			model := bench.Measured()
			if curves != "" {
				if model, err = bench.Read(curves); err != nil {
					return fmt.Errorf("--curves: %w", err)
				}
			}
			streams := loaded.Streams
			if stream != "" {
				i := slices.IndexFunc(streams, func(s config.Stream) bool { return s.Name == stream })
				if i < 0 {
					return usageError{&invalid.Value{Name: "--stream", Value: stream, Want: "the name of a stream in " + file}}
				}
				streams = streams[i : i+1]
			}
			var demands []bench.Demand
			for i := range streams {
				d, err := bench.Plan(model, &streams[i], loaded.Checkpoints.Every.Seconds(), l)
				if err != nil {
					return err
				}
				demands = append(demands, d)
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(demands)
			}
			return printPlan(c.OutOrStdout(), demands, l)
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "", "configuration `FILE`")
	f.StringVar(&stream, "stream", "", "`NAME` of the stream that bears the load, instead of each")
	f.Float64Var(&l.Rate, "rate", 0, "`EVENTS` a second")
	f.IntVar(&l.Keys, "keys", 0, "`NUMBER` of keys")
	f.IntVar(&l.Bytes, "bytes", 200, "`BYTES` of a record, before compression")
	f.IntVar(&l.Partitions, "partitions", 0, "`NUMBER` of partitions that the topics have, where that is more than the load needs")
	f.IntVar(&l.Cores, "cores", 2, "`NUMBER` of cores that a process has")
	f.StringVar(&curves, "curves", "", "`FILE` that gonomaly bench curves --json has written, on your machine")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// mostLoad is more of anything than there is: beyond it the model's numbers are none.
const mostLoad = 1e12

// checkLoad says what is wrong with the flags.
func checkLoad(l bench.Load) error {
	for _, f := range []struct {
		name  string
		value float64
	}{{"--rate", l.Rate}, {"--keys", float64(l.Keys)}, {"--bytes", float64(l.Bytes)}, {"--cores", float64(l.Cores)}} {
		if !(f.value > 0 && f.value <= mostLoad) {
			return &invalid.Value{Name: f.name, Value: f.value, Want: fmt.Sprintf("> 0 and at most %g", mostLoad)}
		}
	}
	if l.Partitions < 0 || float64(l.Partitions) > mostLoad {
		return &invalid.Value{Name: "--partitions", Value: l.Partitions, Want: fmt.Sprintf("0 to %g", mostLoad)}
	}
	return nil
}

func printPlan(w io.Writer, demands []bench.Demand, l bench.Load) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range demands {
		_, _ = fmt.Fprintf(t, "stream %s\n", d.Stream) // Flush tells of errors
		for _, line := range d.Lines(l) {
			_, _ = fmt.Fprintf(t, "  %s\t%s\n", line[0], line[1])
		}
	}
	return t.Flush()
}
