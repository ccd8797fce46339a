package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/service/top"
)

const defaultURL = "http://localhost:9464"

func newTop() *cobra.Command {
	var urls []string
	var every time.Duration
	var once bool
	var sort, stream string
	var limit int
	c := &cobra.Command{
		Use:   "top",
		Short: "Watch running instances on the terminal: lag, throughput, sinks, troubles, noisiest keys, last alerts",
		Long: `Top asks running instances every two seconds how they are, and shows what they come to together: is it ready, how far is each partition
behind, how much comes in and is told, do the sinks take it, what goes wrong, which keys are the noisiest, and what was told last. It needs
nothing but their HTTP ports.

Partitions stand with the worst first, as many as the terminal has room for. Keys: s sorts by something else, / shows one stream, ? explains
the columns, q quits. An instance that does not answer is named as such and asked again.

With --once it looks twice, --every apart, prints one view as plain text, and ends: with exit code 1 where an instance did not answer.`,
		Example: `  gonomaly top                                                     the instance on this machine
  gonomaly top --url http://gonomaly-0:9464 --url http://gonomaly-1:9464      several, as one
  gonomaly top --stream payments --sort checkpoint
  gonomaly top --once --limit 10                                   for scripts and tickets`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			layout := top.Layout{Stream: stream, Most: limit, Told: 10, Paint: top.Colours}
			var err error
			if layout.Sort, err = top.ParseOrder(sort); err != nil {
				return usageError{fmt.Errorf("--sort: %w", err)}
			}
			if urls, err = top.ParseURLs(urls); err != nil {
				return usageError{err}
			}
			if every < 100*time.Millisecond {
				return usageError{fmt.Errorf("--every is %v, want at least 100ms", every)}
			}
			if limit < 0 {
				return usageError{fmt.Errorf("--limit is %d, want at least 0", limit)}
			}
			if once {
				layout.Paint = top.Plain
				err := top.Once(c.Context(), urls, every, layout, c.OutOrStdout())
				if errors.Is(err, top.ErrUnreachable) { // it is said already
					return errSilent
				}
				return err
			}
			if !isTerminal(c.OutOrStdout()) {
				return usageError{errors.New("standard output is not a terminal: use --once")}
			}
			return top.Run(c.Context(), urls, every, layout, c.InOrStdin(), c.OutOrStdout())
		},
	}
	c.Flags().StringArrayVar(&urls, "url", []string{defaultURL}, "`URL` of an instance's HTTP port; may be repeated")
	c.Flags().DurationVar(&every, "every", 2*time.Second, "time between two looks")
	c.Flags().BoolVar(&once, "once", false, "print one view as plain text and end")
	c.Flags().StringVar(&sort, "sort", "lag", "what partitions are sorted by: lag, records, checkpoint, watermark, series or name")
	c.Flags().StringVar(&stream, "stream", "", "show only streams whose name has this `TEXT` in it")
	c.Flags().IntVar(&limit, "limit", 0, "show at most so many partitions, 0 for as many as there is room for")
	return c
}
