package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/internal/golden"
	"github.com/gonomaly/gonomaly/sources"
)

// nothing is an environment without variables.
func nothing(string) (string, bool) { return "", false }

// environment is what the files in testdata are read with.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"EMPTY": "", "NUMBER": "7", "TEXT": "machines",
		"INJECTION": "x, y]\nstreams: []",
	}[name]
	return value, ok
}

// Each file in testdata/broken has what is wrong with it, line by line, in the file beside it.
func TestBroken(t *testing.T) {
	for _, file := range glob(t, "testdata/broken/*.yaml", 25) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data := read(t, file)
			_, err := Parse(filepath.Base(file), data, environment)
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("Parse: %v, want Problems", err)
			}
			golden.Check(t, strings.TrimSuffix(file, ".yaml")+".want", problems.Error()+"\n")
		})
	}
}

func TestExamples(t *testing.T) {
	for _, file := range glob(t, "examples/*.yaml", 3) {
		if _, err := Parse(file, read(t, file), nothing); err != nil {
			t.Error(err)
		}
	}
}

func TestLoad(t *testing.T) {
	c, err := Load("examples/machines.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Streams[0]
	if s.Name != "machines" || len(s.Detectors) != 2 || s.Detectors[0].Params == nil || s.Window.Every.Minutes() != 1 {
		t.Errorf("Load gives the stream %+v, want what the file says", s)
	}
	if s.MaxSeries != 100000 || s.Decode.MaxBytes != 1<<20 || s.Alert.Escalate != 1.5 || c.Listen != "127.0.0.1:9464" {
		t.Errorf("Load gives %+v, want the defaults filled in", c)
	}
	if _, err := Load("testdata/absent.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of an absent file: %v, want %v", err, os.ErrNotExist)
	}
}

// The defaults that follow from other values.
func TestDerivedDefaults(t *testing.T) {
	for _, test := range []struct {
		text, store, group, alerts string
	}{
		{"", StoreMemory, "gonomaly.a", "in.alerts"},
		{"redis: {}\n", StoreRedis, "gonomaly.a", "in.alerts"},
		{"checkpoints: {directory: d}\n", StoreFile, "gonomaly.a", "in.alerts"},
		{"redis: {}\ncheckpoints: {directory: d, store: file}\n", StoreFile, "gonomaly.a", "in.alerts"},
	} {
		c := parseString(t, test.text+minimal)
		if s := c.Streams[0]; c.Checkpoints.Store != test.store || s.Group != test.group || s.Alert.Topic != test.alerts {
			t.Errorf("Parse(%q) has store %s, group %s, alerts in %s, want %s, %s, %s",
				test.text, c.Checkpoints.Store, s.Group, s.Alert.Topic, test.store, test.group, test.alerts)
		}
	}
}

const minimal = `streams: [{name: a, topics: [in], decode: {values: x}, detectors: [{kind: ewma}]}]`

// A file of any size and depth gets an answer, soon.
func TestLargeFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	for name, text := range map[string]string{
		"too large":     strings.Repeat("# nothing\n", maxBytes/10+1),
		"deep":          "streams: " + strings.Repeat("[", 50000),
		"deep and shut": "streams: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"many problems": "streams:\n" + strings.Repeat("- {a: 1, b: 2, c: 3}\n", 40000),
		"many lines":    strings.Repeat("a: 1\n", 100000) + "b\n",
	} {
		_, err := Parse(name, []byte(text), nothing)
		var problems Problems
		if !errors.As(err, &problems) || len(problems) > mostProblems {
			t.Errorf("Parse of a file that is %s: %d problems, want 1 to %d", name, len(problems), mostProblems)
		}
	}
}

