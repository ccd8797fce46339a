package backtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/service/backtest"
)

// settings of streams, and what follows from them.
var settings = map[string]struct {
	yaml   string
	warmUp int           // samples of a series, or windows, without a score
	points int           // of them that make no point
	every  time.Duration // of windows
	csv    bool          // reads nothing else
}{
	"records": {warmUp: 30, yaml: `decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
detectors: [{kind: ewma, half_life: 30}]
alert: {false_alarms: 1 per 100 points, escalate: 1.2, cool_down: 10m}`},

	"csv": {warmUp: 30, csv: true, yaml: `decode: {format: csv, columns: [v, ts, key], key: key, time: {field: ts, unit: ms}, values: [v]}
detectors: [{kind: ewma, half_life: 30}]
alert: {false_alarms: 1 per 100 points, escalate: 1.2, cool_down: 10m}`}, // columns as the file's header has them, not as they stand here

	"several detectors": {warmUp: 10, yaml: `decode: {key: key, time: {field: ts, unit: ms}, values: v}
detectors: [{kind: ewma, half_life: 30, warm_up: 20}, {kind: ewma, half_life: 5, warm_up: 10}]
alert: {false_alarms: 1 per 100 points, escalate: 1.05, cool_down: 20 points, direction: up}`},

	"last samples": {warmUp: 32, points: 2, yaml: `decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
window: {last: 3}
detectors: [{kind: ewma, half_life: 30}]
alert: {false_alarms: 1 per 100 points, escalate: 1.2, cool_down: 10 points}`},

	"windows": {warmUp: 20, every: 3 * time.Minute, yaml: `decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
window: {every: 3m, aggregate: [count, mean]}
detectors: [{kind: ewma, half_life: 30, warm_up: 20}]
drift: [{kind: page_hinkley, on: values}]
alert: {false_alarms: 1 per 100 points, escalate: 1.2, cool_down: 3h}`},
}

// wantRows are the time and key of each row of scores: of each sample, empty where it is refused, or of each window that a later sample
// closes.
func wantRows(rows []sample, every time.Duration) [][]string {
	var want [][]string
	if every == 0 {
		for _, s := range rows {
			row := []string{"", ""}
			if s.value != "" {
				row = []string{s.at.Format(time.RFC3339Nano), s.key}
			}
			want = append(want, row)
		}
		return want
	}
	var last time.Time
	for _, s := range rows {
		if s.value == "" {
			continue
		}
		want = append(want, []string{s.at.Truncate(every).Add(every).Format(time.RFC3339Nano), s.key})
		last = s.at
	}
	slices.SortFunc(want, slices.Compare)
	want = slices.CompactFunc(want, slices.Equal)
	open := last.Format(time.RFC3339Nano)
	return slices.DeleteFunc(want, func(row []string) bool { return row[0] > open })
}

// The laws of the scores, for every kind of stream and of file.
func TestScores(t *testing.T) {
	rows := samples(4000)
	text := csvOf(t, rows)
	lines := jsonOf(t, rows)
	files := map[string]string{"a.csv": text, "b.csv.gz": zipped(t, text), "c.jsonl": lines, "d.ndjson.gz": zipped(t, lines)}
	onlyCSV := map[string]string{"a.csv": text, "b.csv.gz": zipped(t, text), "again/e.csv": text}
	for name, c := range settings {
		t.Run(name, func(t *testing.T) {
			dir, n := folder(t, files), len(files)
			if c.csv {
				dir, n = folder(t, onlyCSV), len(onlyCSV)
			}
			r := run(t, options(t, c.yaml, dir))
			if len(r.files) != n {
				t.Fatalf("%d files are played, want %d", len(r.files), n)
			}
			want := wantRows(rows, c.every)
			for _, f := range r.files {
				scores := r.scores(f.Name)
				var got [][]string
				for _, row := range scores {
					got = append(got, row[:score])
				}
				if !slices.EqualFunc(want, got, slices.Equal) { // cmp takes its time, and is asked only where it has to tell
					t.Fatalf("times and keys of %s (-want +got):\n%s", f.Name, cmp.Diff(want, got))
				}
				points := checkWarmUp(t, scores, c.warmUp)
				if f.Rows != int64(len(rows)) || f.Points != points-c.points*len(keys) {
					t.Errorf("%s has %d rows and %d points, want %d and %d", f.Name, f.Rows, f.Points, len(rows), points-c.points*len(keys))
				}
				told := r.alerts(filepath.Base(f.Path), pipeline.Open, pipeline.Update)
				opened := map[pipeline.Kind]int{}
				for _, a := range told {
					if a.Status == pipeline.Open {
						opened[a.Kind]++
					}
				}
				if f.Drifts != opened[pipeline.Drift] || f.Silent != opened[pipeline.Silence] {
					t.Errorf("%s has %d drifts and %d silences, want those of %v", f.Name, f.Drifts, f.Silent, opened)
				}
				told = slices.DeleteFunc(told, func(a pipeline.Alert) bool { return a.Kind != pipeline.Anomaly })
				checkAlerts(t, scores, told)
				checkUntold(t, scores)
				if f.Alerts != len(told) {
					t.Errorf("%s has %d alerts, want %d", f.Name, f.Alerts, len(told))
				}
				// Every file holds the same rows, and each is played from a fresh state.
				if first := r.read(r.files[0].Name + ".scores.csv"); first != r.read(f.Name+".scores.csv") {
					t.Errorf("the scores of %s differ from those of %s", f.Path, r.files[0].Path)
				}
			}
		})
	}
}

