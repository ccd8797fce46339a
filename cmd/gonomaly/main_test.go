package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gonomaly/gonomaly/sources/embedded"
	"github.com/gonomaly/gonomaly/sources/generate"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// run executes a command line as main does.
func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = execute(t.Context(), args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

// must executes a command line that works, and returns its standard output.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := run(t, args...)
	if code != exitGood {
		t.Fatalf("gonomaly %s: exit %d: %s%s", strings.Join(args, " "), code, errs, out)
	}
	return out
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every command has examples, and every example uses flags that exist.
func TestHelpTeaches(t *testing.T) {
	for _, c := range newRoot().Commands() {
		if c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		help := must(t, c.Name(), "--help")
		if !strings.Contains(help, "Examples:") {
			t.Errorf("%s --help has no examples", c.Name())
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			_, args, ok := strings.Cut(line, "gonomaly ")
			if !ok {
				t.Errorf("an example of %s is not a command: %s", c.Name(), line)
				continue
			}
			used, _, err := newRoot().Find(strings.Fields(args)[:1])
			if err != nil {
				t.Errorf("an example of %s: %v", c.Name(), err)
				continue
			}
			for word := range strings.FieldsSeq(args) {
				if flag, ok := strings.CutPrefix(word, "--"); ok && used.Flags().Lookup(flag) == nil {
					t.Errorf("an example of %s uses --%s, which %s lacks", c.Name(), flag, used.Name())
				}
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	good := write(t, "good.yaml", must(t, "create", "metrics"))
	bad := write(t, "bad.yaml", "streams: 5\n")
	missing := filepath.Join(t.TempDir(), "none.yaml")
	empty := write(t, "empty.csv", "timestamp,value\n")
	for _, c := range []struct {
		args string
		code int
		says string // on standard error
	}{
		{"", exitGood, ""},
		{"--help", exitGood, ""},
		{"version", exitGood, ""},
		{"--version", exitGood, ""},
		{"version --json", exitGood, ""},
		{"validate -c " + good, exitGood, ""},
		{"validate " + good + " " + bad, exitFailed, ""},
		{"validate -c " + missing, exitFailed, "no such file"},
		{"validate", exitUsage, "which file?"},
		{"run", exitUsage, "which configuration?"},
		{"resend", exitUsage, "which letters?"},
		{"resend --letters t --since 2", exitUsage, `--since is "2"`},
		{"run -c " + good + " --stream other --input -", exitUsage, "want one of metrics"},
		{"run -c " + good + " --stream metrics", exitUsage, "--stream is for --input"},
		{"run -c " + good + " --listen :0 --input " + missing, exitUsage, "--listen is not for --input"},
		{"run -c " + good + " --input " + missing, exitFailed, "no such file"},
		{"run " + good, exitUsage, "name a configuration with -c " + good},
		{"run -c " + good + " more", exitUsage, `gonomaly run takes flags only, and "more" is none`},
		{"version more", exitUsage, `gonomaly version takes flags only, and "more" is none`},
		{"run -c " + bad, exitFailed, bad + ":1:"},
		{"run -c " + missing, exitFailed, "no such file"},
		{"nonsense", exitUsage, `unknown command "nonsense" for "gonomaly"`},
		{"nonsense --help", exitUsage, `unknown command "nonsense" for "gonomaly"`},
		{"help nonsense", exitUsage, `unknown command "nonsense" for "gonomaly"`},
		{"help rum", exitUsage, "did you mean run?"},
		{"help bench paht", exitUsage, "did you mean path?"},
		{"help bench path", exitGood, ""},
		{"rum --help", exitUsage, "did you mean run?"},
		{"valid", exitUsage, "did you mean validate?"},
		{"bench paht --help", exitUsage, `unknown command "paht" for "gonomaly bench"; did you mean path?`},
		{"bench --help", exitGood, ""},
		{"validate " + missing + " --help", exitGood, ""},
		{"version --nonsense", exitUsage, "unknown flag"},
		{"schema", exitUsage, "schema of what? One of config, alert, metrics"},
		{"schema nonsense", exitUsage, "schema of what? One of config, alert, metrics"},
		{"create", exitUsage, "create what? One of metrics, points, requests"},
		{"create metric", exitUsage, "did you mean metrics?"},
		{"create metrics points", exitUsage, "one kind at a time"},
		{"create metrics --detector forrest", exitUsage, "did you mean forest?"},
		{"create metrics --exclude nothing", exitUsage, "no such field"},
		{"create metrics --from ./none.csv", exitFailed, "none.csv"},
		{"create metrics --from none.csv --brokers 127.0.0.1:1", exitFailed, "there is no file none.csv, and as a topic: "},
		{"backtest", exitUsage, "are all needed"},
		{"backtest -c " + good + " --out x --input " + missing, exitFailed, "no such file"},
		{"backtest -c " + good + " --out " + t.TempDir() + " --input " + empty, exitFailed, "there is no row to play"},
		{"backtest -c " + good + " --stream other --out x --input x", exitUsage, "want one of metrics"},
		{"demo --rate 0", exitUsage, "--rate is 0"},
		{"demo --for 0s", exitUsage, "--for is 0s"},
		{"demo --rate 1 --for 1s", exitUsage, "--rate times --for is 1, want 100 events or more"},
		{"bench detectors --runs 0", exitUsage, "--runs is 0"},
		{"bench path --only nonsense", exitUsage, "--only is nonsense"},
		{"bench quality --only nonsense", exitUsage, "--only is nonsense"},
		{"bench quality --only nab", exitUsage, "--data is empty"},
		{"bench quality --seeds 0", exitUsage, "--seeds is 0"},
		{"bench quality --seeds 0 --floor " + missing, exitFailed, "--floor: open"},
		{"produce", exitUsage, "which topic?"},
		{"produce --topic t", exitUsage, "how much?"},
		{"produce --topic t --events -1", exitUsage, "--events is -1"},
		{"produce --topic t --for -1s", exitUsage, "--for is -1s"},
		{"produce --topic t --events 1 --partitions 0", exitUsage, "--partitions is 0"},
		{"produce --topic t --rate -1 --for 1s", exitUsage, "--rate is -1"},
		{"produce --topic t --events 1 --keys 0", exitUsage, "--keys is 0, want between 1"},
		{"produce --topic t --events 1 --anomalies -1", exitUsage, "--anomalies is -1, want between 0"},
		{"produce --topic t --input " + missing + " --keys 5", exitUsage, "--keys is of the generated events"},
		{"produce --topic t --events 1 --brokers nonsense", exitUsage, "brokers[0] is nonsense"},
		{"produce --topic t --input " + missing, exitFailed, "no such file"},
		{"plan -c " + good, exitUsage, "of what, and how much?"},
		{"plan -c " + good + " --rate 1 --keys 1 --curves " + missing, exitFailed, "no such file"},
		{"plan -c " + good + " --rate 1 --keys 1 --stream other", exitUsage, "--stream is other"},
		{"plan -c " + good + " --rate -1 --keys -1", exitUsage, "--rate is -1"},
		{"plan -c " + good + " --rate inf --keys 1", exitUsage, "--rate is +Inf"},
		{"plan -c " + good + " --rate 1e300 --keys 1", exitUsage, "--rate is 1e+300"},
		{"plan -c " + good + " --rate 1 --keys 1 --partitions -1", exitUsage, "--partitions is -1"},
		{"healthcheck --address http://localhost:9464", exitUsage, "want host:port"},
		{"healthcheck --timeout 0s", exitUsage, "--timeout is 0s"},
		{"healthcheck --address 127.0.0.1:1", exitFailed, "refused"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, out, errs := run(t, strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(errs, c.says) {
				t.Errorf("exit %d, want %d, saying %q; standard error: %s", code, c.code, c.says, errs)
			}
			if c.code == exitGood && errs != "" {
				t.Errorf("standard error of what works: %s", errs)
			}
			if c.code == exitUsage && !strings.Contains(errs, "--help") {
				t.Errorf("wrong use is not told of --help: %s", errs)
			}
			if c.code == exitUsage && out != "" {
				t.Errorf("wrong use prints to standard output: %s", out)
			}
		})
	}
}

// Validate prints each problem on a line of standard output, of all files.
func TestValidateSaysAll(t *testing.T) {
	first := write(t, "first.yaml", "streems: []\nkafka: {brokers: [nonsense]}\n")
	second := write(t, "second.yaml", "a: [\n")
	code, out, errs := run(t, "validate", "-c", first+".none", "-c", first, "-c", second)
	if code != exitFailed || !strings.Contains(errs, "no such file") {
		t.Errorf("exit %d, want %d, and what cannot be read: %s", code, exitFailed, errs)
	}
	for _, want := range []string{first + ":1:1: ", "did you mean streams?", first + ":2:", "nonsense", second + ":"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing from\n%s", want, out)
		}
	}
}

// Validate --against says what a change costs.
func TestValidateAgainst(t *testing.T) {
	text := must(t, "create", "metrics", "--detector", "ewma")
	before := write(t, "before.yaml", text)
	after := write(t, "after.yaml", strings.Replace(text, "kind: ewma", "kind: ewma\n        half_life: 7", 1))
	out := must(t, "validate", "-c", after, "--against", before)
	if !strings.Contains(out, "starts cold with detectors[0] ewma; drops detectors[0] ewma") {
		t.Errorf("it says\n%s", out)
	}
	if out := must(t, "validate", "-c", before, "--against", before); !strings.Contains(out, " keeps detectors[0] ewma") {
		t.Errorf("of no change it says\n%s", out)
	}
	if code, _, _ := run(t, "validate", "-c", before, "--against", before+".none"); code != exitFailed {
		t.Errorf("exit %d, want %d", code, exitFailed)
	}
}

// What create prints is valid, whatever it was made from.
func TestCreatedIsValid(t *testing.T) {
	csv := write(t, "data.csv", "timestamp,host,cpu,label\n2026-01-01 00:00:00,a,1.5,0\n2026-01-01 00:01:00,a,1.6,0\n2026-01-01 00:02:00,a,1.4,1\n")
	for _, args := range []string{
		"metrics", "requests", "points", "metrics --detector ewma", "metrics --from " + csv, "points --from " + csv + " --exclude label",
	} {
		text := must(t, append([]string{"create"}, strings.Fields(args)...)...)
		file := write(t, "g.yaml", text)
		must(t, "validate", "-c", file)
		if strings.Contains(args, "--exclude") && strings.Contains(text, "label]") {
			t.Errorf("create %s leaves the label in:\n%s", args, text)
		}
	}
}

// A sample of a topic fills in what the records have.
func TestCreateFromTopic(t *testing.T) {
	broker, err := embedded.Start(2, "machines")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	brokers := strings.Join(broker.Addresses(), ",")
	must(t, "produce", "--brokers", brokers, "--topic", "machines", "--events", "200")
	t.Chdir(t.TempDir())
	if err := os.Mkdir("machines", 0o700); err != nil { // a folder of the topic's name is no file to look at
		t.Fatal(err)
	}
	text := must(t, "create", "points", "--from", "machines", "--brokers", brokers)
	for _, want := range []string{"name: machines", "${GONOMALY_TOPIC:-machines}", "${GONOMALY_GROUP:-gonomaly.machines}", "key: [machine]", "field: ts", "unit: ms", "values: [temp, pressure, rpm, vibration, load]"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing from\n%s", want, text)
		}
	}
}

// Produce makes a missing topic, writes what it says, and prints each injected anomaly as a line of JSON.
func TestProduce(t *testing.T) {
	broker, err := embedded.Start(1)
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	brokers := strings.Join(broker.Addresses(), ",")
	code, out, errs := run(t, "produce", "--brokers", brokers, "--topic", "new", "--events", "4000", "--keys", "4", "--anomalies", "30", "--partitions", "3")
	if code != exitGood || !strings.Contains(errs, "4000 events") {
		t.Fatalf("exit %d: %s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines {
		var i generate.Injection
		if err := json.Unmarshal([]byte(line), &i); err != nil || i.Machine == "" || i.End.Before(i.Start) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if len(lines) < 3 {
		t.Errorf("%d anomalies in 4000 events at 30 per 10000", len(lines))
	}
	file := write(t, "rows.csv", "t,x\n1,2\n3,4\n")
	must(t, "produce", "--brokers", brokers, "--topic", "rows", "--input", file)
	opts, err := kafka.Config{Brokers: broker.Addresses()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	records, err := kafka.ReadAll(t.Context(), opts, "rows")
	if err != nil || len(records) != 2 || string(records[1].Value) != `{"t":3,"x":4}` {
		t.Errorf("%v: records %v", err, records)
	}
	records, err = kafka.ReadAll(t.Context(), opts, "new")
	if err != nil || len(records) != 4000 {
		t.Errorf("%v: %d records, want 4000", err, len(records))
	}
}

// A backtest in which nothing can be decoded has failed, and says why.
func TestBacktestOfNothing(t *testing.T) {
	config := write(t, "g.yaml", "streams: [{name: s, topics: [t], decode: {values: [x]}, detectors: [{kind: ewma}]}]\n")
	file := write(t, "data.csv", "y\n1\n2\n")
	code, out, errs := run(t, "backtest", "-c", config, "--input", file, "--out", t.TempDir())
	if code != exitFailed || !strings.Contains(out, "2 rows refused, the first: row 1: missing_field: x is missing") || !strings.Contains(errs, "no row could be decoded") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// What run says of a file is what backtest says of it.
func TestRunInput(t *testing.T) {
	const taxi = "../../sources/generate/data/nyc_taxi.csv.gz"
	dir := t.TempDir()
	settings := must(t, "create", "metrics", "--from", taxi)
	settings = settings[:strings.Index(settings, "sinks:")] + "sinks: [{kind: file, path: '" + filepath.ToSlash(filepath.Join(dir, "out.jsonl")) + "'}]\n"
	config := write(t, "g.yaml", settings)
	must(t, "backtest", "-c", config, "--input", taxi, "--out", dir)
	if code, _, errs := run(t, "run", "-c", config, "--input", taxi); code != exitGood {
		t.Fatalf("exit %d: %s", code, errs)
	}
	want, err := os.ReadFile(filepath.Join(dir, "alerts.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "out.jsonl"))
	if err != nil || !bytes.Equal(got, want) || len(want) == 0 {
		t.Errorf("%v: run tells %d bytes of alerts, backtest %d, and they are not the same", err, len(got), len(want))
	}
	misspelt := write(t, "misspelt.yaml", strings.ReplaceAll(settings, "values: [value]", "values: [valeu]"))
	if code, _, errs := run(t, "run", "-c", misspelt, "--input", taxi); code != exitFailed || !strings.Contains(errs, "valeu is missing") ||
		strings.Count(errs, "set aside") != 1 || !strings.Contains(errs, "no record could be decoded") {
		t.Errorf("of a misspelt field: exit %d: %s", code, errs)
	}
}

// With a file, too, as much is logged as the configuration says.
func TestRunInputLogs(t *testing.T) {
	const settings = "streams: [{name: s, topics: [t], decode: {values: [x]}, detectors: [{kind: ewma}]}]\n"
	file := write(t, "data.csv", "x\n1\n2\n")
	for level, want := range map[string]bool{"info": true, "warn": false} {
		config := write(t, "g.yaml", "log: {level: "+level+"}\n"+settings)
		if code, _, errs := run(t, "run", "-c", config, "--input", file); code != exitGood || strings.Contains(errs, `"msg":"read"`) != want {
			t.Errorf("with level %s: exit %d: %s", level, code, errs)
		}
	}
}

func TestVersion(t *testing.T) {
	var b build
	if err := json.Unmarshal([]byte(must(t, "version", "--json")), &b); err != nil {
		t.Fatal(err)
	}
	if b.Go == "" || b.Commit == "" || b.Platform == "" {
		t.Errorf("build %+v lacks something", b)
	}
}

func TestSchemas(t *testing.T) {
	for _, kind := range []string{"config", "alert"} {
		var s struct {
			Schema string `json:"$schema"`
		}
		if err := json.Unmarshal([]byte(must(t, "schema", kind)), &s); err != nil || !strings.Contains(s.Schema, "2020-12") {
			t.Errorf("schema %s: %v, $schema is %s", kind, err, s.Schema)
		}
	}
}

// A command that is interrupted ends, and says so by its exit code.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var o, e bytes.Buffer
	if code := execute(ctx, []string{"demo", "--for", "1h"}, nil, &o, &e); code != exitFailed || !strings.Contains(e.String(), "interrupted") {
		t.Errorf("exit %d, want %d: %s", code, exitFailed, e.String())
	}
}

// A command that is told to end does so, even if what it waits for never comes; and one that ends by itself has the time that it needs.
func TestBounded(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration // to end once it is told to
		after time.Duration // the command ends
		code  int
	}{
		"at once": {0, 0, 7},
		"in time": {endTime - time.Millisecond, endTime - time.Millisecond, 7},
		"never":   {time.Hour, endTime, exitFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin := time.Now()
				var errs bytes.Buffer
				code := bounded(ctx, &errs, func() int {
					<-ctx.Done()
					time.Sleep(c.takes)
					return 7
				})
				if took := time.Since(begin) - time.Minute; code != c.code || took != c.after || (errs.Len() > 0) != (code == exitFailed) {
					t.Errorf("exit %d after %v, want %d after %v: %s", code, took, c.code, c.after, errs.String())
				}
				time.Sleep(time.Hour) // the bubble wants all to end
			})
		})
	}
}

// Flags that name a configuration do so in every command.
func TestConfigFlag(t *testing.T) {
	for _, name := range []string{"run", "validate", "backtest"} {
		c, _, err := newRoot().Find([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		if f := c.Flags().ShorthandLookup("c"); f == nil || f.Name != "config" {
			t.Errorf("%s has no -c, --config", name)
		}
	}
}
