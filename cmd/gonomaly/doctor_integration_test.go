//go:build integration && unix

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Of a real run on a real Kafka and Redis top shows what goes on and doctor finds nothing wrong, whatever the group's protocol; then one
// thing after the other is broken, and each is found.
func TestTopAndDoctor(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			w := newWorld(t)
			server := w.ownRedis()
			config := w.file("gonomaly.yaml", `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>}
instance: only
checkpoints: {every: 1s}
streams:
  - name: machines
    topics: [<name>]
    group: <name>
    group_protocol: `+protocol+`
    decode: {key: machine, time: {field: ts, unit: ms}, values: [temp, pressure, rpm, vibration, load]}
    detectors: [{kind: ewma, half_life: 30}]
sinks: [{kind: redis}]
`)
			w.gonomaly("produce", "--topic", w.name, "--events", "20000", "--keys", "20", "--anomalies", "8", "--partitions", "4")
			p := w.run(config)
			w.caughtUp(w.name, w.name)
			w.eventually("doctor finds nothing wrong", func() error {
				out, err := w.command("doctor", "-c", config, "--url", p.url).Output()
				if err == nil && !strings.Contains(string(out), "4 of 4 partitions, ") {
					err = errors.New("no checkpoints")
				}
				if err != nil {
					return fmt.Errorf("%w\n%s", err, out)
				}
				return nil
			})
			wants := func(what, out string, words ...string) {
				t.Helper()
				for _, want := range words {
					if !strings.Contains(out, want) {
						t.Errorf("%s: %q is missing from\n%s", what, want, out)
					}
				}
			}
			out := w.gonomaly("doctor", "-c", config, "--url", p.url)
			t.Logf("doctor:\n%s", out)
			wants("doctor", out, "Kafka v4", w.name+" has 4 partitions, all in sync, 20000 offsets", "the user may read "+w.name,
				w.name+" is stable, 1 member (only on 127.0.0.1), all of 4 partitions", w.name+" is 0 offsets behind", "keeps an append-only file",
				"the file's settings of 1 stream", p.url+" is ready", "\n0 ✗")
			out = w.gonomaly("top", "--once", "--url", p.url)
			t.Logf("top:\n%s", out)
			wants("top", out, "ready", "PARTITIONS 4, by lag", "machines", "redis  closed")

			// Redis, told as it is at the time; then stopped.
			client := w.redisClient()
			if err := errors.Join(client.ConfigSet(t.Context(), "maxmemory", "64mb").Err(), client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lfu").Err()); err != nil {
				t.Fatal(err)
			}
			wants("Redis that evicts", w.sick("doctor", "-c", config), "allkeys-lfu: it deletes states and alerts", "CONFIG SET maxmemory-policy noeviction")
			if err := server.Stop(); err != nil {
				t.Fatal(err)
			}
			wants("Redis away", w.sick("doctor", "-c", config, "--url", p.url), "takes no writes", "start Redis, or correct address", w.name+" is 0 offsets behind")

			// The group stands still, and retention goes on.
			p.kill()
			w.gonomaly("produce", "--topic", w.name, "--events", "1000", "--keys", "20")
			kafka, err := kgo.NewClient(w.opts...)
			if err != nil {
				t.Fatal(err)
			}
			defer kafka.Close()
			admin := kadm.NewClient(kafka)
			ends, err := admin.ListEndOffsets(t.Context(), w.name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := admin.DeleteRecords(t.Context(), ends.Offsets()); err != nil {
				t.Fatal(err)
			}
			wants("retention", w.sick("doctor", "-c", config), "retention has deleted what "+w.name+" had not read of "+w.name+"/")
			wants("instance away", w.sick("top", "--once", "--url", p.url), "unreachable", "connection refused")
		})
	}
}

// sick runs a command that finds something bad, and returns what it prints.
func (w *world) sick(args ...string) string {
	w.Helper()
	out, err := w.command(args...).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
		w.Errorf("gonomaly %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, exitFailed, out)
	}
	return string(out)
}
