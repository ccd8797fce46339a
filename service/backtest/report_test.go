package backtest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// loads finds what would make a page load or run something.
var loads = regexp.MustCompile(`(?i)<(script|link|iframe|img|object)|https?:|src=|url\(|@import|\son[a-z]+=`)

// The report is one page that loads nothing, and draws every file.
func TestReport(t *testing.T) {
	rows := samples(1500)
	for name, c := range settings {
		t.Run(name, func(t *testing.T) {
			text := csvOf(t, rows)
			r := run(t, options(t, c.yaml, folder(t, map[string]string{"a&b.csv": text, "<i>.csv": text, "empty.csv": "ts,key,v\n"})))
			page := r.read("report.html")
			if found := loads.FindAllString(page, -1); found != nil {
				t.Errorf("the page has %q, want nothing that it loads or runs", found)
			}
			if n := strings.Count(page, "<h2"); n != 3 {
				t.Errorf("%d files have a heading, want 3", n)
			}
			panels := 2 // of a series: its field and the surprise
			switch {
			case c.every > 0:
				panels = 3
			case c.points > 0:
				panels = 4
			}
			for i, part := range strings.Split(page, "<h2")[1:] {
				want := panels * len(keys)
				if strings.Contains(part, "empty.csv") {
					want = 0
				}
				if n := strings.Count(part, "<svg"); n != want {
					t.Errorf("file %d has %d drawings, want %d", i, n, want)
				}
			}
			for _, text := range []string{"&lt;script&gt;alert(1)&lt;/script&gt;", "a&amp;b.csv", "&lt;i&gt;.csv", "says &#34;no&#34;"} {
				if !strings.Contains(page, text) {
					t.Errorf("the page does not say %s", text)
				}
			}
			marks := 0
			for _, f := range r.files {
				marks += f.Alerts
			}
			if n := strings.Count(page, `<line class="alert`); n != marks*panels {
				t.Errorf("%d alerts are marked, want %d in each of the series' drawings", n, marks)
			}
			if strings.Contains(page, "NaN") || strings.Contains(page, "Inf") {
				t.Error("the page draws what is no number")
			}
		})
	}
}

// Of many files and series the first are drawn, and all are listed.
func TestReportIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "{\"key\":\"k%02d\",\"v\":%d}\n", i%10, i)
	}
	files := map[string]string{}
	for i := range 70 {
		files[fmt.Sprintf("%02d.jsonl", i)] = text.String()
	}
	r := run(t, options(t, "decode: {key: key, values: v}\ndetectors: [{kind: ewma}]", folder(t, files)))
	page := r.read("report.html")
	for tag, want := range map[string]int{"<td>": 70, "<h2": 60, "<svg": 60 * 6 * 2} { // six series' field and surprise
		if n := strings.Count(page, tag); n != want {
			t.Errorf("%d times %s, want %d", n, tag, want)
		}
	}
}

// A drawing has a few points for each column of pixels, and keeps every spike, however many points there are.
func TestDrawings(t *testing.T) {
	for name, c := range map[string]struct {
		rows             int
		value, top, want string
	}{
		// Of 1200 × 150 units: 1200·3/4 = 900, and 1 of 50 is 3.
		"a spike":                  {20_000, "50", "0 to 50<", "L900 150.0V0.0L901 150.0V147.0"},
		"beyond what can be drawn": {20_000, "1e300", "to 3.403e&#43;38<", "L900 150.0V0.0L901 150.0V150.0"},
		"many points":              {200_000, "50", "0 to 50<", "L900 150.0V0.0L901 150.0V147.0"},
	} {
		t.Run(name, func(t *testing.T) {
			values := strings.Split(strings.Repeat("0 1 ", c.rows/2)+"0", " ")
			values[c.rows*3/4+c.rows/1200/2] = c.value // in the middle of a column
			dir := folder(t, map[string]string{"x.csv": "v\n" + strings.Join(values, "\n")})
			page := run(t, options(t, simple, dir)).read("report.html")
			if !strings.Contains(page, c.top) {
				t.Errorf("no axis goes %s", c.top)
			}
			paths := regexp.MustCompile(`<path class="line" d="([^"]*)"`).FindAllStringSubmatch(page, -1)
			if len(paths) != 2 {
				t.Fatalf("%d lines, want 2", len(paths))
			}
			if !strings.Contains(paths[0][1], c.want) {
				t.Errorf("the line of the values lacks %s: %.100s", c.want, paths[0][1][strings.Index(paths[0][1], "L899"):])
			}
			for _, p := range paths {
				if !regexp.MustCompile(`^M\d+ -?\d+\.\d(V-?\d+\.\d)?(L\d+ -?\d+\.\d(V-?\d+\.\d)?)+$`).MatchString(p[1]) {
					t.Errorf("a line is drawn %.100s…, want M, L and V with numbers", p[1])
				}
				if n := strings.Count(p[1], "L"); n < 1000 || n > 1200 {
					t.Errorf("a line has %d columns, want one for each of 1200", n)
				}
			}
		})
	}
}
