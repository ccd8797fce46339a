//go:build integration && unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// The integration tests drive the real binary against a real Kafka broker and a real Redis. They start both themselves, or use those of
// KAFKA_BROKERS and REDIS_ADDR; where a test has to stop or flush a Redis, it is always one of its own.

var (
	binary  string
	brokers string
)

func TestMain(m *testing.M) {
	code, err := withServers(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withServers(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "gonomaly-integration-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary = filepath.Join(dir, "gonomaly")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build: %w: %s", err, out)
	}
	if brokers = os.Getenv("KAFKA_BROKERS"); brokers == "" {
		k, err := local.StartKafka(context.Background(), dir)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, k.Stop()) }()
		brokers = k.Address()
	}
	return m.Run(), nil
}

// world is the topics, the group and the keys in Redis of one test.
type world struct {
	testing.TB
	name    string // prefix of everything
	dir     string
	brokers string
	opts    kafka.Options
	redis   string   // address
	within  []string // command that runs the service as its argument
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOn(t, brokers)
}

func newWorldOn(t testing.TB, brokers string) *world {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, strings.ToLower(t.Name()))
	opts, err := kafka.Config{Brokers: []string{brokers}}.Options()
	if err != nil {
		t.Fatal(err)
	}
	return &world{TB: t, name: fmt.Sprintf("%s-%d", name, time.Now().UnixNano()), dir: t.TempDir(), brokers: brokers, opts: opts}
}

// withRedis is the Redis of REDIS_ADDR, or one of the test's own.
func (w *world) withRedis() *world {
	w.Helper()
	w.redis = local.RedisFor(w)
	return w
}

// ownRedis starts a Redis that the test may do anything with.
func (w *world) ownRedis() *local.Redis {
	w.Helper()
	r := local.OwnRedis(w)
	w.redis = r.Address()
	return r
}

// redisClient has a client of its own for the test.
func (w *world) redisClient() *redis.Client {
	w.Helper()
	c := redis.NewClient(&redis.Options{Addr: w.redis})
	w.Cleanup(func() { _ = c.Close() })
	return c
}

// file writes a configuration; <name>, <brokers> and <redis> in it stand for the test's own.
func (w *world) file(name, text string) string {
	w.Helper()
	text = strings.NewReplacer("<name>", w.name, "<brokers>", w.brokers, "<redis>", w.redis).Replace(text)
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

func (w *world) command(args ...string) *exec.Cmd {
	c := exec.CommandContext(w.Context(), binary, args...)
	c.Env = append(os.Environ(), "KAFKA_BROKERS="+w.brokers, "REDIS_ADDR="+w.redis)
	return c
}

// gonomaly runs a command to its end, and returns its standard output.
func (w *world) gonomaly(args ...string) string {
	w.Helper()
	out, err := w.command(args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		w.Fatalf("gonomaly %s: %v\n%s%s", strings.Join(args, " "), err, out, exit.Stderr)
	} else if err != nil {
		w.Fatal(err)
	}
	return string(out)
}

// process is a running service.
type process struct {
	w      *world
	cmd    *exec.Cmd
	url    string
	exited chan error

	mu  sync.Mutex
	log []string
}

// run starts the service, and returns when its HTTP port is open.
func (w *world) run(config string, env ...string) *process {
	w.Helper()
	command := append(slices.Clone(w.within), binary, "run", "-c", config, "--listen", "127.0.0.1:0")
	p := &process{w: w, cmd: exec.Command(command[0], command[1:]...), exited: make(chan error, 1)}
	p.cmd.Env = append(append(os.Environ(), "KAFKA_BROKERS="+w.brokers, "REDIS_ADDR="+w.redis), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	listen := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var entry struct{ Msg, Listen string }
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry.Listen != "" {
				listen <- entry.Listen
			}
			p.mu.Lock()
			p.log = append(p.log, lines.Text())
			p.mu.Unlock()
		}
		p.exited <- p.cmd.Wait()
	}()
	w.Cleanup(func() {
		p.kill()
		if w.Failed() {
			w.Logf("the service's log ends so:\n%s", p.tail())
		}
	})
	select {
	case address := <-listen:
		p.url = "http://" + address
	case err := <-p.exited:
		w.Fatalf("the service ended at once: %v\n%s", err, p.tail())
	}
	return p
}