// checkWarmUp checks that a series' first rows have no score, and all others have one. It returns the number of rows that are not
// refused.
func checkWarmUp(t *testing.T, scores [][]string, warmUp int) (n int) {
	t.Helper()
	seen := map[string]int{}
	for i, row := range scores {
		if row[timestamp] == "" {
			if strings.Join(row, "") != "0dead_lettered" {
				t.Fatalf("row %d is of a refused record, and says %q", i, row)
			}
			continue
		}
		n++
		for _, column := range []int{score, pValue, limit} {
			if has, want := row[column] != "", seen[row[key]] >= warmUp; has != want {
				t.Fatalf("row %d, the series' %d, is %q: has a score %v, want %v", i, seen[row[key]], row, has, want)
			}
		}
		seen[row[key]]++
	}
	return n
}

// checkAlerts checks that a row says 1 exactly where an alert is told, with the same numbers.
func checkAlerts(t *testing.T, scores [][]string, told []pipeline.Alert) {
	t.Helper()
	type place struct{ time, key string }
	alerts, escalated := map[place]pipeline.Alert{}, 0
	for _, a := range told {
		alerts[place{a.Time.Format(time.RFC3339Nano), a.Key}] = a
		if a.Status == pipeline.Update {
			escalated++
		}
	}
	if len(alerts) < 10 || escalated == 0 {
		t.Fatalf("%d alerts, %d of them escalations: the rows say too little", len(alerts), escalated)
	}
	exact := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	marked := 0
	for i, row := range scores {
		a, ok := alerts[place{row[timestamp], row[key]}]
		want := append(slices.Clone(row[score:alert]), "0")
		if ok {
			want = []string{exact(a.Score), exact(a.PValue), exact(a.Limit), "1"}
			marked++
		}
		if !slices.Equal(row[score:untold], want) {
			t.Errorf("row %d is %q, want score, p-value, limit and alert %q", i, row, want)
		}
	}
	if marked != len(told) {
		t.Errorf("%d rows have an alert, want %d", marked, len(told))
	}
}

// checkUntold checks that every row over the limit, of 1 in 100, is told or says why not; and that no other says that something kept it back.
func checkUntold(t *testing.T, scores [][]string) {
	t.Helper()
	said := map[string]int{}
	for i, row := range scores {
		over := row[pValue] != "" && number(t, row[pValue]) <= 0.01*(1+1e-9)
		want := []string{"", "combination", "calibration"}
		switch {
		case row[timestamp] == "":
			want = []string{"dead_lettered"}
		case row[score] == "":
			want = []string{"warming"}
		case row[alert] == "1":
			want = []string{""}
		case over:
			want = []string{"incident", "direction"}
		}
		if !slices.Contains(want, row[untold]) {
			t.Errorf("row %d is %q, want one of %q said", i, row, want)
		}
		said[row[untold]]++
	}
	if said["incident"] == 0 || said["calibration"] == 0 || said["warming"] == 0 {
		t.Errorf("the rows say too little: %v", said)
	}
}

