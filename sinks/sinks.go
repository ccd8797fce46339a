// Package sinks carries alerts from the alerts topics to where people and machines look at them. A Watermill router gives each sink a
// handler for each topic, fed by a consumer group of its own: a sink that is down is retried without end and its lag grows, while
// detection and the other sinks go on. Only an alert that a sink refuses is set aside, in a dead-letter topic.
package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline"
)

// Delivery is an alert on its way to a sink, and its place in the alerts topic.
type Delivery struct {
	Alert     pipeline.Alert
	Data      []byte // the CloudEvent as it stands in the topic
	Partition pipeline.Partition
	Offset    int64

	// After is the offset up to which the sink has taken everything of the partition, or -1 where the topic cannot be read again.
	After int64
}

// Sink takes alerts. Those of one partition come one after the other, as many at a time as wait; those of different partitions at the same
// time. A sink that holds something open is an io.Closer.
type Sink interface {
	// Send makes ds durable in their order, and returns how many of them are, also those that were before: all where the error is nil.
	// A *Refused says that the next one never will be; a *Behind, that the sink has lost what it once took; any other error is worth a
	// retry with those that are left. It keeps nothing of ds, which are of one partition, and at least one.
	Send(ctx context.Context, ds []*Delivery) (n int, err error)
}

// Positioned is a Sink that stores, as one with the alerts, its position in the alerts topic. It is read from there.
type Positioned interface {
	Sink

	// Position returns the next offset of p that the sink wants, 0 where it has none.
	Position(ctx context.Context, p pipeline.Partition) (int64, error)
}

// Refused names an alert that the sink will never take.
type Refused struct {
	ID     string
	Reason string
}

func (e *Refused) Error() string { return fmt.Sprintf("alert %s is refused: %s", e.ID, e.Reason) }

// Behind says that a Positioned sink stands before what it once confirmed: its store has lost writes. Reading goes back to there.
type Behind struct {
	Partition        pipeline.Partition
	Stored, Expected int64
}

func (e *Behind) Error() string {
	return fmt.Sprintf("%v stands at %d after it had reached %d: writes were lost", e.Partition, e.Stored, e.Expected)
}

// Env is what the process has that sinks are made of.
type Env struct {
	Redis     redis.UniversalClient // nil without Redis
	KeyPrefix string                // of all keys in Redis
	Stdout    io.Writer
}

// Config makes a Sink of one kind. It is decoded from YAML over its defaults.
type Config interface {
	// Check returns what is out of range, as *invalid.Value, or several joined. It opens nothing.
	Check() error

	// New returns the sink, which begins to connect when it is used.
	New(env Env) (Sink, error)
}

// Kinds maps the name of each kind, as a configuration spells it, to a function that returns its defaults. Adding a sink is its file,
// its line here, and its tests.
var Kinds = map[string]func() Config{
	"file": func() Config { return &FileConfig{Format: formatJSON} },
	"redis": func() Config {
		return &RedisConfig{Stream: "alerts", Incidents: "incidents", Positions: "positions", MaxLength: 100_000}
	},
	"stdout": func() Config { return &StdoutConfig{Format: formatJSON} },
}

// SinkConfig is one sink: its name, its kind, and the kind's own settings beside them.
type SinkConfig struct {
	Name   string `yaml:"name" jsonschema_description:"Name of the sink, in metrics and in its consumer group; by default its kind."`
	Kind   string `yaml:"kind" jsonschema:"required" jsonschema_description:"Kind of sink."`
	Params Config `yaml:"-"` // of Kinds[Kind]
}

// ID is the name, or the kind where there is none. It must be unique among a configuration's sinks.
func (c *SinkConfig) ID() string {
	if c.Name != "" {
		return c.Name
	}
	return c.Kind
}

// Check returns what is out of range, as *invalid.Value, or several joined.
func (c *SinkConfig) Check() error {
	if c.Params == nil {
		return &invalid.Value{Name: "kind", Value: c.Kind, Want: "one of file, redis, stdout"}
	}
	if !legalName(c.ID()) {
		return errors.Join(&invalid.Value{Name: "name", Value: c.Name, Want: "letters, digits, . _ -"}, c.Params.Check())
	}
	return c.Params.Check()
}

// legalName says whether a text can be part of a topic's name.
func legalName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-' {
			return false
		}
	}
	return s != ""
}

// deadLetterTopic is where the alerts of topic go that a sink refuses.
func deadLetterTopic(topic, sink string) string { return topic + "." + sink + ".dead-letters" }

// Group is a sink's consumer group for the alerts of the stream whose own group is given.
func Group(stream, sink string) string { return stream + ".sink." + sink }
