package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/sources/kafka"
	"github.com/gonomaly/gonomaly/sources/sample"
)

// sampleWait is how long create waits for records of a topic.
const sampleWait = 10 * time.Second

func newCreate() *cobra.Command {
	var from, detector string
	var excluded []string
	var cluster cluster
	c := &cobra.Command{
		Use:   "create metrics|requests|points",
		Short: "Print a configuration to start from, filled in from your data",
		Long: `Create prints a commented configuration:

  metrics    each record is a value, or a few, of one series (a host's CPU, a sensor, a shop's orders)
  requests   raw events, gathered in event-time windows: how many, how slow
  points     values that are judged together: ordinary one by one, odd as a combination

With --from it looks at the first 20,000 records of a file (CSV, JSON lines, gzipped or not) or of a topic, or at 16 MiB of them where
they are large, and fills in where time, key and values stand, which values are counters, and after how long a key is silent. Of a pipe it waits for as many, or for its end. Where the topic's brokers
want TLS or a password, --kafka names a file with the section kafka of a configuration, which is taken over: gonomaly schema config has
its keys. The file printed takes brokers, Redis, topic, group, alerts topic and instance from
KAFKA_BROKERS, REDIS_ADDR, GONOMALY_TOPIC, GONOMALY_GROUP, GONOMALY_ALERTS_TOPIC and GONOMALY_INSTANCE, with defaults.`,
		Example: `  gonomaly create metrics > gonomaly.yaml
  gonomaly create metrics --from orders > gonomaly.yaml          a topic
  gonomaly create metrics --from orders --kafka kafka.yaml       where brokers want TLS or a password
  gonomaly create points --from data.csv.gz --exclude label      a file, but for a field
  gonomaly create metrics --detector ewma`,
		ValidArgs: config.Kinds(),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("create what? One of " + strings.Join(config.Kinds(), ", "))}
			}
			if len(args) > 1 && len(excluded) == 0 {
				return usageError{errors.New("one kind at a time: " + strings.Join(args, " "))}
			}
			opts, section, err := cluster.options(c)
			if err != nil {
				return err
			}
			o := config.CreateOptions{Exclude: append(excluded, args[1:]...), Detector: detector, Kafka: section} // --exclude a b c
			if from != "" {
				if o.Guess, o.Topic, err = look(c.Context(), from, opts); err != nil {
					return err
				}
			}
			text, err := config.Create(args[0], o)
			if err != nil {
				return usageError{err}
			}
			_, err = c.OutOrStdout().Write(text)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from", "", "`FILE|TOPIC` to look at")
	f.StringSliceVar(&excluded, "exclude", nil, "`FIELD`s to leave out, for example a label")
	f.StringVar(&detector, "detector", "", "`KIND` of the detector, instead of the one that suits")
	cluster.flags(f)
	return c
}

// look samples a file if there is one of that name, else a topic, which it returns too.
func look(ctx context.Context, from string, opts kafka.Options) (g sample.Guess, topic string, err error) {
	if info, err := os.Stat(from); err == nil && !info.IsDir() || from == "-" || strings.ContainsAny(from, `/\`) {
		g, err = sample.File(ctx, from, sample.Rows)
		return g, "", err
	}
	if g, err = sample.Topic(ctx, opts, from, sample.Rows, sampleWait); err != nil {
		return sample.Guess{}, "", fmt.Errorf("there is no file %s, and as a topic: %w", from, err)
	}
	return g, from, nil
}