func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.log[max(0, len(p.log)-30):], "\n")
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd.Process.Kill() == nil {
		err := <-p.exited
		p.exited <- err
	}
}

// terminate sends SIGTERM, and returns how long the service took to end, which it must do well.
func (p *process) terminate() time.Duration {
	p.w.Helper()
	took, err := p.interrupt()
	if err != nil {
		p.w.Errorf("SIGTERM ends the service with %v, want exit 0\n%s", err, p.tail())
	}
	return took
}

// interrupt sends SIGTERM, and returns how long the service took to end, and how it ended.
func (p *process) interrupt() (time.Duration, error) {
	p.w.Helper()
	begin := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.w.Fatal(err)
	}
	err := <-p.exited
	p.exited <- err
	return time.Since(begin), err
}

func (p *process) get(path string) (int, string) {
	p.w.Helper()
	resp, err := http.Get(p.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// ready says why the service is not ready.
func (p *process) ready() error {
	if code, body := p.get("/-/ready"); code != http.StatusOK {
		return fmt.Errorf("%d: %s", code, body)
	}
	return nil
}

// metric sums the samples of a metric that have the labels, given as name, value, name, value.
func (p *process) metric(name string, labels ...string) float64 {
	p.w.Helper()
	sum := 0.0
sample:
	for _, m := range p.family(name).Metric {
		has := labelsOf(m)
		for i := 0; i < len(labels); i += 2 {
			if has[labels[i]] != labels[i+1] {
				continue sample
			}
		}
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return sum
}

func labelsOf(m *dto.Metric) map[string]string {
	labels := map[string]string{}
	for _, l := range m.Label {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

// family has the samples of a metric, which must be there.
func (p *process) family(name string) *dto.MetricFamily {
	p.w.Helper()
	family := p.families()[name]
	if family == nil {
		p.w.Fatalf("there is no metric %s", name)
	}
	return family
}

func (p *process) families() map[string]*dto.MetricFamily {
	p.w.Helper()
	_, body := p.get("/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		p.w.Fatalf("metrics: %v", err)
	}
	return families
}

// slow says that something took longer than it may. That fails the test where STRICT is set, as make endure does on a machine that has
// nothing else to do; elsewhere a neighbour may be to blame.
func slow(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("STRICT") != "" {
		t.Errorf(format, args...)
		return
	}
	t.Logf(format+" (allowed, without STRICT)", args...)
}

// eventually polls until a check holds.
func (w *world) eventually(what string, check func() error) {
	w.Helper()
	var err error
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	w.Fatalf("%s: not so: %v", what, err)
}

// caughtUp waits until a group has committed all records of a topic.
func (w *world) caughtUp(group, topic string) {
	w.Helper()
	w.eventually(group+" has caught up", func() error {
		behind, err := kafka.Behind(w.Context(), w.opts, group, topic)
		if err == nil && behind > 0 {
			err = fmt.Errorf("it is %d records behind", behind)
		}
		return err
	})
}

// alerts are those in a topic for a reader of committed records. None may stand there twice.
func (w *world) alerts(topic string) map[string]pipeline.Alert {
	w.Helper()
	records, err := kafka.ReadAll(w.Context(), w.opts, topic)
	if err != nil {
		w.Fatal(err)
	}
	alerts := map[string]pipeline.Alert{}
	for _, r := range records {
		a, err := pipeline.ParseAlert(r.Value)
		if err != nil {
			w.Fatal(err)
		}
		if _, twice := alerts[a.ID]; twice {
			w.Errorf("alert %s stands in %s twice", a.ID, topic)
		}
		alerts[a.ID] = a
	}
	return alerts
}

// same checks that two sets of alerts have the same ids.
func (w *world) same(what string, got, want map[string]pipeline.Alert) {
	w.Helper()
	lost, wrong := 0, 0
	for id := range want {
		if _, ok := got[id]; !ok {
			lost++
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			wrong++
		}
	}
	if lost+wrong > 0 || len(want) == 0 {
		w.Errorf("%s: of %d alerts %d are lost, and %d are wrong", what, len(want), lost, wrong)
	}
}
