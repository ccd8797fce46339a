package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/internal/duration"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

func newResend() *cobra.Command {
	var cluster cluster
	var since string
	var r kafka.Resend
	c := &cobra.Command{
		Use:   "resend --letters TOPIC",
		Short: "Write dead letters again where they came from, once what refused them is mended",
		Long: `Resend reads a topic of dead letters to its end and writes each again into the topic and partition that it came from, as the record was:
its key, value, headers and timestamp, without the headers of the letter. Mend decode, the producer or the sink first; what is refused again
becomes a dead letter again.

A record that is written again is the newest of its partition. Every group that reads the topic reads it, and windows that are closed count it
as late. Of a sink's letters the alerts go into the alerts topic again, with their ids: the other sinks deliver them once more.

Nothing is deleted, and a second run sends the same letters again: --since leaves out what was set aside before, and --dry-run only counts.
Letters that were cut, for a broker would not have taken them whole, are left out.`,
		Example: `  gonomaly resend --letters machines.dead-letters --dry-run
  gonomaly resend --letters machines.dead-letters --since 2h --reason missing_field
  gonomaly resend --letters machines.alerts.redis.dead-letters --since 2h`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if r.Letters == "" {
				return usageError{errors.New("which letters? Name their topic with --letters")}
			}
			if since != "" {
				ago, err := duration.Parse(since)
				if err != nil {
					return usageError{fmt.Errorf("--since is %w", err)}
				}
				r.Since = time.Now().Add(-ago)
			}
			opts, _, err := cluster.options(c)
			if err != nil {
				return err
			}
			done, err := r.Run(c.Context(), opts)
			did := "sent again"
			switch {
			case r.DryRun:
				did = "to be sent"
			case err != nil:
				did = "begun, and not all of them sent"
			}
			if err == nil && len(done.Sent) == 0 {
				_, _ = fmt.Fprintln(c.OutOrStdout(), "no letters to send")
			}
			for _, topic := range slices.Sorted(maps.Keys(done.Sent)) {
				_, _ = fmt.Fprintf(c.OutOrStdout(), "%s: %d %s\n", topic, done.Sent[topic], did)
			}
			if left := done.Others + done.Cut; left > 0 {
				_, _ = fmt.Fprintf(c.OutOrStdout(), "%d left out: %d by --since or --reason, or for they are no letters, %d for they were cut\n", left, done.Others, done.Cut)
			}
			return err
		},
	}
	f := c.Flags()
	cluster.flags(f)
	f.StringVar(&r.Letters, "letters", "", "`TOPIC` with the dead letters")
	f.StringVar(&since, "since", "", "only those set aside within this `TIME`, such as 90m or 2d")
	f.StringVar(&r.Reason, "reason", "", "only those set aside for this `REASON`, as gonomaly.reason has it")
	f.BoolVar(&r.DryRun, "dry-run", false, "count, and write nothing")
	return c
}
