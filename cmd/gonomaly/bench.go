package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/internal/bench"
	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/internal/quality"
)

func newBench() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure Gonomaly on this machine",
		Long:  `Bench measures how fast Gonomaly is on this machine, and how good. Each part says in its --help what it does, and what its columns are.`,
		Example: `  gonomaly bench path
  gonomaly bench detectors
  gonomaly bench quality`,
		Args: subcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, b := range bench.Benchmarks() {
		c.AddCommand(newBenchOf(b))
	}
	c.AddCommand(newBenchQuality(), newBenchRaw())
	return c
}

// newBenchOf measures speed.
func newBenchOf(b bench.Benchmark) *cobra.Command {
	var o bench.Options
	var before, gate, kept string
	c := &cobra.Command{
		Use:   b.Name,
		Short: b.Short,
		Long: b.Long + `

Printed are the medians of --runs and, in brackets, their range. --json keeps a result; --compare sets this one beside one that was kept:
how many times as much the medians are, and from the least to the most that the runs allow.`,
		Example: strings.ReplaceAll(`  gonomaly bench NAME --runs 5 --json before.json
  gonomaly bench NAME --runs 5 --compare before.json`, "NAME", b.Name),
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			program, err := os.Executable()
			if err != nil {
				return err
			}
			o.Program, o.Log = []string{program}, c.ErrOrStderr()
			cell := bench.Plain
			if before != "" {
				r, err := bench.Read(before)
				if err != nil {
					return fmt.Errorf("--compare: %w", err)
				}
				cell = bench.Against(r)
			}
			var g bench.Gate
			if gate != "" {
				if g, err = bench.ReadGate(gate); err != nil {
					return fmt.Errorf("--gate: %w", err)
				}
			}
			r, err := b.Run(c.Context(), o)
			if err != nil {
				return misused(err)
			}
			if err := r.Table(c.OutOrStdout(), cell); err != nil {
				return err
			}
			if kept != "" {
				if err := r.Write(kept); err != nil {
					return fmt.Errorf("--json: %w", err)
				}
			}
			return g.Check(r)
		},
	}
	f := c.Flags()
	f.IntVar(&o.Runs, "runs", 1, "`NUMBER` of runs")
	f.StringVar(&kept, "json", "", "keep the result in this `FILE`")
	f.StringVar(&before, "compare", "", "set the result beside the one in this `FILE`")
	f.StringVar(&gate, "gate", "", "fail when a figure is higher than this JSON `FILE` lets through")
	b.Flags(f, &o)
	return c
}

// newBenchRaw is the part of bench path that has to be a process of its own.
func newBenchRaw() *cobra.Command {
	var cluster cluster
	var topic string
	var events int64
	c := &cobra.Command{
		Use:     "raw --topic TOPIC --events NUMBER",
		Short:   "Read a topic with the bare Kafka client, and print what it took",
		Example: `  gonomaly bench raw --topic load --events 2000000`,
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if topic == "" || events < 1 {
				return usageError{errors.New("which topic, and how much of it? Say --topic and --events")}
			}
			opts, _, err := cluster.options(c)
			if err != nil {
				return err
			}
			read, err := bench.Raw(c.Context(), opts, topic, events)
			if err != nil {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(read)
		},
	}
	f := c.Flags()
	cluster.flags(f)
	f.StringVar(&topic, "topic", "", "`TOPIC` to read")
	f.Int64Var(&events, "events", 0, "how many records to read")
	return c
}

func newBenchQuality() *cobra.Command {
	var o quality.Options
	var floor, output string
	c := &cobra.Command{
		Use:   "quality",
		Short: "Measure how good the detectors are, beside the published ones",
		Long: `Quality plays labelled data and known laws through the detectors, each point scored before it is learned and with the defaults of each
kind, and prints one table a question, in Markdown. Questions: ` + strings.Join(quality.Names(), ", ") + `.

The folder of labelled data has nab/ (of the Numenta Anomaly Benchmark), points/ and sensors/ and drift/; without it only what needs
no data is asked.`,
		Example: `  gonomaly bench quality --data ../data
  gonomaly bench quality --only nab --data ../data
  gonomaly bench quality --data ../data --output docs/quality.md`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Log = c.ErrOrStderr()
			var f quality.Floor
			if floor != "" {
				var err error
				if f, err = quality.ReadFloor(floor); err != nil {
					return fmt.Errorf("--floor: %w", err)
				}
			}
			ask := func() (*quality.Report, error) { return quality.Run(c.Context(), c.OutOrStdout(), o) }
			if output != "" {
				ask = func() (*quality.Report, error) { return quality.WritePage(c.Context(), output, o) }
			}
			r, err := ask()
			if err != nil {
				return misused(err)
			}
			return f.Check(r)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Data, "data", "", "`DIR` of the labelled data")
	f.StringSliceVar(&o.Only, "only", nil, "ask these `QUESTIONS` only")
	f.IntVar(&o.Seeds, "seeds", 5, "`NUMBER` of seeds for what depends on them")
	f.StringVar(&output, "output", "", "write to this Markdown `FILE`, with plots beside it; sections that are not asked for stay")
	f.StringVar(&floor, "floor", "", "fail when a figure is lower than in this JSON `FILE`")
	return c
}

// misused makes an error of a flag's value, which what is run has checked, one of use.
func misused(err error) error {
	if wrong := (*invalid.Value)(nil); errors.As(err, &wrong) {
		return usageError{err}
	}
	return err
}
