//go:build integration && unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/internal/tracing/collector"
)

// watched is the configuration of the service that Prometheus watches: small enough to be full soon, so that what happens then is seen.
const watched = `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>}
checkpoints: {every: 1s}
tracing: {endpoint: <collector>}
streams:
  - name: machines
    topics: [machines]
    decode: {key: machine, time: {field: ts, unit: ms}, max_ahead: 17520h, values: [temp, pressure, rpm, vibration, load]}
    detectors: [{kind: ewma, half_life: 30}]
    drift: [{kind: adwin, on: scores}]
    max_series: 60
    probe: {every: 1s, timeout: 10s}
    alert: {false_alarms: 1 per 1000 points, cool_down: 10m, topic: machines.alerts}
sinks: [{kind: redis}]
`

// needsFault are series that come with a fault, or with a setting, that this test does not bring about.
var needsFault = map[string]string{
	`gonomaly_tls_certificate_not_after_timestamp_seconds`: "TLS is off",
	`gonomaly_series_evicted_total{reason="bound"}`:        "no key that comes more often than those held asks for room",
	`gonomaly_series_evicted_total{job`:                    "no series is idle for long enough",
	`gonomaly_records_missing`:                             "nothing is missed before a day has been seen",
	`outcome!="committed"`:                                 "no transaction fails; whether one is under way when the broker stops is chance",
	`gonomaly_kafka_client_read_errors_total`:              "how a connection ends when the broker stops is chance",
	`gonomaly_kafka_client_write_errors_total`:             "how a connection ends when the broker stops is chance",
}

// vectors are the series that an alert is about: one that does not fire has no samples, so its parts are asked for instead.
func vectors(expr string) []string {
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		panic(err) // TestNames parses all
	}
	var all []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			bare := *s
			bare.OriginalOffset, bare.Offset = 0, 0
			all = append(all, bare.String())
		}
		return nil
	})
	return all
}

// ask sends a query to Prometheus and returns how many series it has.
func ask(t *testing.T, at, query string) int {
	t.Helper()
	resp, err := http.Get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != "success" {
		t.Errorf("%s: %s", query, answer.Error)
	}
	return len(answer.Data.Result)
}

// A real Prometheus scrapes a real run under load and faults: every panel's query returns data at least once, and every series that a rule asks for
// is there.
func TestLive(t *testing.T) {
	l := newLive(t)
	grafana := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$job", ".+", "$instance", ".+", "$stream", ".+")
	open := map[string]string{} // what has returned nothing so far: query by where it is
	for _, b := range boards {
		for _, r := range b.rows {
			for _, p := range r.panels {
				for i, q := range p.queries {
					open[fmt.Sprintf("%s: %s, query %d", b.title, p.title, i)] = grafana.Replace(q.promQL())
				}
			}
		}
	}
	for _, r := range rules(t) {
		if r.Record != "" && !strings.Contains(r.Expr, " offset ") { // which is about what has been a day or a week before
			open[r.name()] = r.Expr
			continue
		}
		for _, v := range vectors(r.Expr) {
			open[r.name()+": "+v] = v
		}
	}
	total := len(open)
	for until := time.Now().Add(3 * time.Minute); len(open) > 0 && time.Now().Before(until); time.Sleep(2 * time.Second) {
		l.trouble()
		for where, query := range open {
			if ask(t, l.prometheus.Address(), query) > 0 {
				delete(open, where)
			}
		}
	}
	for _, where := range slices.Sorted(maps.Keys(open)) {
		excused := false
		for name, why := range needsFault {
			if strings.Contains(open[where], name) {
				t.Logf("returns nothing, because %s: %s", why, where)
				excused = true
			}
		}
		if !excused {
			t.Errorf("returns nothing: %s\n\t%s", where, open[where])
		}
	}
	if ask(t, l.prometheus.Address(), `max_over_time(gonomaly_trace_spans_total{outcome="failed"}[10m]) > 0`) == 0 {
		t.Error("no span was lost although the collector refused them")
	}
	t.Logf("%d of %d queries returned data", total-len(open), total)
	l.runbooks()
}

