//go:build faults && unix

package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gonomaly/gonomaly/internal/local"
)

// world is what all groups share: who watches them, and the servers of those that leave these alone.
type world struct {
	dir, out string // of logs and data; and of what is kept: the table, and what was seen of each fault
	binary   string
	watch    *watch
	kafka    *local.Kafka
	redis    *local.Redis

	mu    sync.Mutex
	ports map[int]bool // given away
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), out: os.Getenv("FAULTS_OUT"), ports: map[int]bool{}}
	if w.out == "" {
		w.out = filepath.Join(w.dir, "out")
	}
	if err := os.MkdirAll(w.out, 0o700); err != nil {
		t.Fatal(err)
	}
	w.binary = filepath.Join(w.dir, "gonomaly")
	if out, err := exec.Command("go", "build", "-o", w.binary, "../../cmd/gonomaly").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	w.watch = startWatch(t, w.dir)
	ctx, cancel := context.WithCancel(context.Background())
	var looking sync.WaitGroup
	looking.Go(func() { w.watch.run(ctx) })
	t.Cleanup(func() {
		cancel()
		looking.Wait()
	})
	w.kafka, w.redis = startKafka(t, 1).Brokers[0], local.OwnRedis(t)
	return w
}

func startKafka(t *testing.T, brokers int) *local.Cluster {
	t.Helper()
	c, err := local.StartCluster(t.Context(), t.TempDir(), local.ClusterConfig{Brokers: brokers, Heap: 256})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	return c
}

// address is one that no other process of the run has, and which stays a process's own while that is down.
func (w *world) address(t *testing.T) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		ports, err := local.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		if !w.ports[ports[0]] {
			w.ports[ports[0]] = true
			return fmt.Sprintf("127.0.0.1:%d", ports[0])
		}
	}
}

// setup is what a group has for itself, and how it differs from the others.
type setup struct {
	brokers int    // of its own; 0 to use that of all
	redis   bool   // of its own
	members int    // processes; 1 where it is 0
	decode  string // further settings of the stream
	window  string
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
    detectors: [{kind: ewma, half_life: <half_life>}]<window>
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
	spoil     atomic.Pointer[spoiler]
	takes     atomic.Int64 // nanoseconds that who reads standard output takes for each kilobyte
}

// spoiler makes another record of one that a machine sends.
type spoiler func(machine int, now time.Time) (value string, spoilt bool)

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
		"<decode>", s.decode, "<window>", s.window, "<sinks>", s.sinks).Replace(configuration)
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
	if err := os.WriteFile(g.config, []byte(strings.ReplaceAll(g.text, "<half_life>", halfLife)), 0o600); err != nil {
		g.Fatal(err)
	}
}

// createTopic has the last broker alone have partition 0, and the others the rest: of three, one can be taken away with a single partition.
func (g *group) createTopic(brokers int) {
	g.Helper()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = g.name, -1, -1
	for i := range int32(partitions) {
		p := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		p.Partition, p.Replicas = i, []int32{1}
		if i == 0 && brokers > 0 {
			p.Replicas = []int32{int32(brokers)}
		}
		t.ReplicaAssignment = append(t.ReplicaAssignment, p)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.Topics = 20_000, append(req.Topics, t)
	g.eventually("the topic is made", time.Minute, func() error {
		resp, err := req.RequestWith(g.Context(), g.client)
		if err == nil && resp.Topics[0].ErrorCode != 0 {
			err = fmt.Errorf("create %s: error %d", g.name, resp.Topics[0].ErrorCode)
		}
		return err
	})
}

// feed has the machines report in turn, each about a level of its own; one report in 200 is far off. What cannot be written is lost.
func (g *group) feed(ctx context.Context) {
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		machine, now := n%machines, time.Now()
		temp := 20 + float64(n*7919%1000)/500
		if n%199 == 0 {
			temp = 60
		}
		value := report(machine, now, temp)
		if spoil := g.spoil.Load(); spoil != nil {
			if other, spoilt := (*spoil)(machine, now); spoilt {
				value = other
			}
		}
		g.client.TryProduce(ctx, &kgo.Record{Topic: g.name, Partition: int32(machine % partitions), Value: []byte(value)}, nil)
	}
}

