//go:build faults && unix

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/local"
)

// setup is what a group has for itself, and how it differs from the others.
type setup struct {
	brokers int    // of its own; 0 for the one that groups share
	redis   bool   // one of its own, and not the one that groups share
	members int    // processes; 1 where it is 0
	decode  string // further settings of how records are read
	stream  string // and of the stream
	sinks   string // instead of Redis
}

const configuration = `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, key_prefix: <name>}
instance: "${GONOMALY_INSTANCE:-}"
streams:
  - name: <name>
    topics: [<name>]
    decode: {key: machine, time: {field: ts, unit: ms}, values: [temp]<decode>}
    detectors: [{kind: ewma, half_life: <half_life>}]<stream>
    alert: {false_alarms: 1 per 100 points, cool_down: 10s, topic: <name>.alerts}
sinks: [<sinks>]
`

const (
	partitions = 4
	machines   = 20
	rate       = 40 // records a second
)

// group is the processes of one stream, with whatever feeds them.
type group struct {
	*testing.T
	*world
	name, job string
	dir       string // of its own
	config    string // file
	text      string // in it
	cluster   *local.Cluster
	brokers   []string
	kafka     *local.Kafka
	redis     *local.Redis
	client    *kgo.Client
	members   []*member
	struck    time.Time // when the fault began
	spoil     atomic.Pointer[spoiler]
	takes     atomic.Int64 // nanoseconds that who reads standard output takes for each kilobyte
}

// newGroup starts a group, and returns when all of it is ready.
func (w *world) newGroup(t *testing.T, name string, s setup) *group {
	t.Helper()
	g := &group{T: t, world: w, name: name, job: "gonomaly-" + name, dir: t.TempDir(), kafka: w.kafka, redis: w.redis}
	g.brokers = []string{g.kafka.Address()}
	if s.brokers > 0 {
		g.cluster = startKafka(t, s.brokers)
		g.kafka, g.brokers = g.cluster.Brokers[s.brokers-1], g.cluster.Addresses()
	}
	if s.redis {
		g.redis = local.OwnRedis(t)
	}
	if s.sinks == "" {
		s.sinks = "{kind: redis}"
	}
	g.text = strings.NewReplacer("<brokers>", strings.Join(g.brokers, ", "), "<redis>", g.redis.Address(), "<name>", name,
		"<decode>", s.decode, "<stream>", s.stream, "<sinks>", s.sinks).Replace(configuration)
	g.config = filepath.Join(g.dir, "gonomaly.yaml")
	g.configure("30")
	client, err := kgo.NewClient(kgo.SeedBrokers(g.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	g.client = client
	t.Cleanup(client.Close)
	g.createTopic(s.brokers)
	ctx, cancel := context.WithCancel(context.Background())
	var feeding sync.WaitGroup
	feeding.Go(func() { g.feed(ctx) })
	t.Cleanup(func() {
		cancel()
		feeding.Wait()
	})
	for i := range max(1, s.members) {
		g.members = append(g.members, g.newMember(string(rune('a'+i))))
	}
	g.scrape(g.members...)
	for _, m := range g.members {
		m.start()
	}
	t.Cleanup(func() { _ = w.watch.scrape(g.job, nil) }) // that the processes end is no fault
	g.ready()
	return g
}

// configure writes the configuration with a half-life.
func (g *group) configure(halfLife string) {
	g.Helper()
	g.must(os.WriteFile(g.config, []byte(strings.ReplaceAll(g.text, "<half_life>", halfLife)), 0o600))
}

// scrape has Prometheus know of these processes.
func (g *group) scrape(members ...*member) {
	g.Helper()
	var addresses []string
	for _, m := range members {
		addresses = append(addresses, m.address)
	}
	g.must(g.watch.scrape(g.job, addresses))
}

// ready returns when every process is.
func (g *group) ready() {
	g.Helper()
	for _, m := range g.members {
		g.eventually(m.name+" is ready", 3*time.Minute, func() error {
			says, err := m.get("/-/ready")
			if err == nil && !strings.HasPrefix(says, "ready") {
				err = errors.New(says)
			}
			return err
		})
	}
}

// look keeps what an operator would see now.
func (g *group) look(what string) {
	g.Helper()
	text, told := what+"\n", g.watch.of(g.job)
	for _, key := range slices.Sorted(maps.Keys(told)) {
		text += "\n" + key + ": " + told[key].summary + "\n"
	}
	for _, n := range g.watch.phone.Of(g.job) {
		text += "\n" + n.By + ":\n" + n.Text + "\n"
	}
	m := g.members[0]
	says, err := m.get("/-/ready")
	if err != nil {
		says = err.Error() + "\n"
	}
	text += "\n$ curl -s $GONOMALY/-/ready\n" + says
	ctx, cancel := context.WithTimeout(g.Context(), time.Minute)
	defer cancel()
	out, _ := exec.CommandContext(ctx, g.binary, "doctor", "-c", g.config, "--url", "http://"+m.address).CombinedOutput() // it fails where it finds something
	text += "\n$ gonomaly doctor -c gonomaly.yaml --url http://$GONOMALY\n" + string(out)
	for _, key := range slices.Sorted(maps.Keys(told)) {
		name, _, _ := strings.Cut(key, ",")
		text += "\n" + g.follow(name)
	}
	if err := os.WriteFile(filepath.Join(g.out, g.name+".txt"), []byte(text), 0o600); err != nil {
		g.Error(err)
	}
}

// follow does what the runbook of an alert has one do first, and returns what that shows. Commands of Kafka's are left out where they are not
// installed; one that fails fails because of the fault, for TestLive runs them all on a system that is well.
func (g *group) follow(alert string) (text string) {
	g.Helper()
	page, err := os.ReadFile("../../docs/runbooks/" + alert + ".md")
	g.must(err)
	_, first, _ := strings.Cut(string(page), "## First look\n\n```sh\n")
	first, _, _ = strings.Cut(first, "```")
	for line := range strings.Lines(first) {
		line = strings.TrimSpace(line)
		text += "$ " + line + "\n"
		command, _, _ := strings.Cut(line, " ")
		if _, err := exec.LookPath(command); err != nil && strings.HasPrefix(command, "kafka-") {
			continue
		}
		ctx, cancel := context.WithTimeout(g.Context(), 2*time.Minute)
		bash := exec.CommandContext(ctx, "bash", "-c", line)
		bash.Env = append(os.Environ(), "GONOMALY="+g.members[0].address, "PROMETHEUS=http://"+g.watch.prometheus.Address(),
			"ALERTMANAGER=http://"+g.watch.alertmanager.Address(), "KAFKA_BROKERS="+strings.Join(g.brokers, ","), "REDIS_ADDR="+g.redis.Address(),
			"STREAM="+g.name, "TOPIC="+g.name)
		out, err := bash.CombinedOutput()
		cancel()
		text += string(out)
		if err != nil {
			text += err.Error() + "\n"
		}
	}
	return text
}

func (g *group) say(format string, args ...any) {
	fmt.Printf("%s  %s: %s\n", time.Now().Format(time.TimeOnly), g.job, fmt.Sprintf(format, args...))
}

// must ends the test where something could not be done.
func (g *group) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// eventually polls until a check holds.
func (g *group) eventually(what string, within time.Duration, check func() error) {
	g.Helper()
	var err error
	for until := time.Now().Add(within); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	g.Fatalf("%s: not so after %v: %v", what, within, err)
}
