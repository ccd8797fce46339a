//go:build integration && unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// A missing topic is waited for, and said; a hang-up takes a changed configuration, and refuses a broken one.
func TestWaitAndReload(t *testing.T) {
	w := newWorld(t).withRedis()
	const settings = `
kafka: {brokers: [<brokers>]}
redis: {address: <redis>, key_prefix: <name>}
streams:
  - name: s
    topics: [<name>.in]
    group: <name>
    decode: {key: machine, time: {field: ts, unit: ms}, values: [temp]}
    detectors: [{kind: ewma}]
`
	config := w.file("gonomaly.yaml", settings)
	p := w.run(config)
	w.eventually("the missing topic is said", func() error {
		if code, body := p.get("/-/ready"); code != http.StatusServiceUnavailable || !strings.Contains(body, "topic "+w.name+".in does not exist") {
			return fmt.Errorf("%d: %s", code, body)
		}
		return nil
	})
	if code, body := p.get("/-/healthy"); code != http.StatusOK {
		t.Errorf("waiting for a topic is healthy, not %d: %s", code, body)
	}
	w.gonomaly("produce", "--topic", w.name+".in", "--events", "1000")
	w.eventually("ready", p.ready)
	w.caughtUp(w.name, w.name+".in")

	hangup := func(text string) {
		w.file("gonomaly.yaml", text)
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	good := func(want float64) func() error {
		return func() error {
			if got := p.metric("gonomaly_config_last_reload_successful"); got != want {
				return fmt.Errorf("it is %v", got)
			}
			return nil
		}
	}
	hangup(settings + "nonsense: 1\n")
	w.eventually("the broken configuration is refused", good(0))
	if err := p.ready(); err != nil {
		t.Errorf("the last good configuration is in force: %v", err)
	}
	hangup(strings.ReplaceAll(settings, "values: [temp]", "values: [temp, load]"))
	w.eventually("the changed configuration is taken", good(1))
	w.eventually("ready", p.ready)
	w.gonomaly("produce", "--topic", w.name+".in", "--events", "1000")
	w.caughtUp(w.name, w.name+".in")
	if _, body := p.get("/metrics"); !strings.Contains(body, "gonomaly_config_info") {
		t.Error("the hash of the configuration is not told")
	}
	var log struct{ Level, Msg string }
	for _, line := range p.log {
		if err := json.Unmarshal([]byte(line), &log); err != nil {
			t.Errorf("a line of the log is not JSON: %s", line)
		}
	}
}
