package backtest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/service/backtest"
)

// sample is a row of a file. Without a value it is refused.
type sample struct {
	at    time.Time
	key   string
	value string
}

var keys = []string{"plain", "with, comma", `says "no"`, "<script>alert(1)</script>"}

// samples are n rows, 20 s apart, one key after the other: noise with spikes up and down, of which some are followed by a worse one, and
// rows without a value.
func samples(n int) []sample {
	r := rand.New(rand.NewPCG(1, 2))
	worse := map[string]bool{}
	rows := make([]sample, n)
	for i := range rows {
		k := keys[i%len(keys)]
		v := 10 + r.NormFloat64()
		what := r.IntN(100)
		switch {
		case worse[k]:
			v += 100
		case what < 2:
			v += 8
		case what < 3:
			v -= 8
		}
		worse[k] = what == 0
		rows[i] = sample{time.Date(2026, 1, 1, 0, 0, 20*i, 0, time.UTC), k, strconv.FormatFloat(v, 'f', 3, 64)}
		if i%97 == 13 || i == n-1 {
			rows[i].value = ""
		}
	}
	return rows
}

func csvOf(t *testing.T, rows []sample) string {
	t.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	lines := [][]string{{"ts", "key", "v", "unused"}}
	for _, r := range rows {
		lines = append(lines, []string{strconv.FormatInt(r.at.UnixMilli(), 10), r.key, r.value, "x,y"})
	}
	if err := w.WriteAll(lines); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func jsonOf(t *testing.T, rows []sample) string {
	t.Helper()
	var b strings.Builder
	for _, r := range rows {
		key, err := json.Marshal(r.key)
		if err != nil {
			t.Fatal(err)
		}
		value := r.value
		if value == "" {
			value = "null"
		}
		fmt.Fprintf(&b, `{"key":%s,"ts":%d,"v":%s}`+"\n", key, r.at.UnixMilli(), value)
	}
	return b.String()
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// folder writes files, by their paths, into a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// options make a backtest of a stream with these settings, into a new folder.
func options(t *testing.T, yaml string, inputs ...string) backtest.Options {
	t.Helper()
	indented := "    " + strings.ReplaceAll(strings.TrimSpace(yaml), "\n", "\n    ")
	c, err := config.Parse("settings", []byte("streams:\n  - name: s\n    topics: [in]\n"+indented+"\n"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return backtest.Options{Stream: c.Streams[0], Inputs: inputs, Out: filepath.Join(t.TempDir(), "out"), Log: slog.New(slog.DiscardHandler)}
}

// results are what a backtest came to, and wrote.
type results struct {
	*testing.T
	out   string
	files []backtest.File
}

func run(t *testing.T, o backtest.Options) results {
	t.Helper()
	files, err := backtest.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return results{t, o.Out, files}
}

// names of the files' results.
func (r results) names() []string {
	var names []string
	for _, f := range r.files {
		names = append(names, f.Name)
	}
	return names
}

func (r results) read(path ...string) string {
	r.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{r.out}, path...)...))
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}

// rows are those of a CSV file with this header.
func (r results) rows(header string, path ...string) [][]string {
	r.Helper()
	text := r.read(path...)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		r.Fatal(err)
	}
	if got, _, _ := strings.Cut(text, "\n"); got != header {
		r.Fatalf("the header of %s is %q, want %q", filepath.Join(path...), got, header)
	}
	return rows[1:]
}

// Columns of a file of scores.
const (
	timestamp = iota
	key
	score
	pValue
	limit
	alert
	untold
)

func (r results) scores(name string) [][]string {
	r.Helper()
	return r.rows("timestamp,key,score,p_value,limit,alert,untold", name+".scores.csv")
}

// alerts are those that stand in alerts.jsonl of this file, or of all for "".
func (r results) alerts(topic string, statuses ...pipeline.Status) []pipeline.Alert {
	r.Helper()
	var alerts []pipeline.Alert
	for line := range strings.Lines(r.read("alerts.jsonl")) {
		a, err := pipeline.ParseAlert([]byte(line))
		if err != nil {
			r.Fatal(err)
		}
		if (topic == "" || a.Origin.Topic == topic) && slices.Contains(statuses, a.Status) {
			alerts = append(alerts, a)
		}
	}
	return alerts
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
