package checkpoint_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/drift"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

var update = flag.Bool("update", false, "write the golden checkpoints that are missing, and docs/redis.md")

var goldenLog = pipeline.Log{Group: "golden", Partition: pipeline.Partition{Topic: "t", TopicID: "3f2a"}}

// goldens are the settings whose states are kept: one for each kind of detector and of drift monitor, and what else has state of its own.
func goldens() map[string]string {
	all := map[string]string{
		"window-every": "detectors: [{kind: ewma, half_life: 20}]\nwindow: {every: 3m, aggregate: [mean, stddev, p99], lateness: 1m}",
		"window-last":  "detectors: [{kind: ewma, half_life: 20}]\nwindow: {last: 3}",
		"bounded":      "detectors: [{kind: ewma, half_life: 20}]\nmax_series: 1\nidle: 25m",
	}
	for kind := range detectors.Kinds {
		all["detector-"+kind] = fmt.Sprintf("detectors: [{kind: %s}]", kind)
	}
	all["detector-cut_forest"] = "detectors: [{kind: cut_forest, trees: 4}]" // with its default of 50 it would be 100 KB
	for kind := range drift.Kinds {
		all["drift-"+kind] = fmt.Sprintf("detectors: [{kind: ewma, half_life: 20}]\ndrift: [{kind: %s, on: values}, {kind: %s, on: scores}]", kind, kind)
	}
	for name := range all {
		all[name] += "\nalert: {false_alarms: 1 per 100 points, escalate: 2}"
	}
	return all
}

// goldenAt are the offsets of a golden chain: a whole checkpoint, and one of what has changed since.
var goldenAt = []int64{400, 460}

// A golden checkpoint is what a version has written, and never changes. This version writes what its own say, byte for byte, and reads those
// of the version before: it goes on from them as if it had written them itself.
//
// Where this test fails because a layout has changed: raise version in envelope.go, whatever part it was that changed, have the part's decoder
// read both, and run the test with -update, which writes the files that are missing. Where only the figures of a detector have changed,
// delete its files of the newest version before.
func TestGoldenCheckpoints(t *testing.T) {
	records := goldenRecords(600)
	for name, settings := range goldens() {
		t.Run(name, func(t *testing.T) {
			written := writeGolden(t, settings, records)
			for version := checkpoint.Oldest; version <= checkpoint.Version; version++ {
				states := slices.Clone(written)
				for i := range states {
					readGolden(t, version, fmt.Sprintf("%s-%d", name, goldenAt[i]), &states[i])
				}
				goOn(t, settings, states, records)
			}
		})
	}
}

// readGolden puts what is in a golden file in place of what this version writes, which must be the same where it is of this version.
func readGolden(t *testing.T, version int, name string, written *pipeline.Stored) {
	t.Helper()
	dir := filepath.Join("testdata", "golden", fmt.Sprintf("v%d", version))
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && version == checkpoint.Version && *update {
		if b, err = checkpoint.Encode(*written, goldenLog); err == nil {
			err = errors.Join(os.MkdirAll(dir, 0o750), os.WriteFile(path, b, 0o600))
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(dir); err == nil && version < checkpoint.Version {
			return // the kind is younger
		}
		t.Fatalf("%v: there is no golden checkpoint of version %d: run this test with -update", err, version)
	}
	if err != nil {
		t.Fatal(err)
	}
	golden, err := checkpoint.Decode(b, goldenLog)
	if err != nil {
		t.Fatalf("%s can no longer be read: %v", path, err)
	}
	same := golden.Offset == written.Offset && golden.After == written.After && bytes.Equal(golden.State, written.State)
	if version == checkpoint.Version && runtime.GOARCH == "amd64" && !same { // elsewhere the last bits of floats may differ
		t.Fatalf("%s is not what this version writes; see the comment of this test", path)
	}
	golden.Config = written.Config // a setting may have been added since
	*written = golden
}

// goOn restores a chain, and wants the same state as without it.
func goOn(t *testing.T, settings string, states []pipeline.Stored, records []pipeline.Record) {
	t.Helper()
	undisturbed, restored := goldenWorker(t, settings), goldenWorker(t, settings)
	undisturbed.Process(records, 0)
	if err := restored.Restore([][]byte{states[0].State, states[1].State}); err != nil {
		t.Fatal(err)
	}
	restored.Process(records[restored.Position():], 0)
	want, err := undisturbed.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := restored.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOARCH == "amd64" && !bytes.Equal(got, want) {
		t.Error("going on from the golden checkpoints gives another state")
	}
}

// writeGolden is a chain as this version writes it.
func writeGolden(t *testing.T, settings string, records []pipeline.Record) []pipeline.Stored {
	t.Helper()
	w := goldenWorker(t, settings)
	var states []pipeline.Stored
	after := int64(pipeline.Whole)
	for _, offset := range goldenAt {
		w.Process(records[max(0, w.Position()):offset], 0)
		var b []byte
		for piece, err := range w.Cut(after == pipeline.Whole).Pieces(func(step func() bool) { step() }) {
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, piece...)
		}
		states = append(states, pipeline.Stored{Checkpoint: pipeline.Checkpoint{Offset: offset, After: after, Config: "golden"}, State: b})
		after = offset
	}
	return states
}

func goldenWorker(t testing.TB, settings string) *pipeline.Worker {
	t.Helper()
	w, err := pipeline.NewWorker("s", streamOf(t, settings), goldenLog.Partition)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// streamOf reads the settings of a stream whose records are like those of goldenRecords.
func streamOf(t testing.TB, settings string) pipeline.Config {
	t.Helper()
	const decode = "decode: {key: key, time: {field: ts, unit: ms}, values: [v]}\n"
	c, err := config.Parse("golden", fmt.Appendf(nil, "streams:\n- {name: s, topics: [t], %s}\n", flow(decode+settings)), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c.Streams[0].Config
}

// flow puts lines of YAML on one.
func flow(lines string) string {
	return string(bytes.ReplaceAll(bytes.TrimSpace([]byte(lines)), []byte("\n"), []byte(", ")))
}

// goldenRecords are noise of two keys, with spikes and a shift.
func goldenRecords(n int) []pipeline.Record { return noise(n, 2, 420) }

// noise is that of some keys, with spikes, and a shift after so many records.
func noise(n, keys, shift int) []pipeline.Record {
	r := rand.New(rand.NewPCG(5, 6))
	records := make([]pipeline.Record, n)
	for i := range records {
		v := r.NormFloat64()
		if i%37 == 36 {
			v += 20
		}
		if i > shift {
			v += 3
		}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 20 * time.Second)
		records[i] = pipeline.Record{
			Offset: int64(i), Timestamp: at.UnixNano(), Value: fmt.Appendf(nil, `{"key":"k%d","ts":%d,"v":%.6f}`, i%keys, at.UnixMilli(), v),
		}
	}
	return records
}