// runbooks runs each command of the runbooks; those of Kafka where they are installed.
func (l *live) runbooks() {
	l.Helper()
	files, err := filepath.Glob(root + "docs/runbooks/*.md")
	if err != nil {
		l.Fatal(err)
	}
	run, left := 0, 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			l.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
			for line := range strings.SplitSeq(strings.TrimSpace(string(block[1])), "\n") {
				command, _, _ := strings.Cut(line, " ")
				if command == "export" {
					continue
				}
				if _, err := exec.LookPath(command); err != nil && strings.HasPrefix(command, "kafka-") {
					left++
					continue
				}
				bash := exec.CommandContext(l.Context(), "bash", "-c", line)
				bash.Env = append(os.Environ(), "GONOMALY="+l.address, "PROMETHEUS=http://"+l.prometheus.Address(), "ALERTMANAGER=http://"+l.alertmanager.Address(),
					"KAFKA_BROKERS="+l.kafka.Address(), "REDIS_ADDR="+l.redis.Address(), "STREAM=machines", "TOPIC=machines",
					"PATH="+filepath.Dir(l.run[0])+":"+os.Getenv("PATH"))
				if out, err := bash.CombinedOutput(); err != nil {
					l.Errorf("%s: %s: %v\n%s", filepath.Base(f), line, err, out)
				}
				run++
			}
		}
	}
	l.Logf("%d commands of the runbooks were run; %d are of Kafka's tools, which are not here", run, left)
}

// live is the service under load, and the Prometheus that scrapes it.
type live struct {
	*testing.T
	kafka        *local.Kafka
	redis        *local.Redis
	prometheus   *local.Prometheus
	alertmanager *local.Prometheus
	collector    *collector.Collector // of traces
	client       *kgo.Client
	run          []string // command of the service
	address      string   // where it answers
	service      *exec.Cmd
	step         int
}

func newLive(t *testing.T) *live {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "gonomaly")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/gonomaly").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	kafka, err := local.StartKafka(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Stop() })
	l := &live{T: t, kafka: kafka, redis: local.OwnRedis(t), collector: collector.Start(t)}
	if l.client, err = kgo.NewClient(kgo.SeedBrokers(kafka.Address())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.client.Close)
	l.start(binary, "produce", "--brokers", kafka.Address(), "--topic", "machines", "--rate", "500", "--keys", "100", "--anomalies", "20", "--for", "10m")

	file := filepath.Join(dir, "gonomaly.yaml")
	text := strings.NewReplacer("<brokers>", kafka.Address(), "<redis>", l.redis.Address(), "<collector>", l.collector.URL).Replace(watched)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ports, err := local.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	l.address = fmt.Sprintf("127.0.0.1:%d", ports[0])
	l.run = []string{binary, "run", "-c", file, "--listen", l.address}
	l.service = l.start(l.run...)

	own := t.TempDir() // of Prometheus
	judged, err := os.ReadFile(root + "config/monitoring/alert_rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	sooner := strings.Replace(string(judged), "interval: 30s", "interval: 2s", 1)
	if err := os.WriteFile(filepath.Join(own, "alert_rules.yml"), []byte(sooner), 0o600); err != nil {
		t.Fatal(err)
	}
	l.prometheus, err = local.StartPrometheus(t.Context(), own, fmt.Sprintf(
		"global: {scrape_interval: 1s, evaluation_interval: 2s}\nrule_files: [alert_rules.yml]\nscrape_configs: [{job_name: gonomaly, static_configs: [{targets: [%q]}]}]\n", l.address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.prometheus.Stop() })
	l.alertmanager, err = local.StartAlertmanager(t.Context(), t.TempDir(), "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.alertmanager.Stop() })
	return l
}

// start runs a command until the test ends.
func (l *live) start(command ...string) *exec.Cmd {
	l.Helper()
	c := exec.Command(command[0], command[1:]...)
	if err := c.Start(); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	return c
}

// trouble brings about, step by step, what has nothing to show on a quiet day.
func (l *live) trouble() {
	l.Helper()
	l.step++
	l.client.Produce(context.Background(), &kgo.Record{Topic: "machines", Value: []byte("not JSON")}, nil) // a dead letter
	var err error
	switch l.step {
	case 10:
		err = l.redis.Stop()
	case 15:
		err = l.redis.Start(l.Context())
	case 18:
		l.collector.Answer(http.StatusForbidden)
	case 22:
		l.collector.Answer(http.StatusOK)
	case 25:
		err = l.kafka.Stop()
	case 28:
		err = l.kafka.Start(l.Context())
	case 40, 55: // with its checkpoints, and then without
		_ = l.service.Process.Kill()
		_ = l.service.Wait()
		if l.step == 55 {
			out, failed := exec.Command("redis-cli", "-u", "redis://"+l.redis.Address(), "flushall").CombinedOutput()
			if failed != nil {
				l.Fatalf("%v: %s", failed, out)
			}
		}
		l.service = l.start(l.run...)
	}
	if err != nil {
		l.Fatal(err)
	}
}
