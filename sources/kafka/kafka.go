// Package kafka is what all Kafka clients of the process have in common: brokers, TLS, SASL, bounds, logs and metrics.
package kafka

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/internal/trust"
)

// Config says how to reach a cluster.
type Config struct {
	Brokers  []string   `yaml:"brokers" jsonschema:"required,minItems=1" jsonschema_description:"Addresses host:port of some of the brokers; one entry may hold several with commas between them."`
	ClientID string     `yaml:"client_id" jsonschema:"default=gonomaly" jsonschema_description:"Name of this client in the brokers' logs and quotas."`
	TLS      trust.TLS  `yaml:"tls" jsonschema_description:"TLS to the brokers."`
	SASL     SASLConfig `yaml:"sasl" jsonschema_description:"Authentication at the brokers."`

	DialTimeout   time.Duration `yaml:"dial_timeout" jsonschema:"default=5s" jsonschema_description:"How long a connection to a broker may take to open, > 0."`
	MaxBatchBytes int           `yaml:"max_batch_bytes" jsonschema:"minimum=1048576,maximum=1073741824,default=67108864" jsonschema_description:"Bytes that a batch of records may decompress to; a larger one is stepped over, and counted."`
}

// What zero stands for in a Config, and the bounds of MaxBatchBytes.
const (
	defaultDialTimeout = 5 * time.Second
	defaultMaxBatch    = 64 << 20
	minMaxBatch        = 1 << 20
	maxMaxBatch        = 1 << 30
)

// maxResponse bounds one answer of a broker, in bytes. A fetch asks for less, but a broker sends a batch whole.
const maxResponse = 64 << 20

// Options are what a client is made with, for callers that do not name the client's library.
type Options = []kgo.Opt

// SASLConfig configures authentication.
type SASLConfig struct {
	Mechanism string       `yaml:"mechanism" jsonschema:"enum=plain,enum=scram-sha-256,enum=scram-sha-512" jsonschema_description:"SASL mechanism; none means no authentication."`
	Username  string       `yaml:"username" jsonschema_description:"User name."`
	Password  trust.Secret `yaml:"password" jsonschema_description:"Password; best given as a variable, such as ${KAFKA_PASSWORD:?}."`
}

// SASL mechanisms.
const (
	mechanismPlain  = "plain"
	mechanismSHA256 = "scram-sha-256"
	mechanismSHA512 = "scram-sha-512"
)

// Check returns what is out of range, as *invalid.Value, or several joined. It opens nothing.
func (c Config) Check() error {
	var errs []error
	if len(c.seeds()) == 0 {
		errs = append(errs, &invalid.Value{Name: "brokers", Value: "empty", Want: "at least one host:port"})
	}
	for i, b := range c.Brokers {
		for one := range strings.SplitSeq(b, ",") {
			if host, port, err := net.SplitHostPort(strings.TrimSpace(one)); err != nil || host == "" || port == "" {
				errs = append(errs, &invalid.Value{Name: fmt.Sprintf("brokers[%d]", i), Value: one, Want: "host:port, such as localhost:9092"})
			}
		}
	}
	errs = append(errs, c.TLS.Check())
	if c.DialTimeout < 0 {
		errs = append(errs, &invalid.Value{Name: "dial_timeout", Value: c.DialTimeout, Want: "> 0"})
	}
	if n := c.MaxBatchBytes; n != 0 && (n < minMaxBatch || n > maxMaxBatch) {
		errs = append(errs, &invalid.Value{Name: "max_batch_bytes", Value: n, Want: fmt.Sprintf("%d to %d", minMaxBatch, maxMaxBatch)})
	}
	switch c.SASL.Mechanism {
	case "":
		if c.SASL.Username != "" || c.SASL.Password != "" {
			errs = append(errs, &invalid.Value{Name: "sasl.mechanism", Value: "empty", Want: "plain, scram-sha-256 or scram-sha-512 with a user name"})
		}
	case mechanismPlain, mechanismSHA256, mechanismSHA512:
		if c.SASL.Username == "" {
			errs = append(errs, &invalid.Value{Name: "sasl.username", Value: "", Want: "a user name and a password"})
		}
		if c.SASL.Password == "" {
			errs = append(errs, &invalid.Value{Name: "sasl.password", Value: "", Want: "a user name and a password"})
		}
	default:
		errs = append(errs, &invalid.Value{Name: "sasl.mechanism", Value: c.SASL.Mechanism, Want: "plain, scram-sha-256 or scram-sha-512"})
	}
	return errors.Join(errs...)
}

func (c Config) seeds() []string {
	var seeds []string
	for _, b := range c.Brokers {
		for one := range strings.SplitSeq(b, ",") {
			if one = strings.TrimSpace(one); one != "" {
				seeds = append(seeds, one)
			}
		}
	}
	return seeds
}

// Options returns what a client needs to reach the cluster. A zero ClientID, DialTimeout or MaxBatchBytes stands for its default.
func (c Config) Options() (Options, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	opts := Options{
		kgo.SeedBrokers(c.seeds()...), kgo.ClientID(cmp.Or(c.ClientID, "gonomaly")), kgo.DialTimeout(cmp.Or(c.DialTimeout, defaultDialTimeout)),
		kgo.MaxDecompressBatchBytes(cmp.Or(c.MaxBatchBytes, defaultMaxBatch)), kgo.BrokerMaxReadBytes(maxResponse),
	}
	if c.TLS.Enabled {
		t, err := c.TLS.Client()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	user, password := c.SASL.Username, string(c.SASL.Password)
	switch c.SASL.Mechanism {
	case mechanismPlain:
		opts = append(opts, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
	case mechanismSHA256:
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()))
	case mechanismSHA512:
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
	}
	return opts, nil
}
