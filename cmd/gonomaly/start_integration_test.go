//go:build integration && unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const (
	startTime  = 300 * time.Millisecond // from the assignment to the first record, without state
	mostBinary = 45_000_000             // bytes of what make build builds
)

// Where there is no state the first records are processed soon after the group has assigned their partitions.
func TestStart(t *testing.T) {
	w := newWorld(t)
	const partitions = 4
	topic := w.name + ".in"
	if err := kafka.Create(t.Context(), w.opts, partitions, topic); err != nil {
		t.Fatal(err)
	}
	fleet, err := generate.NewFleet(generate.FleetConfig{Machines: 100})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&generate.Producer{Topic: topic, Events: 10_000}).Run(t.Context(), w.opts, fleet.Events()); err != nil {
		t.Fatal(err)
	}
	for i := range attempts {
		begin := time.Now()
		p := w.run(w.file("gonomaly.yaml", fmt.Sprintf(`
kafka: {brokers: [<brokers>]}
checkpoints: {store: file, directory: %q}
streams:
  - name: s
    topics: [<name>.in]
    group: <name>.%d
    decode: {key: machine, time: {field: ts, unit: ms}, values: [temp, pressure, rpm]}
    detectors: [{kind: ewma}]
`, filepath.Join(w.dir, fmt.Sprint(i)), i)))
		for p.metric("gonomaly_records_received_total") == 0 && time.Since(begin) < time.Minute {
			time.Sleep(2 * time.Millisecond) // eventually looks too seldom
		}
		first := time.Now()
		w.caughtUp(fmt.Sprintf("%s.%d", w.name, i), topic) // all are assigned by then
		assigned, _, _ := p.assigned(partitions)
		took := first.Sub(assigned)
		t.Logf("the first records are processed %v after the assignment, %v after the start", took.Round(time.Millisecond), first.Sub(begin).Round(time.Millisecond))
		p.kill()
		if took <= startTime {
			return
		}
	}
	slow(t, "in none of %d attempts the first record was processed at most %v after the assignment", attempts, startTime)
}

func TestBinarySize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gonomaly")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if t.Logf("the binary has %d bytes", info.Size()); info.Size() > mostBinary {
		t.Errorf("want at most %d", mostBinary)
	}
}
