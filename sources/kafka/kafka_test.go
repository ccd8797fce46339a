package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/internal/trust"
)

func TestConfigIsChecked(t *testing.T) {
	good := Config{Brokers: []string{"a:1, b:2", "c:3"}}
	if err := good.Check(); err != nil {
		t.Errorf("Check() = %v, want nil", err)
	}
	if got, want := good.seeds(), []string{"a:1", "b:2", "c:3"}; !slices.Equal(got, want) {
		t.Errorf("seeds() = %v, want %v", got, want)
	}
	for name, bad := range map[string]func(*Config){
		"brokers":         func(c *Config) { c.Brokers = nil },
		"brokers[1]":      func(c *Config) { c.Brokers = []string{"a:1", "b"} },
		"tls.cert_file":   func(c *Config) { c.TLS = trust.TLS{Enabled: true, CertFile: "x"} },
		"tls.enabled":     func(c *Config) { c.TLS.CAFile = "x" },
		"sasl.mechanism":  func(c *Config) { c.SASL = SASLConfig{Mechanism: "gssapi", Username: "u", Password: "p"} },
		"sasl.username":   func(c *Config) { c.SASL = SASLConfig{Mechanism: "plain", Password: "p"} },
		"sasl.password":   func(c *Config) { c.SASL = SASLConfig{Mechanism: "plain", Username: "u"} },
		"dial_timeout":    func(c *Config) { c.DialTimeout = -time.Second },
		"max_batch_bytes": func(c *Config) { c.MaxBatchBytes = 7 },
	} {
		c := Config{Brokers: []string{"a:1"}}
		bad(&c)
		v, ok := errors.AsType[*invalid.Value](c.Check())
		if !ok || v.Name != name {
			t.Errorf("%s: Check() = %v, want a complaint about it", name, c.Check())
		}
		if _, err := c.Options(); err == nil {
			t.Errorf("%s: Options() succeeds", name)
		}
	}
}

// Credentials without a mechanism would be ignored, and a mechanism is not guessed.
func TestPasswordWithoutMechanism(t *testing.T) {
	c := Config{Brokers: []string{"a:1"}, SASL: SASLConfig{Password: "p"}}
	if v, ok := errors.AsType[*invalid.Value](c.Check()); !ok || v.Name != "sasl.mechanism" {
		t.Errorf("Check() = %v, want a complaint about sasl.mechanism", c.Check())
	}
}

func TestPasswordIsNotPrinted(t *testing.T) {
	const password = "correct-horse"
	c := Config{Brokers: []string{"a:1"}, SASL: SASLConfig{Mechanism: "plain", Username: "u", Password: password}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("config", "config", c, "password", c.SASL.Password)
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "config", c, "password", c.SASL.Password)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{log.String(), string(asJSON), string(asYAML), fmt.Sprint(c), fmt.Sprintf("%+v %#v %q %x", c, c, c.SASL.Password, c.SASL.Password)} {
		if strings.Contains(text, password) || strings.Contains(text, fmt.Sprintf("%x", password)) {
			t.Errorf("the password stands in %s", text)
		}
	}
}

// A user with the right password is let in; without, the reason is told.
func TestSASL(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "u", "right"), kfake.Superuser("PLAIN", "v", "right"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for _, c := range []struct {
		mechanism, user string
		password        trust.Secret
		ok              bool
	}{{"scram-sha-256", "u", "right", true}, {"plain", "v", "right", true}, {"scram-sha-256", "u", "wrong", false}, {"plain", "v", "wrong", false}} {
		opts, err := Config{Brokers: cluster.ListenAddrs(), SASL: SASLConfig{Mechanism: c.mechanism, Username: c.user, Password: c.password}}.Options()
		if err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(t.Context()); (err == nil) != c.ok {
			t.Errorf("Ping with %s and the %s password: %v", c.mechanism, string(c.password), err)
		}
		client.Close()
	}
}

