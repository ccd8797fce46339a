package backtest_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/service/backtest"
)

// The benchmark's layout has a row for each row of the input. A score of 0.5 is the limit.
func TestNAB(t *testing.T) {
	rows := samples(4000)
	for name, c := range settings {
		if c.every > 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			text := csvOf(t, rows)
			o := options(t, c.yaml, folder(t, map[string]string{"realKnownCause/x.csv": text, "realTweets/x.csv.gz": zipped(t, text)}))
			o.NAB = true
			r := run(t, o)
			for _, f := range r.files {
				category := filepath.Base(filepath.Dir(f.Path))
				nab := r.rows("timestamp,value,anomaly_score", "gonomaly", category, "gonomaly_x.csv")
				scores := r.scores(f.Name)
				if len(nab) != len(rows) {
					t.Fatalf("%d rows, want the input's %d", len(nab), len(rows))
				}
				for i, row := range nab {
					at, value := rows[i].at.Format(time.DateTime), rows[i].value
					if value == "" {
						at = ""
					}
					same := value == row[1] || value != "" && row[1] != "" && number(t, row[1]) == number(t, value)
					if row[0] != at || !same && c.points == 0 { // a point of several samples has no one value
						t.Fatalf("row %d is %q, want timestamp %q and value %q", i, row, at, value)
					}
					s := number(t, row[2])
					if s < 0 || s > 1 || math.IsNaN(s) || (s >= .5) != (scores[i][alert] == "1") {
						t.Fatalf("row %d has score %v, want one in [0, 1], at least 0.5 exactly where alert is 1: %q", i, s, scores[i])
					}
				}
			}
		})
	}
}

// Where rows are gathered into windows there is nothing to say of each.
func TestNABNeedsRows(t *testing.T) {
	o := options(t, settings["windows"].yaml, folder(t, map[string]string{"x.csv": csvOf(t, samples(10))}))
	o.NAB = true
	if _, err := backtest.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "windows") {
		t.Errorf("Run: %v, want an error that says why", err)
	}
}

// The category is the folder that the file lies in, however that is written.
func TestNABCategory(t *testing.T) {
	text := map[string]string{"realAWS/x.csv": "v\n1\n", "realAWS/deeper/y.csv": "v\n1\n"}
	for input, from := range map[string]string{"x.csv": "realAWS", "../x.csv": "realAWS/deeper", "realAWS/x.csv": "."} {
		dir := folder(t, text)
		t.Chdir(filepath.Join(dir, from))
		o := options(t, simple, input)
		o.NAB = true
		if n := len(run(t, o).rows("timestamp,value,anomaly_score", "gonomaly", "realAWS", "gonomaly_x.csv")); n != 1 {
			t.Errorf("%s from %s: %d rows, want 1", input, from, n)
		}
	}
	dir := folder(t, map[string]string{"a/c/x.csv": "v\n1\n", "b/c/x.csv": "v\n1\n"})
	o := options(t, simple, dir)
	o.NAB = true
	if _, err := backtest.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "gonomaly_x.csv") {
		t.Errorf("two files of one category and name: %v, want an error that names the file", err)
	}
}

// Keys come back from the scores as they were.
func TestKeysSurvive(t *testing.T) {
	odd := []string{"", " ", "a,b", `"`, `"quoted"`, "two\nlines", "x\ry", "a;b\t", "=1+1", "ключ", `\"`}
	var rows []sample
	for i, k := range odd {
		rows = append(rows, sample{time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC), k, "1"})
	}
	r := run(t, options(t, settings["records"].yaml, folder(t, map[string]string{"x.jsonl": jsonOf(t, rows)})))
	scores := r.scores("x")
	if len(scores) != len(odd) {
		t.Fatalf("%d rows, want %d", len(scores), len(odd))
	}
	for i, want := range odd {
		if got := scores[i][key]; got != want {
			t.Errorf("key %q comes back as %q", want, got)
		}
	}
}