// A record of another kind has its row, as one that cannot be read has, and says which of the two it is.
func TestRowsOfAnotherKind(t *testing.T) {
	dir := folder(t, map[string]string{"x.jsonl": "{\"t\":\"a\",\"v\":1}\n{\"t\":\"b\"}\n{\"t\":\"a\"}\n"})
	r := run(t, options(t, "decode: {where: [{field: t, is: a}], values: v}\ndetectors: [{kind: ewma}]", dir))
	want := [][]string{{"2000-01-01T00:00:00Z", "", "", "", "", "0", "warming"}, {"", "", "", "", "", "0", "filtered"}, {"", "", "", "", "", "0", "dead_lettered"}}
	if diff := cmp.Diff(want, r.scores("x")); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
}

// Without a field for it, time goes by the row.
func TestRowsWithoutTimeAreASecondApart(t *testing.T) {
	dir := folder(t, map[string]string{"x.jsonl": "{\"v\":1}\n{\"v\":null}\n\n{\"v\":2}\n"})
	r := run(t, options(t, "decode: {values: v}\ndetectors: [{kind: ewma}]", dir))
	want := [][]string{{"2000-01-01T00:00:00Z", "", "", "", "", "0", "warming"}, {"", "", "", "", "", "0", "dead_lettered"}, {"2000-01-01T00:00:02Z", "", "", "", "", "0", "warming"}}
	if diff := cmp.Diff(want, r.scores("x")); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
}

const simple = "decode: {values: v}\ndetectors: [{kind: ewma}]"

// Results are named by their files, with as much of the path as tells them apart.
func TestInputs(t *testing.T) {
	for name, c := range map[string]struct{ files, inputs, want string }{
		"a file whatever its name":        {"values.txt", "values.txt", "values.txt"},
		"a folder, by extension":          {"b.csv a.json.gz c.txt d.csv.bak e/f.ndjson", ".", "a b f"},
		"inputs in their order":           {"b.csv a.csv", "b.csv a.csv", "b a"},
		"equal names in two folders":      {"d/x.csv e/x.csv e/y.csv", ".", "d_x e_x e_y"},
		"equal names further up":          {"1/d/x.csv 2/d/x.csv", "1 2", "1_d_x 2_d_x"},
		"equal names but for extensions":  {"x.csv x.csv.gz x.jsonl", ".", "x.csv x.csv.gz x.jsonl"},
		"equal once joined":               {"a_b.csv a/b.csv c/b.csv", ".", "1_a_b.csv 2_a_b.csv 3_c_b.csv"},
		"a file named twice":              {"a.csv b.csv", "a.csv b.csv ./a.csv", "a b"},
		"a folder, and a file within":     {"a.csv b.csv", ". a.csv", "a b"},
		"a folder, and results within it": {"a.csv out/old.csv", ".", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			text := map[string]string{}
			for _, f := range strings.Fields(c.files) {
				text[f] = "v\n1\n"
			}
			t.Chdir(folder(t, text))
			o := options(t, simple, strings.Fields(c.inputs)...)
			o.Out = "out"
			r := run(t, o)
			got := r.names()
			if want := strings.Fields(c.want); !slices.Equal(got, want) {
				t.Errorf("the results are named %q, want %q", got, want)
			}
			for _, name := range got {
				if n := len(r.scores(name)); n != 1 {
					t.Errorf("%s has %d rows, want 1", name, n)
				}
			}
		})
	}
}

// Two files with the same rows have alerts of their own.
func TestAlertsTellFilesApart(t *testing.T) {
	text := csvOf(t, samples(2000))
	r := run(t, options(t, settings["records"].yaml, folder(t, map[string]string{"a/x.csv": text, "b/x.csv": text})))
	ids := map[string]bool{}
	alerts := r.alerts("", pipeline.Open, pipeline.Update, pipeline.Resolve)
	for _, a := range alerts {
		ids[a.ID] = true
	}
	if len(ids) != len(alerts) || len(ids) == 0 {
		t.Errorf("%d alerts have %d ids, want each its own", len(alerts), len(ids))
	}
}