// Aliases are read, as long as they stay small.
func TestAliases(t *testing.T) {
	c := parseString(t, `
streams:
  - {name: a, topics: [in], decode: &d {values: x}, detectors: &e [{kind: ewma}]}
  - {name: b, topics: [in], decode: *d, detectors: *e, alert: {topic: b}}
`)
	if a, b := c.Streams[0], c.Streams[1]; a.Decode.Values[0] != "x" || b.Decode.Values[0] != "x" || b.Detectors[0].Kind != "ewma" {
		t.Errorf("streams are %+v and %+v, want the same decoding and detectors", a, b)
	}
}

// Whatever stands in a file, there is an answer: a configuration that can be run and written out, or problems that have a place.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/broken/*.yaml", "examples/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file) //nolint:gosec // the repository's own
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data, environment)
		var problems Problems
		switch {
		case err == nil:
			if len(c.Streams) == 0 {
				t.Error("Parse accepts a configuration without streams")
			}
			for i := range c.Streams {
				if err := c.Streams[i].Check(); err != nil {
					t.Errorf("Parse accepts what the pipeline refuses: %v", err)
				}
			}
		case !errors.As(err, &problems) || len(problems) == 0:
			t.Errorf("Parse: %v, want Problems", err)
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Message == "" {
				t.Errorf("problem %+v, want a place in the %d lines", p, lines)
			}
		}
	})
}

func parseString(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("test.yaml", []byte(text), environment)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func glob(t *testing.T, pattern string, least int) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < least {
		t.Fatalf("%s: %d files, want at least %d", pattern, len(files), least)
	}
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Probes are off, and on with their defaults where nothing but the key is there.
func TestProbe(t *testing.T) {
	const file = "streams: [{name: a, topics: [in], decode: {values: x}, detectors: [{kind: ewma}]PROBE}]"
	for probe, want := range map[string]*sources.ProbeConfig{
		"":            nil,
		", probe: {}": {Every: 10 * time.Second, Timeout: time.Minute},
		", probe: {every: 1m, partitions: 3, timeout: 2m}": {Every: time.Minute, Partitions: 3, Timeout: 2 * time.Minute},
	} {
		if diff := cmp.Diff(want, parseString(t, strings.Replace(file, "PROBE", probe, 1)).Streams[0].Probe); diff != "" {
			t.Errorf("%q (-want +got):\n%s", probe, diff)
		}
	}
	with, without := parseString(t, strings.Replace(file, "PROBE", ", probe: {}", 1)), parseString(t, strings.Replace(file, "PROBE", "", 1))
	if with.Streams[0].Hash() != without.Streams[0].Hash() {
		t.Error("probes are taken for a change of what detectors do")
	}
	if d := Diff(without, with); !slices.Equal(d.Changed, []string{"a"}) || len(d.Restart) > 0 {
		t.Errorf("a reload that switches probes on changes %v and wants a restart for %v", d.Changed, d.Restart)
	}
}

// Days and weeks are read wherever a time is.
func TestDaysAndWeeks(t *testing.T) {
	c := parseString(t, `streams: [{name: a, topics: [in], start: latest, warm_up: 2w, rebuild: 14d, idle: 1d12h, decode: {values: x, max_ahead: 1d},
  window: {every: 1d, lateness: 0.5d, aggregate: [count]}, detectors: [{kind: ewma}], alert: {cool_down: 1d, false_alarms: 1 per 2w per partition}}]`)
	const day = 24 * time.Hour
	s := c.Streams[0]
	for name, got := range map[string]struct{ is, want time.Duration }{
		"warm_up": {s.WarmUp, 14 * day}, "rebuild": {s.Rebuild, 14 * day}, "idle": {s.Idle, 36 * time.Hour}, "max_ahead": {s.Decode.MaxAhead, day},
		"window.every": {s.Window.Every, day}, "window.lateness": {s.Window.Lateness, 12 * time.Hour},
		"cool_down": {s.Alert.CoolDown.Time, day}, "false_alarms": {s.Alert.FalseAlarms.Every, 14 * day},
	} {
		if got.is != got.want {
			t.Errorf("%s is %v, want %v", name, got.is, got.want)
		}
	}
}