// Several clients share a registry, those of one role one after the other; a client that is closed late takes nothing of its successor's.
func TestClientsShareARegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	open := func(role string) *kgo.Client {
		t.Helper()
		client, err := kgo.NewClient(Observed(Options{kgo.SeedBrokers("localhost:1")}, m, role, slog.New(slog.DiscardHandler))...)
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	roles := func() int {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, f := range families {
			for _, metric := range f.GetMetric() {
				for _, l := range metric.GetLabel() {
					if l.GetName() == "client" {
						seen[l.GetValue()] = true
					}
				}
			}
		}
		return len(seen)
	}
	a, b := open("a"), open("b")
	defer b.Close()
	if n := roles(); n != 2 {
		t.Errorf("metrics of %d clients, want 2", n)
	}
	next := open("a")
	a.Close()
	if n := roles(); n != 2 {
		t.Errorf("metrics of %d clients after a late close, want 2", n)
	}
	next.Close()
	if n := roles(); n != 1 {
		t.Errorf("metrics of %d clients after a close, want 1", n)
	}
}

// world is a broker without topics.
func world(t *testing.T) (Options, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	opts, err := Config{Brokers: cluster.ListenAddrs()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	opts = append(opts, kgo.MetadataMinAge(50*time.Millisecond))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return opts, client
}

func TestTopics(t *testing.T) {
	_, client := world(t)
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(t.Context())
	var reason error
	_, err := WaitForTopics(ctx, client, []string{"in"}, func(err error) {
		reason = err
		cancel()
	}, log)
	if !errors.Is(err, context.Canceled) || reason == nil || !strings.Contains(reason.Error(), "topic in does not exist") {
		t.Errorf("WaitForTopics = %v, having said %v", err, reason)
	}
	for range 2 { // the second time they are there
		if err := EnsureTopics(t.Context(), client, 3, []string{"in", "out"}, log); err != nil {
			t.Fatal(err)
		}
	}
	topics, err := WaitForTopics(t.Context(), client, []string{"in", "out"}, func(error) {}, log)
	if err != nil {
		t.Fatal(err)
	}
	for name, topic := range topics {
		if topic.Partitions != 3 || len(topic.HexID()) != 32 {
			t.Errorf("topic %s is %+v, want 3 partitions and an id", name, topic)
		}
	}
	if id := (Topic{}).HexID(); id != "" {
		t.Errorf("the id of a topic without one is %q", id)
	}
}

// ReadAll gives what is committed, and Behind how much of it a group has not.
func TestReadAll(t *testing.T) {
	opts, client := world(t)
	if err := EnsureTopics(t.Context(), client, 2, []string{"in"}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if records, err := ReadAll(t.Context(), opts, "in"); err != nil || len(records) != 0 {
		t.Errorf("ReadAll of an empty topic = %v, %v", records, err)
	}
	for i := range 10 {
		r := &kgo.Record{Topic: "in", Key: fmt.Append(nil, i), Value: fmt.Append(nil, i), Headers: []kgo.RecordHeader{{Key: "h", Value: fmt.Append(nil, i)}}}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Behind(t.Context(), opts, "g", "in"); err != nil || n != 10 {
		t.Errorf("Behind = %d, %v, want 10", n, err)
	}
	txn, err := kgo.NewClient(append(slices.Clone(opts), kgo.TransactionalID("t"))...)
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Value: []byte("aborted")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := txn.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	records, err := ReadAll(t.Context(), opts, "in")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range records {
		if string(r.Value) != r.Headers["h"] || string(r.Key) != string(r.Value) {
			t.Errorf("record %+v, want its number as key, value and header", r)
		}
		seen[string(r.Value)] = true
	}
	if len(records) != 10 || len(seen) != 10 {
		t.Errorf("%d records, %d of them distinct, want the 10 committed", len(records), len(seen))
	}

	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(t.Context(), &kgo.Record{Topic: "in", Value: []byte("open at first")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { ended <- txn.EndTransaction(t.Context(), kgo.TryCommit) })
	if records, err = ReadAll(t.Context(), opts, "in"); err != nil || len(records) != 11 {
		t.Errorf("ReadAll beside an open transaction = %d records, %v, want the 10 and the one that it commits", len(records), err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
