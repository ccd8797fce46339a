package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service/doctor"
	"github.com/gonomaly/gonomaly/service/top"
)

func newDoctor() *cobra.Command {
	var file string
	var urls []string
	var each time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor -c FILE",
		Short: "Find out what is wrong: Kafka, Redis, disk, clocks, versions, running instances",
		Long: `Doctor asks what a configuration depends on, side by side, and prints a line for each thing that it finds, ✓, ! or ✗, with the figure and
with what to do about it:

  brokers      does each answer, how fast, at the address that it gives to clients
  topics       do they exist, has each partition a leader, are the replicas in sync
  rights       may this user read, write and join what it has to
  groups       are the groups of streams and sinks stable, has each partition an owner
  offsets      what is committed against where the log begins and ends: how far behind, has retention overtaken
  redis        does it take writes, memory and maxmemory-policy, persistence, the user's rights
  checkpoints  is there one of each partition, is it whole, how far behind what is committed
  clocks       of Redis and of instances against this machine's; records dated ahead
  disk         where files are written: is there room
  versions     this binary and the running ones, the file and what is in force
  instances    named with --url: do they answer, are they ready, and why not; can they decode what they read, and its times
  probes       where they are on: do those of the instances return, and when did the last
  tracing      where it is on: does the collector take traces

It takes part in nothing and changes nothing: of Redis it writes one key that is gone at once, to see whether Redis takes writes. Each
question has as long as --timeout, whatever became of the others. Run it where the service runs, with the same environment: names, ports and
rights differ elsewhere. It exits 1 when anything is ✗.`,
		Example: `  gonomaly doctor -c gonomaly.yaml
  gonomaly doctor -c gonomaly.yaml --url http://localhost:9464
  gonomaly doctor -c gonomaly.yaml --url http://gonomaly-0:9464 --url http://gonomaly-1:9464 --timeout 2s
  gonomaly doctor -c gonomaly.yaml --json      for a ticket, or jq`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usageError{errors.New("which configuration? Name it with -c FILE")}
			}
			var err error
			if urls, err = top.ParseURLs(urls); err != nil {
				return usageError{err}
			}
			if each <= 0 {
				return usageError{fmt.Errorf("--timeout is %v, want > 0s", each)}
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			b := readBuild()
			report := doctor.Examine(c.Context(), doctor.Options{Config: cfg, URLs: urls, Version: b.Version, Revision: b.Commit, Each: each, Env: os.LookupEnv})
			text := []byte(report.Text())
			if asJSON {
				if text, err = report.JSON(); err != nil {
					return err
				}
			}
			if _, err := c.OutOrStdout().Write(text); err != nil {
				return err
			}
			if report.Count(doctor.Bad) > 0 {
				return errSilent
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE`")
	c.Flags().StringArrayVar(&urls, "url", nil, "`URL` of a running instance's HTTP port, to ask it too; may be repeated")
	c.Flags().DurationVar(&each, "timeout", 5*time.Second, "how long each question may take")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