func TestBadInputs(t *testing.T) {
	const rows = "decode: {format: csv, columns: [a, v], values: v}\ndetectors: [{kind: ewma}]"
	cut := zipped(t, csvOf(t, samples(100)))[:500]
	for want, c := range map[string]struct{ yaml, file, text, input string }{
		"none.csv: no such file": {simple, "x.csv", "v\n1\n", "none.csv"},
		"empty holds no file that ends in one of .csv, .csv.gz, .jsonl": {simple, "empty/notes.txt", "x", "empty"},
		"x.csv:3: 1 columns, want the header's 2":                       {simple, "x.csv", "a,v\n1,2\n3\n", "x.csv"},
		"decode.values[0] is \"v\", want one of the columns a, w":       {rows, "x.csv", "a,w\n1,2\n", "x.csv"},
		"decode.format is csv, want json":                               {rows, "x.jsonl", "{\"v\":1}\n", "x.jsonl"},
		"unexpected EOF":                                                {simple, "x.csv.gz", cut, "x.csv.gz"},
		"x.json:1: begins with [, want lines of JSON":                   {simple, "x.json", "[{\"v\":1},\n{\"v\":2}]\n", "x.json"},
		"mkdir out: not a directory":                                    {simple, "out", "v\n1\n", "out"},
		"out is the folder of the inputs and that of the results":       {simple, "out/x.csv", "v\n1\n", "out"},
		"alerts.jsonl would be written over: it is an input":            {simple, "out/alerts.jsonl", "{\"v\":1}\n", "out/alerts.jsonl"},
		"report.html would be written over: it is an input":             {simple, "out/report.html", "{\"v\":1}\n", "out/report.html"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Chdir(folder(t, map[string]string{c.file: c.text}))
			o := options(t, c.yaml, c.input)
			o.Out = "out"
			files, err := backtest.Run(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Run: %v, want %s", err, want)
			}
			if len(files) != 0 {
				t.Errorf("Run returns %d files beside its error", len(files))
			}
			if _, err := os.Stat("out/report.html"); err == nil && c.file != "out/report.html" {
				t.Error("there is a report of what could not be played")
			}
			if b, err := os.ReadFile(c.file); err != nil || string(b) != c.text {
				t.Errorf("the file holds %q, %v, want it as it was", b, err)
			}
		})
	}
}

// A row that is refused is counted, and the first one's reason is told.
func TestRefusedRowsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		text, why    string
		rows, points int
	}{
		"none":           {"a,v\n1,2\n", "", 1, 1},
		"some":           {"a,v\n1,2\n1,x\n1,\n1,3\n", "row 2: wrong_type: ", 4, 2},
		"a wrong config": {"a,w\n1,2\n1,3\n", "row 1: missing_field: ", 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, options(t, simple, folder(t, map[string]string{"x.csv": c.text})))
			f := r.files[0]
			if f.Rows != int64(c.rows) || f.Points != c.points || f.Refused != c.rows-c.points {
				t.Errorf("%d rows, %d points, %d refused, want %d, %d, %d", f.Rows, f.Points, f.Refused, c.rows, c.points, c.rows-c.points)
			}
			if want := min(1, c.points); f.Series != want || f.Learning != want {
				t.Errorf("%d of %d series were learning to the end, want %d", f.Learning, f.Series, want)
			}
			if !strings.HasPrefix(f.Why, c.why) || (f.Why == "") != (c.why == "") {
				t.Errorf("Why is %q, want %q…", f.Why, c.why)
			}
			if got := strings.Contains(r.read("report.html"), "refused"); got != (c.why != "") {
				t.Errorf("the report tells of refused rows: %v, want %v", got, c.why != "")
			}
		})
	}
}

// What is stopped is not taken for a result: there is an error, no report, not even an earlier one, and no scores of the file it
// stopped in.
func TestCancelled(t *testing.T) {
	text := csvOf(t, samples(5000))
	o := options(t, settings["records"].yaml, folder(t, map[string]string{"a.csv": text, "b.csv": text, "c.csv": text}))
	o.NAB = true
	before := run(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	rows := int64(0)
	o.Progress = func(p backtest.Progress) {
		rows += 1000
		if filepath.Base(p.File) != fmt.Sprintf("%c.csv", 'a'+p.N) || p.Files != 3 || p.Done > p.Size || p.Size != int64(len(text)) || p.Rows != (rows-1)%5000+1 {
			t.Errorf("%+v, want %d rows in all of files of %d bytes", p, rows, len(text))
		}
		if p.N == 1 {
			cancel()
		}
	}
	files, err := backtest.Run(ctx, o)
	if !errors.Is(err, context.Canceled) || len(files) != 0 {
		t.Errorf("Run returns %d files and %v, want none and %v", len(files), err, context.Canceled)
	}
	category := filepath.Base(o.Inputs[0])
	for _, path := range []string{"report.html", "b.scores.csv", "gonomaly/" + category + "/gonomaly_b.csv"} {
		if _, err := os.Stat(filepath.Join(o.Out, path)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want it gone", path, err)
		}
	}
	if rows := before.scores("a"); len(rows) != 5000 {
		t.Errorf("the file that was done has %d rows, want 5000", len(rows))
	}
}
