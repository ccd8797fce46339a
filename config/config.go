// Package config loads, checks and documents the configuration file.
//
// The structs that the components are made from are the one source of truth: their tags give the JSON Schema, the schema gives the
// checks of a file's keys, types, ranges and choices together with the defaults, and the components' own constructors have the last
// word. Everything that is wrong is reported at once, each with its place in the file and a remedy.
package config

import (
	"errors"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Config is a configuration that has been checked, defaults filled in.
type Config struct {
	Kafka       kafka.Config            `yaml:"kafka" jsonschema_description:"Where Kafka is."`
	Redis       *checkpoint.RedisConfig `yaml:"redis" jsonschema_description:"Where Redis is, for checkpoints and the sink of kind redis. Without it there is none."`
	Instance    string                  `yaml:"instance" jsonschema_description:"Stable name of this process, for static membership and transactional ids. Two processes must not share it. Without it a restart waits for the session to end."`
	Listen      string                  `yaml:"listen" jsonschema:"default=127.0.0.1:9464,minLength=1" jsonschema_description:"Address of the HTTP port for metrics and health."`
	Log         Log                     `yaml:"log" jsonschema_description:"What is logged."`
	Tracing     tracing.Config          `yaml:"tracing" jsonschema_description:"Where the traces of alerts and dead letters go."`
	Checkpoints Checkpoints             `yaml:"checkpoints" jsonschema_description:"Where the state of the detectors is kept."`
	Sinks       []sinks.SinkConfig      `yaml:"sinks" jsonschema_description:"Where alerts go besides the alerts topic."`
	Streams     []Stream                `yaml:"streams" jsonschema:"required,minItems=1" jsonschema_description:"Paths from topics to alerts, each with state and offsets of its own."`
}

// Log says what is logged.
type Log struct {
	Level string `yaml:"level" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,default=info" jsonschema_description:"Lowest level that is logged."`
}

// Stores of checkpoints.
const (
	StoreRedis  = "redis"
	StoreFile   = "file"
	StoreMemory = "memory"
)

// Checkpoints says where state is kept. Store is never empty in a checked configuration.
type Checkpoints struct {
	Store     string        `yaml:"store" jsonschema:"enum=redis,enum=file,enum=memory" jsonschema_description:"Store of the checkpoints. By default redis where redis is configured, else file where a directory is given, else memory: then a restart reads the log again."`
	Directory string        `yaml:"directory" jsonschema_description:"Directory of the file store."`
	Every     time.Duration `yaml:"every" jsonschema:"default=5s" jsonschema_description:"Time between two checkpoints of a partition, > 0, and nine times what one takes where that is longer, up to a minute; a restart folds again what came after the last one."`
}

// Where a stream starts in a topic for which its group has no offset.
const (
	StartEarliest = "earliest"
	StartLatest   = "latest"
)

// Stream is one path from topics to alerts. It is a consumer group of its own.
type Stream struct {
	Name                string   `yaml:"name" jsonschema:"required,pattern=^[a-zA-Z0-9][a-zA-Z0-9._-]*$,maxLength=100" jsonschema_description:"Name of the stream: it stands in alerts, metrics and ids."`
	Topics              []string `yaml:"topics" jsonschema:"required,minItems=1,uniqueItems=true,pattern=^[a-zA-Z0-9._-]+$,maxLength=249" jsonschema_description:"Topics to read."`
	Group               string   `yaml:"group" jsonschema:"maxLength=249" jsonschema_description:"Consumer group, one for each stream; by default gonomaly. and the name of the stream."`
	Start               string   `yaml:"start" jsonschema:"enum=earliest,enum=latest,default=earliest" jsonschema_description:"Where to begin in a partition for which the group has no offset."`
	sources.KafkaConfig `yaml:",inline"`
	pipeline.Config     `yaml:",inline"`
}

// Check returns what is out of range, as *invalid.Value, or several joined.
func (s *Stream) Check() error {
	var err error
	if s.WarmUp > 0 && s.Start != StartLatest {
		err = &invalid.Value{Name: "warm_up", Value: s.WarmUp, Want: "0s, or start: latest beside it: a group that starts at a topic's first record has no history before it"}
	}
	return errors.Join(err, s.KafkaConfig.Check(), s.Config.Check())
}

// defaults are the values of a configuration that the tags do not give.
func defaults() Config { return Config{Kafka: kafka.Config{Brokers: []string{"localhost:9092"}}} }
