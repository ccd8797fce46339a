//go:build integration && unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command of the README works, in the order in which it stands there. Those of make are run by .ci/run, or named here.
func TestReadme(t *testing.T) {
	w := newWorld(t)
	w.ownRedis()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"sources", "config"} {
		if err := os.Symlink(filepath.Join(root, folder), filepath.Join(w.dir, folder)); err != nil {
			t.Fatal(err)
		}
	}
	script := []string{"set -euxo pipefail", "make() { :; }", "export PATH=" + filepath.Dir(binary) + ":$PATH"}
	commands := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1) {
		for line := range strings.SplitSeq(strings.TrimSpace(string(block[1])), "\n") {
			line = strings.NewReplacer("localhost:9092", brokers, "localhost:6379", w.redis, "--topic machines", "--topic "+w.name, "--from machines", "--from "+w.name).Replace(line)
			if strings.HasPrefix(line, "gonomaly run") { // the service, which goes on beside the rest
				line += ` & trap "kill $!" EXIT; until curl -sf localhost:9464/-/ready && [ "$(redis-cli -u redis://$REDIS_ADDR xlen gonomaly:alerts)" -gt 0 ]; do sleep 0.2; done`
			}
			script = append(script, line)
			commands++
		}
	}
	if commands < 10 {
		t.Fatalf("the README has %d commands", commands)
	}
	bash := exec.CommandContext(t.Context(), "bash", "-c", strings.Join(script, "\n"))
	bash.Dir = w.dir
	out, err := bash.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"ready", "gonomaly_time_lag_seconds{", "gonomaly_records_total{", `"specversion":"1.0"`, "reloaded", "PARTITIONS ", "is ready", "see report/report.html"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%q is missing from what the commands print:\n%s", want, out)
		}
	}
	page, err := os.ReadFile(filepath.Join(w.dir, "report", "report.html"))
	if err != nil || !bytes.Contains(page, []byte("<svg")) {
		t.Errorf("the report: %v, %d bytes", err, len(page))
	}
	t.Log(fmt.Sprint(commands, " commands"))
}
