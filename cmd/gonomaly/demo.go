package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gonomaly/gonomaly/service/demo"
)

func newDemo() *cobra.Command {
	var o demo.Options
	var asJSON bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work: an embedded broker, real data, and the alerts as they come",
		Long: `Demo starts a Kafka broker inside the process, plays two topics at high speed, and runs the service on them as it runs in production:

  taxi      the demand for taxis in New York in 2014-15, half-hour by half-hour, from the Numenta Anomaly Benchmark: it holds five odd
            weeks that are known by name
  machines  a fleet of simulated machines with faults injected at known times

It shows each alert as it comes, with its reason and with what is known to have happened, and at the end what was found and missed.
What is played is fixed by --seed, --rate and --for: rate times for events, then it drains and stops; two equal runs give the same
alerts. The first half of the events, at most, is the taxi series.`,
		Example: `  gonomaly demo
  gonomaly demo --for 20s --json        the summary as JSON on the last line of standard output
  gonomaly demo --rate 50000 --seed 7`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Out = c.OutOrStdout()
			if asJSON {
				o.Out = c.ErrOrStderr()
			}
			o.Colour = isTerminal(o.Out) && os.Getenv("NO_COLOR") == ""
			o.Log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
			if !(o.Rate > 0) || o.Rate > 1e6 {
				return usageError{fmt.Errorf("--rate is %v, want > 0 and at most 1000000 events a second", o.Rate)}
			}
			if o.For <= 0 {
				return usageError{fmt.Errorf("--for is %v, want > 0s", o.For)}
			}
			summary, err := demo.Run(c.Context(), o)
			if err != nil {
				return misused(err)
			}
			if err := summary.Print(o.Out); err != nil || !asJSON {
				return err
			}
			return json.NewEncoder(c.OutOrStdout()).Encode(summary)
		},
	}
	f := c.Flags()
	f.Uint64Var(&o.Seed, "seed", 1, "`SEED` of the fleet and its faults")
	f.Float64Var(&o.Rate, "rate", 5000, "events a second")
	f.DurationVar(&o.For, "for", 30*time.Second, "how long to play")
	f.StringVar(&o.Listen, "listen", "127.0.0.1:0", "`ADDRESS` of the HTTP port for metrics and health; port 0 takes a free one")
	f.BoolVar(&asJSON, "json", false, "print the summary as one JSON object on the last line, and the show on standard error")
	return c
}

// isTerminal says whether a person is looking at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
