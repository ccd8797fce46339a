package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Kafka is a broker of Apache Kafka in KRaft mode.
type Kafka struct{ server }

// JarsVariable is the environment variable that names the directory with Kafka's jars; make kafka fills one.
const JarsVariable = "KAFKA_JARS"

// Address is host:port.
func (k *Kafka) Address() string { return k.address }

// StartKafka formats a broker's directory and starts the broker. It needs java, and the jars in the directory that JarsVariable names.
func StartKafka(ctx context.Context, dir string) (*Kafka, error) {
	jars := os.Getenv(JarsVariable)
	if found, err := filepath.Glob(filepath.Join(jars, "kafka_*.jar")); jars == "" || err != nil || len(found) == 0 {
		return nil, fmt.Errorf("%s is %q, want a directory with Kafka's jars: run make kafka, or set KAFKA_BROKERS to use a broker that runs", JarsVariable, jars)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	properties := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(properties, fmt.Appendf(nil, brokerProperties, ports[1], ports[0], ports[1], ports[0], filepath.Join(dir, "data")), 0o600); err != nil {
		return nil, err
	}
	java := []string{"java", "-Xms512m", "-Xmx512m", "-cp", filepath.Join(jars, "*")}
	format := exec.CommandContext(ctx, java[0], append(java[1:], "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", properties)...) //nolint:gosec // fixed
	if out, err := format.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("format Kafka's directory: %w", err), errors.New(string(out)))
	}
	k := &Kafka{server{
		name: "Kafka", address: fmt.Sprintf("127.0.0.1:%d", ports[0]), log: filepath.Join(dir, "broker.log"),
		command: append(java, "kafka.Kafka", properties),
	}}
	return k, k.start(ctx)
}

// clusterID is any base64 UUID.
const clusterID = "GefknLhvQJuV34blpmr9NA"

// brokerProperties are those of one broker, and otherwise the defaults that users have; the abort of timed-out transactions is as the
// documentation recommends.
const brokerProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%d
listeners=PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d
advertised.listeners=PLAINTEXT://127.0.0.1:%d
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%s
auto.create.topics.enable=false
offsets.topic.num.partitions=8
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
`
