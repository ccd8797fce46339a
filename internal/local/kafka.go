package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Kafka is a broker of Apache Kafka in KRaft mode.
type Kafka struct {
	server
	format []string // command that prepares its directory
}

// JarsVariable is the environment variable that names the directory with Kafka's jars; make kafka fills one.
const JarsVariable = "KAFKA_JARS"

// Address is host:port.
func (k *Kafka) Address() string { return k.address }

// Start starts it again where it was, after Stop or Kill.
func (k *Kafka) Start(ctx context.Context) error { return k.start(ctx) }

// StartKafka formats a broker's directory and starts the broker. It needs java, and the jars in the directory that JarsVariable names.
func StartKafka(ctx context.Context, dir string) (*Kafka, error) {
	c, err := StartCluster(ctx, dir, ClusterConfig{Brokers: 1})
	if err != nil {
		return nil, err
	}
	return c.Brokers[0], nil
}

// Cluster is the brokers of one Kafka cluster, each of them a controller too.
type Cluster struct{ Brokers []*Kafka }

// ClusterConfig describes a cluster.
type ClusterConfig struct {
	Brokers    int      // with three, all topics have three replicas, two of which must be in sync
	Properties []string // further ones, each name=value
	Heap       int      // of each broker's Java, in MiB; 512 where it is 0

	// Listeners names further ways in, each with a port of its own at every broker. A client that comes in by one is told of the brokers
	// what Advertise says for it, and so stays on it.
	Listeners []string
	Advertise func(broker int, listener, address string) (string, error) // such as the address of a proxy before address
}

// StartCluster formats the brokers' directories and starts them, side by side.
func StartCluster(ctx context.Context, dir string, c ClusterConfig) (*Cluster, error) {
	heap := cmp.Or(c.Heap, 512)
	jars := os.Getenv(JarsVariable)
	if found, err := filepath.Glob(filepath.Join(jars, "kafka_*.jar")); jars == "" || err != nil || len(found) == 0 {
		return nil, fmt.Errorf("%s is %q, want a directory with Kafka's jars: run make kafka, or set KAFKA_BROKERS to use a broker that runs", JarsVariable, jars)
	}
	width := 2 + len(c.Listeners)
	ports, err := FreePorts(width * c.Brokers)
	if err != nil {
		return nil, err
	}
	var voters []string
	for i := range c.Brokers {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[i*width]))
	}
	cluster := &Cluster{}
	for i := range c.Brokers {
		properties, err := c.properties(i, ports[i*width:(i+1)*width], strings.Join(voters, ","))
		if err != nil {
			return nil, err
		}
		own := dir
		if c.Brokers > 1 {
			own = filepath.Join(dir, fmt.Sprintf("broker-%d", i+1))
			if err := os.Mkdir(own, 0o700); err != nil {
				return nil, err
			}
		}
		file := filepath.Join(own, "server.properties")
		if err := os.WriteFile(file, []byte(properties+strings.Join(append(c.Properties, "log.dirs="+filepath.Join(own, "data")), "\n")+"\n"), 0o600); err != nil {
			return nil, err
		}
		logging := filepath.Join(own, "log4j2.properties")
		if err := os.WriteFile(logging, []byte(loggingProperties), 0o600); err != nil {
			return nil, err
		}
		java := []string{"java", fmt.Sprintf("-Xms%dm", heap), fmt.Sprintf("-Xmx%dm", heap), "-Dlog4j2.configurationFile=" + logging, "-cp", filepath.Join(jars, "*")}
		cluster.Brokers = append(cluster.Brokers, &Kafka{
			server: server{
				name: "Kafka", address: address(ports[i*width+1]), log: filepath.Join(own, "broker.log"), command: append(slices.Clone(java), "kafka.Kafka", file),
			},
			format: append(slices.Clone(java), "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", file),
		})
	}
	starting, ctx := errgroup.WithContext(ctx)
	for _, k := range cluster.Brokers {
		starting.Go(func() error {
			format := exec.CommandContext(ctx, k.format[0], k.format[1:]...) //nolint:gosec // fixed
			if out, err := format.CombinedOutput(); err != nil {
				return errors.Join(fmt.Errorf("format Kafka's directory: %w", err), errors.New(string(out)))
			}
			return k.start(ctx)
		})
	}
	if err := starting.Wait(); err != nil {
		return nil, errors.Join(err, cluster.Stop())
	}
	return cluster, nil
}

// Addresses are host:port of each broker.
func (c *Cluster) Addresses() []string {
	var all []string
	for _, k := range c.Brokers {
		all = append(all, k.address)
	}
	return all
}

// Stop ends the brokers: one in order, several at once, for in order the last of them would wait minutes for the others.
func (c *Cluster) Stop() error {
	if len(c.Brokers) == 1 {
		return c.Brokers[0].Stop()
	}
	var err error
	for _, k := range c.Brokers {
		err = errors.Join(err, k.Kill())
	}
	return err
}

// clusterID is any base64 UUID.
const clusterID = "GefknLhvQJuV34blpmr9NA"

// properties of broker i, whose ports are those of the controller, of the brokers among themselves and of the further listeners.
func (c ClusterConfig) properties(i int, ports []int, voters string) (string, error) {
	listeners, advertised := []string{"PLAINTEXT://" + address(ports[1])}, []string{"PLAINTEXT://" + address(ports[1])}
	protocols := "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
	for j, name := range c.Listeners {
		own := address(ports[2+j])
		front, err := c.Advertise(i, name, own)
		if err != nil {
			return "", fmt.Errorf("advertise listener %s of broker %d: %w", name, i+1, err)
		}
		listeners, advertised = append(listeners, name+"://"+own), append(advertised, name+"://"+front)
		protocols += "," + name + ":PLAINTEXT"
	}
	listeners = append(listeners, "CONTROLLER://"+address(ports[0]))
	replicas := min(3, c.Brokers)
	inSync := max(1, replicas-1)
	return fmt.Sprintf(brokerProperties, i+1, voters, strings.Join(listeners, ","), strings.Join(advertised, ","), protocols,
		replicas, inSync, replicas, replicas, inSync, replicas, inSync), nil
}

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// brokerProperties are otherwise the defaults that users have; the abort of timed-out transactions is as the documentation recommends.
const brokerProperties = `process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=%s
advertised.listeners=%s
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=%s
auto.create.topics.enable=false
default.replication.factor=%d
min.insync.replicas=%d
offsets.topic.num.partitions=8
offsets.topic.replication.factor=%d
transaction.state.log.num.partitions=8
transaction.state.log.replication.factor=%d
transaction.state.log.min.isr=%d
share.coordinator.state.topic.replication.factor=%d
share.coordinator.state.topic.min.isr=%d
group.initial.rebalance.delay.ms=0
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
`

// loggingProperties have a broker log to its last line, that of its shutdown.
const loggingProperties = `shutdownHook=disable
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.console.ref=console
`
