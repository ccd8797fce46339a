package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// cluster is where the commands find Kafka that need no configuration.
type cluster struct {
	brokers []string
	file    string
}

func (k *cluster) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&k.brokers, "brokers", defaultBrokers(), "brokers, host:port")
	f.StringVar(&k.file, "kafka", "", "`FILE` with the section kafka of a configuration, instead of --brokers: for TLS and passwords")
}

// options are those of a client, and the section that they are from, if they are from a file.
func (k *cluster) options(c *cobra.Command) (opts kafka.Options, section string, err error) {
	if k.file == "" {
		if opts, err = (kafka.Config{Brokers: k.brokers}).Options(); err != nil {
			return nil, "", usageError{fmt.Errorf("--%w", err)}
		}
		return opts, "", nil
	}
	if c.Flags().Changed("brokers") {
		return nil, "", usageError{errors.New("--kafka says where the brokers are: leave --brokers out")}
	}
	cfg, section, err := config.LoadKafka(k.file)
	if err != nil {
		return nil, "", err
	}
	opts, err = cfg.Options()
	return opts, section, err
}

// defaultBrokers are those of KAFKA_BROKERS, or the local one.
func defaultBrokers() []string {
	if b := os.Getenv("KAFKA_BROKERS"); b != "" {
		return strings.Split(b, ",")
	}
	return []string{"localhost:9092"}
}
