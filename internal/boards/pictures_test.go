//go:build pictures && unix

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/internal/tracing/collector"
	"github.com/gonomaly/gonomaly/service/top"
)

// staged is the configuration of the run that the pictures are of: short times, so that ten minutes show what hours do.
const staged = `
instance: "${INSTANCE}"
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, tls: {enabled: true, ca_file: <dir>/ca.pem}}
checkpoints: {every: 2s}
tracing: {endpoint: <collector>}
streams:
  - name: machines
    topics: [machines]
    decode: {key: machine, time: {field: ts, unit: ms}, max_ahead: 24h, values: [temp, pressure, load]}
    detectors: [{kind: ewma, half_life: 100}]
    drift: [{kind: adwin, on: scores}]
    max_series: 60
    idle: 90s
    probe: {every: 2s, timeout: 10s}
    alert: {false_alarms: 1 per 10000 points, cool_down: 20s}
  - name: windows
    topics: [machines]
    decode: {key: machine, time: {field: ts, unit: ms}, max_ahead: 24h, values: [temp, load]}
    window: {every: 5s, aggregate: [mean, p99], lateness: 2s}
    detectors: [{kind: ewma, half_life: 10}]
    alert: {false_alarms: 1 per 1000 points, cool_down: 60s, topic: windows.alerts}
sinks: [{kind: redis}, {kind: file, path: "<dir>/alerts-${INSTANCE}.jsonl"}]
`

// stage is two instances under load, with what they run on and the Prometheus that scrapes them.
type stage struct {
	*testing.T
	dir        string
	binary     string
	kafka      *local.Kafka
	redis      *local.Redis
	prometheus *local.Prometheus
	collector  *collector.Collector // of traces
	client     *kgo.Client
	strangers  string // address at which the broker asks for a password
	addresses  []string
	processes  map[int]*exec.Cmd
	fleet      fleet
}

// secured has the broker heed ACLs, of which there are none at first, and ask for a password where strangers come in.
var secured = []string{
	"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "allow.everyone.if.no.acl.found=true",
	"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,STRANGERS:SASL_PLAINTEXT", "sasl.enabled.mechanisms=PLAIN",
	`listener.name.strangers.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_gonomaly="the new one";`,
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, dir: t.TempDir(), collector: collector.Start(t), processes: map[int]*exec.Cmd{}}
	s.binary = filepath.Join(s.dir, "gonomaly")
	build := exec.Command("go", "build", "-ldflags", "-X main.version=v1.0.0", "-o", s.binary, "../../cmd/gonomaly")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	cluster, err := local.StartCluster(t.Context(), s.dir, local.ClusterConfig{
		Brokers: 1, Properties: secured, Listeners: []string{"STRANGERS"},
		Advertise: func(_ int, _, address string) (string, error) { s.strangers = address; return address, nil },
	})
	s.must(err)
	s.kafka = cluster.Brokers[0]
	t.Cleanup(func() { _ = s.kafka.Stop() })
	ports, err := local.FreePorts(5)
	s.must(err)
	s.must(certify(s.dir))
	s.redis = local.OwnRedis(t, "--tls-port", strconv.Itoa(ports[0]), "--tls-cert-file", s.dir+"/ca.pem", "--tls-key-file", s.dir+"/ca.key",
		"--tls-ca-cert-file", s.dir+"/ca.pem", "--tls-auth-clients", "no")
	s.client, err = kgo.NewClient(kgo.SeedBrokers(s.kafka.Address()), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.RecordDeliveryTimeout(time.Minute))
	s.must(err)
	t.Cleanup(s.client.Close)
	s.configure(strings.NewReplacer("<brokers>", s.kafka.Address(), "<redis>", fmt.Sprintf("127.0.0.1:%d", ports[0]), "<collector>", s.collector.URL, "<dir>", s.dir).Replace(staged))
	for _, port := range ports[1:4] {
		s.addresses = append(s.addresses, fmt.Sprintf("127.0.0.1:%d", port))
	}
	rules, err := os.ReadFile(root + "config/monitoring/alert_rules.yml")
	s.must(err)
	own := t.TempDir() // of Prometheus
	s.must(os.WriteFile(filepath.Join(own, "alert_rules.yml"), []byte(strings.ReplaceAll(string(rules), "interval: 30s", "interval: 5s")), 0o600))
	s.prometheus, err = local.StartPrometheus(t.Context(), own, s.scraping())
	s.must(err)
	t.Cleanup(func() {
		_ = s.prometheus.Stop()
		if keep := os.Getenv("KEEP"); keep != "" { // to draw again from
			s.must(os.CopyFS(keep, os.DirFS(own)))
		}
	})
	return s
}