func report(machine int, at time.Time, temp float64) string {
	return fmt.Sprintf(`{"machine":"m-%02d","ts":%d,"temp":%.3f}`, machine, at.UnixMilli(), temp)
}

// send writes a record and waits until it stands in the log.
func (g *group) send(topic, value string) {
	g.Helper()
	if err := g.client.ProduceSync(g.Context(), &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
		g.Fatal(err)
	}
}

// deleteAll deletes all records that there are.
func (g *group) deleteAll() {
	g.Helper()
	admin := kadm.NewClient(g.client)
	ends, err := admin.ListEndOffsets(g.Context(), g.name)
	if err == nil {
		_, err = admin.DeleteRecords(g.Context(), ends.Offsets())
	}
	if err != nil {
		g.Fatal(err)
	}
}

// scrape has Prometheus know of these processes.
func (g *group) scrape(members ...*member) {
	g.Helper()
	var addresses []string
	for _, m := range members {
		addresses = append(addresses, m.address)
	}
	if err := g.watch.scrape(g.job, addresses); err != nil {
		g.Fatal(err)
	}
}

// ready returns when every process is.
func (g *group) ready() {
	g.Helper()
	for _, m := range g.members {
		g.eventually(m.name+" is ready", 3*time.Minute, func() error {
			says, err := m.get("/-/ready")
			if err == nil && !strings.HasPrefix(says, "ready") {
				err = fmt.Errorf("%s", says)
			}
			return err
		})
	}
}

// look keeps what an operator would see now.
func (g *group) look(what string) {
	g.Helper()
	text := what + "\n"
	for key, s := range g.watch.of(g.job) {
		text += "\n" + key + ": " + s.summary + "\n"
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
	if err := os.WriteFile(filepath.Join(g.out, g.name+".txt"), []byte(text), 0o600); err != nil {
		g.Error(err)
	}
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

// member is a process of a group, and after it its successors.
type member struct {
	g       *group
	name    string
	address string
	cmd     *exec.Cmd
}

func (g *group) newMember(name string) *member {
	g.Helper()
	return &member{g: g, name: name, address: g.address(g.T)}
}

// start starts the process, whose log is appended to a file.
func (m *member) start() {
	m.g.Helper()
	log, err := os.OpenFile(filepath.Join(m.g.out, m.g.name+"-"+m.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	m.g.must(err)
	defer log.Close() //nolint:errcheck // the process has its own handle
	stdout, written, err := os.Pipe()
	m.g.must(err)
	defer written.Close() //nolint:errcheck // the process has its own handle
	m.cmd = exec.Command(m.g.binary, "run", "-c", m.g.config, "--listen", m.address)
	m.cmd.Env = append(os.Environ(), "GONOMALY_INSTANCE="+m.g.name+"-"+m.name)
	m.cmd.Stdout, m.cmd.Stderr = written, log
	cmd := m.cmd
	m.g.must(cmd.Start())
	go func() {
		for some := make([]byte, 1<<10); ; {
			if _, err := io.ReadFull(stdout, some); err != nil {
				return
			}
			time.Sleep(time.Duration(m.g.takes.Load()))
		}
	}()
	m.g.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = stdout.Close()
	})
}

// end sends a signal that ends the process, and waits for that.
func (m *member) end(s os.Signal) {
	m.g.Helper()
	m.signal(s)
	if err := m.cmd.Wait(); err != nil && s == syscall.SIGTERM {
		m.g.Errorf("SIGTERM ends %s with %v, want exit 0", m.name, err)
	}
}

func (m *member) signal(s os.Signal) {
	m.g.Helper()
	m.g.must(m.cmd.Process.Signal(s))
}

func (m *member) get(path string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + m.address + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func (m *member) reload() {
	m.g.Helper()
	resp, err := http.Post("http://"+m.address+"/-/reload", "", nil)
	m.g.must(err)
	m.g.must(resp.Body.Close())
}
