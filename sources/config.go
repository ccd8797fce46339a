package sources

import (
	"cmp"
	"errors"
	"time"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// What is promised of a stream's alerts in Kafka.
const (
	ExactlyOnce = "exactly-once"
	AtLeastOnce = "at-least-once"
)

// Protocols of a consumer group.
const (
	Classic  = "classic"
	Consumer = "consumer" // KIP-848
)

// Bounds of KafkaConfig.CommitEvery. Below it most of the work is committing; above it a broker would abort before we commit.
const (
	minCommitEvery = 20 * time.Millisecond
	maxCommitEvery = 5 * time.Second
)

// KafkaConfig says how a stream takes part in Kafka's protocols. Detectors and alerts do not depend on it.
type KafkaConfig struct {
	Delivery      string        `yaml:"delivery" jsonschema:"enum=exactly-once,enum=at-least-once,default=exactly-once" jsonschema_description:"exactly-once writes alerts, dead letters and offsets in one transaction. at-least-once writes first and commits the offsets then, without transactions: after a failure alerts may repeat, with the same ids."`
	CommitEvery   time.Duration `yaml:"commit_every" jsonschema:"default=200ms" jsonschema_description:"Time between two commits, 20ms to 5s: half of it is what an alert waits on average; each costs the brokers some requests."`
	Rebuild       time.Duration `yaml:"rebuild" jsonschema:"default=0s" jsonschema_description:"Where a partition's state is lost, it is rebuilt from so much of the log before the committed offset, in the time of the records, for example 14d; series that take longer to warm up warm up again. 0s is all that the topic has. With --input nothing is rebuilt."`
	WarmUp        time.Duration `yaml:"warm_up" jsonschema:"default=0s" jsonschema_description:"With start: latest, a partition for which the group has no offset learns so much of the log before its end, in the time of the records, for example 14d, and alerts from the end on. 0s begins without history."`
	GroupProtocol string        `yaml:"group_protocol" jsonschema:"enum=classic,enum=consumer,default=classic" jsonschema_description:"Protocol of the consumer group. consumer is KIP-848, which wants brokers of Kafka 4.3 or newer; there the brokers set the session's length, 45 s by default, and an instance that was killed waits for its end."`
	Probe         *ProbeConfig  `yaml:"probe" jsonschema_description:"A heartbeat: each instance writes a small marked record into the stream's topics now and then, which goes the way of all records, and sees whether the answer to it comes out of the alerts topic, and when. Without it nothing is ever written to these topics; it needs the right to. Other readers tell such records by their key and header gonomaly.probe. With --input nothing is probed."`
}

// ProbeConfig says how a stream is probed. Of the zero one's fields each stands for its default.
type ProbeConfig struct {
	Every      time.Duration `yaml:"every" jsonschema:"default=10s" jsonschema_description:"Time between two rounds of probes, 1s to 5m."`
	Partitions int           `yaml:"partitions" jsonschema:"minimum=0,default=0" jsonschema_description:"How many partitions of each topic get a probe in one round, one after the other in turn; 0 is all of them."`
	Timeout    time.Duration `yaml:"timeout" jsonschema:"default=1m" jsonschema_description:"A probe that has not come back after so long is lost, 10s to 1h."`
}

// Bounds of a ProbeConfig. Probes stand in somebody's topic, so there are few of them; a commit that takes its time loses none.
const (
	minProbeEvery   = time.Second
	maxProbeEvery   = 5 * time.Minute
	minProbeTimeout = 10 * time.Second
	maxProbeTimeout = time.Hour
)

// orDefault has the defaults for what is not set.
func (c *ProbeConfig) orDefault() *ProbeConfig {
	return &ProbeConfig{Every: cmp.Or(c.Every, 10*time.Second), Partitions: c.Partitions, Timeout: cmp.Or(c.Timeout, time.Minute)}
}

func (c *ProbeConfig) check() error {
	var errs []error
	if c.Every < minProbeEvery || c.Every > maxProbeEvery {
		errs = append(errs, &invalid.Value{Name: "probe.every", Value: c.Every, Want: "1s to 5m"})
	}
	if c.Partitions < 0 {
		errs = append(errs, &invalid.Value{Name: "probe.partitions", Value: c.Partitions, Want: "≥ 0"})
	}
	if c.Timeout < minProbeTimeout || c.Timeout > maxProbeTimeout {
		errs = append(errs, &invalid.Value{Name: "probe.timeout", Value: c.Timeout, Want: "10s to 1h"})
	}
	return errors.Join(errs...)
}

// DefaultKafka is what stands for keys that are not given.
func DefaultKafka() KafkaConfig {
	return KafkaConfig{Delivery: ExactlyOnce, CommitEvery: 200 * time.Millisecond, GroupProtocol: Classic}
}

// Check returns what is out of range, as *invalid.Value, or several joined.
func (c KafkaConfig) Check() error {
	var errs []error
	if c.Delivery != ExactlyOnce && c.Delivery != AtLeastOnce {
		errs = append(errs, &invalid.Value{Name: "delivery", Value: c.Delivery, Want: "one of " + ExactlyOnce + ", " + AtLeastOnce})
	}
	if c.CommitEvery < minCommitEvery || c.CommitEvery > maxCommitEvery {
		errs = append(errs, &invalid.Value{Name: "commit_every", Value: c.CommitEvery, Want: minCommitEvery.String() + " to " + maxCommitEvery.String()})
	}
	if c.Rebuild < 0 {
		errs = append(errs, &invalid.Value{Name: "rebuild", Value: c.Rebuild, Want: "≥ 0s"})
	}
	if c.WarmUp < 0 {
		errs = append(errs, &invalid.Value{Name: "warm_up", Value: c.WarmUp, Want: "≥ 0s"})
	}
	if c.GroupProtocol != Classic && c.GroupProtocol != Consumer {
		errs = append(errs, &invalid.Value{Name: "group_protocol", Value: c.GroupProtocol, Want: "one of " + Classic + ", " + Consumer})
	}
	if c.Probe != nil {
		errs = append(errs, c.Probe.check())
	}
	return errors.Join(errs...)
}