// scraping is the configuration of Prometheus: the third instance is one that is set up wrongly.
func (s *stage) scraping() string {
	var targets strings.Builder
	for i, address := range s.addresses {
		fmt.Fprintf(&targets, "{targets: [%q], labels: {instance: gonomaly-%d}}, ", address, i)
	}
	return "global: {scrape_interval: 2s, evaluation_interval: 5s}\nrule_files: [alert_rules.yml]\n" +
		"scrape_configs: [{job_name: gonomaly, static_configs: [" + targets.String() + "]}]\n"
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) configure(text string) {
	s.Helper()
	s.must(os.WriteFile(filepath.Join(s.dir, "gonomaly.yaml"), []byte(text), 0o600))
}

// run starts an instance, the i-th of those that are scraped, under a name. It lasts until the test ends.
func (s *stage) run(i int, name, file string) *exec.Cmd {
	s.Helper()
	address := "127.0.0.1:0"
	if i >= 0 {
		address = s.addresses[i]
	}
	c := exec.Command(s.binary, "run", "-c", filepath.Join(s.dir, file), "--listen", address)
	c.Env = append(os.Environ(), "INSTANCE="+name, "GOMEMLIMIT=256MiB")
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	s.must(err)
	c.Stderr = log
	s.must(c.Start())
	s.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGCONT)
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	if i >= 0 {
		s.processes[i] = c
	}
	return c
}

// ready waits until an instance is.
func (s *stage) ready(i int) {
	s.Helper()
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		resp, err := http.Get("http://" + s.addresses[i] + "/-/ready")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(until) {
			log, _ := os.ReadFile(filepath.Join(s.dir, fmt.Sprintf("gonomaly-%d.log", i)))
			s.Fatalf("gonomaly-%d is not ready after a minute:\n%s", i, log)
		}
	}
}

// again kills an instance as a crash does, and starts it after a pause.
func (s *stage) again(i int, between func()) {
	s.Helper()
	_ = s.processes[i].Process.Kill()
	_ = s.processes[i].Wait()
	between()
	s.run(i, fmt.Sprintf("gonomaly-%d", i), "gonomaly.yaml")
}

// cli runs redis-cli.
func (s *stage) cli(arguments ...string) {
	s.Helper()
	if out, err := exec.Command("redis-cli", append([]string{"-u", "redis://" + s.redis.Address()}, arguments...)...).CombinedOutput(); err != nil {
		s.Fatalf("redis-cli %v: %v\n%s", arguments, err, out)
	}
}

// top writes what gonomaly top shows now.
func (s *stage) top(file string) {
	s.Helper()
	const width, height = 150, 52
	urls := []string{"http://" + s.addresses[0], "http://" + s.addresses[1]}
	frame, err := top.Frame(s.Context(), urls, 8*time.Second, top.Layout{Paint: top.Colours}, width, height)
	s.must(err)
	for i, address := range s.addresses { // ports differ from run to run
		frame = strings.ReplaceAll(frame, address, fmt.Sprintf("gonomaly-%d:9464", i)[:len(address)])
	}
	s.must(os.WriteFile(root+"docs/dashboards/"+file, []byte(terminal(frame, width)), 0o644))
}

// certify writes a certificate that Redis shows and that signs itself.
func certify(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Redis"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(40 * 24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600),
		os.WriteFile(filepath.Join(dir, "ca.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
}

// TestPictures draws each dashboard and gonomaly top from a real run with a few faults. It takes as long as the script does.
func TestPictures(t *testing.T) {
	s := newStage(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		s.fleet.run(ctx, s.client)
		close(done)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	s.run(0, "gonomaly-0", "gonomaly.yaml")
	s.run(1, "gonomaly-1", "gonomaly.yaml")
	s.ready(0)
	s.ready(1)
	begin := time.Now()
	for _, step := range s.script() {
		time.Sleep(time.Until(begin.Add(step.at)))
		t.Logf("%v: %s", time.Since(begin).Round(time.Second), step.what)
		step.do()
	}
	v := views{prometheus: "http://" + s.prometheus.Address(), from: begin, to: time.Now()}
	s.must(v.draw(t.Context(), root+deployed, root+pictured))
	t.Logf("drawn: %v to %v", begin.UTC().Format(time.RFC3339), v.to.UTC().Format(time.RFC3339))
}
