package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A value is written as Grafana does, so that who knows a panel from a picture knows it again.
func TestUnits(t *testing.T) {
	for _, c := range []struct {
		x    float64
		unit string
		want string
	}{
		{0, "s", "0 s"}, {0.00042, "s", "420 µs"}, {0.25, "s", "250 ms"}, {90, "s", "1.5 min"}, {3 * 86400, "s", "3 days"}, {400 * 86400, "s", "1.1 years"},
		{0.5, "percentunit", "50%"}, {0.99998, "percentunit", "99.99%"}, {1, "percentunit", "100%"}, {1536, "bytes", "1.5 KiB"}, {2e6, "Bps", "2 MB/s"},
		{1234, "short", "1.23 K"}, {12, "short", "12"}, {0.0034, "short", "0.0034"}, {1500, "rps", "1.5 K req/s"}, {3, "cps", "3 c/s"}, {1e6, "cpm", "1 Mil c/m"},
		{2, "ops", "2 ops/s"}, {-5, "short", "-5"},
	} {
		if got := inUnit(c.x, c.unit); got != c.want {
			t.Errorf("%v in %s is %q, want %q", c.x, c.unit, got, c.want)
		}
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		unit      string
		want      string
	}{
		{0, 10, "s", "[0 2.5 5 7.5 10]"}, {0, 0, "s", "[0 0.25 0.5 0.75 1]"}, {0, 61, "s", "[0 30 60 90]"}, {0, 61, "short", "[0 20 40 60 80]"}, {0, 3456000, "s", "[0 1.2096e+06 2.4192e+06 3.6288e+06]"}, {-3, 3, "s", "[-4 -2 0 2 4]"}, {0, 1 + 1e-12, "s", "[0 0.25 0.5 0.75 1]"},
		{0, 3 << 20, "bytes", "[0 1.048576e+06 2.097152e+06 3.145728e+06]"}, {0, 100, "bytes", "[0 32 64 96 128]"},
	} {
		if got := fmt.Sprint(scale(c.low, c.high, c.unit)); got != c.want {
			t.Errorf("from %v to %v the marks are %s, want %s", c.low, c.high, got, c.want)
		}
	}
}

var shown = views{from: time.Unix(1_800_000_000, 0), to: time.Unix(1_800_000_600, 0)}

// fakePrometheus answers every query with two series: one steady, and one that is interrupted; queries that hold none find nothing.
func fakePrometheus(t *testing.T, none string) *httptest.Server {
	t.Helper()
	metric := func(instance string) map[string]string {
		return map[string]string{"instance": instance, "stream": "machines", "topic": "machines", "partition": "0", "version": "v1"}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var result []any
		for _, name := range []string{"$", "[rate]"} {
			if strings.Contains(r.FormValue("query"), name) {
				t.Errorf("%s is not filled in: %s", name, r.FormValue("query"))
			}
		}
		from, _ := strconv.ParseFloat(r.FormValue("start"), 64)
		switch {
		case strings.Contains(r.FormValue("query"), none):
		case strings.HasSuffix(r.URL.Path, "query"):
			result = append(result, map[string]any{"metric": metric("a<b"), "value": []any{from, "12.5"}})
		default:
			var steady, broken []any
			for i := range 121 {
				at := from + 5*float64(i)
				steady = append(steady, []any{at, "3"})
				switch {
				case i < 40 || i == 60:
					broken = append(broken, []any{at, fmt.Sprint(math.Round(5 * math.Sin(float64(i))))})
				case i < 60:
					broken = append(broken, []any{at, "NaN"})
				}
			}
			result = append(result, map[string]any{"metric": metric("a<b"), "values": steady}, map[string]any{"metric": metric("b"), "values": broken})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"result": result}})
	}))
	t.Cleanup(server.Close)
	return server
}

// Each dashboard that is deployed is drawn: with all of its panels, as XML that can be read, and not large.
func TestDraw(t *testing.T) {
	v := shown
	v.prometheus = fakePrometheus(t, "gonomaly_kafka_gaps_total").URL
	into := t.TempDir()
	if err := v.draw(t.Context(), root+deployed, into); err != nil {
		t.Fatal(err)
	}
	for _, b := range boards {
		picture, err := os.ReadFile(filepath.Join(into, strings.TrimSuffix(b.file(), ".json")+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		for read := xml.NewDecoder(strings.NewReader(string(picture))); ; {
			if _, err := read.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", b.title, err)
			}
		}
		for _, r := range b.rows {
			for _, p := range r.panels {
				if title := []rune(p.title); !strings.Contains(string(picture), ">"+escape(string(title[:min(len(title), 20)]))) {
					t.Errorf("%s: panel %q is not drawn", b.title, p.title)
				}
			}
		}
		if empty := strings.Contains(string(picture), "No data"); empty != (b.title == "Gonomaly / Error Tracking") {
			t.Errorf("%s: a panel without data: %v", b.title, empty)
		}
	}
}

// A line is interrupted where values are missing, and one that is alone is a dot; a level one needs its ends only.
func TestCurve(t *testing.T) {
	v := shown
	v.prometheus = fakePrometheus(t, "nothing").URL
	var p pane
	p.Type, p.Title = "timeseries", "two lines"
	p.GridPos.W, p.GridPos.H = 8, 8
	p.Targets = append(p.Targets, struct{ Expr, LegendFormat string }{"x", "at {{instance}}"})
	var c canvas
	if err := v.panel(t.Context(), &c, &p); err != nil {
		t.Fatal(err)
	}
	var strokes []string
	for line := range strings.Lines(c.String()) {
		if strings.Contains(line, `stroke-width="1.5"`) {
			strokes = append(strokes, line)
		}
	}
	if len(strokes) != 2 || strings.Count(strokes[1], "M") != 2 || !strings.Contains(strokes[1], `h.1"`) || strings.Count(strokes[0], "L") != 1 {
		t.Errorf("the lines are drawn as\n%s", strings.Join(strokes, ""))
	}
	for _, name := range []string{">at a&lt;b<", ">at b<"} {
		if !strings.Contains(c.String(), name) {
			t.Errorf("the legend lacks %s", name)
		}
	}
}

// What Prometheus refuses is said, with the query.
func TestDrawRefused(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"error","error":"too many"}`)
	}))
	defer refusing.Close()
	v := shown
	v.prometheus = refusing.URL
	if err := v.draw(t.Context(), root+deployed, t.TempDir()); err == nil || !strings.Contains(err.Error(), "too many") {
		t.Errorf("draw = %v, want what Prometheus says", err)
	}
	if err := v.draw(t.Context(), t.TempDir(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "make dashboards") {
		t.Errorf("draw without dashboards = %v, want how they are made", err)
	}
}
