package backtest

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/golden"
	"github.com/gonomaly/gonomaly/pipeline"
)

// picture is a made series that a stream with its defaults judges, and the part of it that is drawn.
type picture struct {
	name     string
	settings string // of the stream
	first    int    // row that is drawn
	rows     int
	marks    string // rows at which alerts are drawn: "none", or from-to of each
	x        func(r *rand.Rand, i int, before []float64) []float64
}

// daily is a day's curve of points that come each five minutes.
func daily(i int) float64 { return math.Sin(2 * math.Pi * float64(i) / 288) }

// from is by how much a value is higher from a row on.
func from(i, row int, by float64) float64 {
	if i < row {
		return 0
	}
	return by
}

// counts draws from a Poisson distribution.
func counts(r *rand.Rand, mean float64) float64 {
	n := 0.0
	for p := r.Float64(); p > math.Exp(-mean); n++ {
		p *= r.Float64()
	}
	return n
}

// one makes a series of one field.
func one(x func(r *rand.Rand, i int, before float64) float64) func(*rand.Rand, int, []float64) []float64 {
	return func(r *rand.Rand, i int, before []float64) []float64 { return []float64{x(r, i, before[0])} }
}

// level is noise that is a shift higher from row 1,000 on, and back from row 1,200 on; spike is one at row 900.
func level(shift, spike float64) func(*rand.Rand, int, []float64) []float64 {
	return one(func(r *rand.Rand, i int, _ float64) float64 {
		return r.NormFloat64() + from(i, 1000, shift) - from(i, 1200, shift) + from(i, 900, spike) - from(i, 901, spike)
	})
}

// pair is of two fields that go together, which two points do not.
func pair(r *rand.Rand, i int, _ []float64) []float64 {
	x := r.NormFloat64()
	y := x + 0.2*r.NormFloat64()
	if i == 3700 || i == 3900 {
		y = -y + math.Copysign(4, -x)
	}
	return []float64{x, y}
}

const (
	metric = "detectors: [{kind: metric}]\nalert: {false_alarms: 1 per 1000 points}"
	ewma   = "detectors: [{kind: ewma}]\nalert: {false_alarms: 1 per 1000000000 points}\n"
)

var pictures = []picture{
	{"ewma", "detectors: [{kind: ewma}]\nalert: {false_alarms: 1 per 1000 points}", 800, 1300, "900-900 1000-1000", level(5, 8)},
	{"ewma_chart", "detectors: [{kind: ewma_chart}]\nalert: {false_alarms: 1 per 1000 points}", 800, 1300, "1000-1010", level(2, 0)},
	{"cusum", "detectors: [{kind: cusum}]\nalert: {false_alarms: 1 per 1000 points}", 800, 1300, "1000-1015", level(2, 0)},
	{"median", "detectors: [{kind: median}]\nalert: {false_alarms: 1 per 1000 points}", 800, 1300, "900-900", level(5, 8)},
	{"holt_winters", "detectors: [{kind: holt_winters}]\nalert: {false_alarms: 1 per 1000 points}", 800, 1300, "1000-1000",
		one(func(r *rand.Rand, i int, _ float64) float64 {
			return 10*math.Sin(2*math.Pi*float64(i)/24) + r.NormFloat64() - from(i, 1000, 10) + from(i, 1001, 10)
		})},

	{"cut_forest", "detectors: [{kind: cut_forest}]\nalert: {false_alarms: 1 per 1000 points}", 3600, 4000, "3700-3700", pair},
	{"forest", "detectors: [{kind: forest}]\nalert: {false_alarms: 1 per 1000 points}", 3600, 4000, "3700-3700 3900-3900", pair},
	{"half_space_trees", "detectors: [{kind: half_space_trees}]\nalert: {false_alarms: 1 per 1000 points}", 3600, 4000, "3700-3700", pair},
	{"points", "detectors: [{kind: points}]\nalert: {false_alarms: 1 per 1000 points}", 3600, 4000, "3700-3700 3900-3900", pair},

	{"adwin", ewma + "drift: [{kind: adwin, on: values}]", 800, 1400, "1000-1050 1200-1250", level(2, 0)},
	{"seed", ewma + "drift: [{kind: seed, on: values}]", 800, 1400, "1000-1050 1200-1250", level(2, 0)},
	{"stepd", ewma + "drift: [{kind: stepd, on: values}]", 800, 1400, "1000-1050 1200-1400", level(2, 0)},
	{"hddm_a", ewma + "drift: [{kind: hddm_a, on: values}]", 800, 1400, "1000-1100 1200-1250", level(2, 0)},
	{"hddm_w", ewma + "drift: [{kind: hddm_w, on: values}]", 800, 1400, "1000-1050 1200-1400", level(2, 0)},
	{"page_hinkley", ewma + "drift: [{kind: page_hinkley, on: values}]", 800, 1400, "1000-1050 1200-1250", level(2, 0)},
	{"kswin", ewma + "drift: [{kind: kswin, on: values}]", 800, 1400, "1000-1050 1200-1400", level(2, 0)},
	{"psi", ewma + "drift: [{kind: psi, on: values}]", 800, 1400, "1000-1100", one(func(r *rand.Rand, i int, _ float64) float64 {
		return r.NormFloat64() * (1 + from(i, 1000, 2))
	})},

	{"metric_constant", metric, 2800, 3200, "3000-3000", one(func(_ *rand.Rand, i int, _ float64) float64 { return 7 + from(i, 3000, 0.007) })},
	{"metric_flat", metric, 2800, 3200, "none", one(func(*rand.Rand, int, float64) float64 { return 7 })},
	{"metric_stuck", metric, 4800, 5400, "5000-5030", one(func(r *rand.Rand, i int, before float64) float64 {
		if i >= 5000 && i < 5300 {
			return before
		}
		return r.NormFloat64()
	})},
	{"metric_missing_day", metric, 18 * 288, 23 * 288, "5760-5772", one(func(r *rand.Rand, i int, _ float64) float64 {
		if i/288 == 20 {
			return r.NormFloat64()
		}
		return 20 + 10*daily(i) + r.NormFloat64()
	})},
	{"metric_level", metric, 3800, 6400, "4000-4005 6000-6060", one(func(r *rand.Rand, i int, _ float64) float64 {
		return r.NormFloat64() + from(i, 4000, 10) - from(i, 6000, 10)
	})},
	{"metric_slow_drift", metric, 4000, 6000, "none", one(func(r *rand.Rand, i int, _ float64) float64 { return r.NormFloat64() + 0.01*float64(i) })},
	{"metric_counter", strings.Replace(metric, "kind: metric", "kind: metric, counter: true", 1), 4800, 5400, "5000-5010", one(func(r *rand.Rand, i int, before float64) float64 {
		return before + 100 + math.Round(10*r.NormFloat64()) + from(i, 5000, 200) - from(i, 5050, 200)
	})},
	{"metric_heavy_tails", metric, 4000, 6000, "none", one(func(r *rand.Rand, _ int, _ float64) float64 {
		return r.NormFloat64() / math.Sqrt(r.ExpFloat64())
	})},
	{"metric_spikes", metric, 400, 3000, "499-499 2499-2499", one(func(r *rand.Rand, i int, _ float64) float64 {
		return r.NormFloat64() + map[bool]float64{true: 10 + r.NormFloat64()}[i%500 == 499]
	})},
	{"metric_job", metric, 288, 12 * 288, "312-314 600-603 2040-2043 3276-3278", one(func(r *rand.Rand, i int, _ float64) float64 {
		hour, by := 2, 6.0
		if i/288 == 11 {
			hour = 9
		}
		if i%288 < 12*hour || i%288 > 12*hour+2 {
			by = 1
		}
		return by * (20 + 6*daily(i) + r.NormFloat64())
	})},
	{"metric_noise", metric, 4800, 5400, "5000-5100 5100-5200", one(func(r *rand.Rand, i int, _ float64) float64 { return r.NormFloat64() * (1 + from(i, 5000, 1)) })},
	{"metric_summer_time", strings.Replace(metric, "kind: metric", "kind: metric, zone: Europe/Berlin", 1), 54 * 288, 59 * 288, "none",
		one(func(r *rand.Rand, i int, _ float64) float64 {
			hour := (i/12 + 1) % 24
			if i >= 55*288+12 { // the night to the 29th of March, at one by UTC
				hour = (hour + 1) % 24
			}
			open := 0.0
			if hour >= 8 && hour < 18 {
				open = 20
			}
			return open + r.NormFloat64()
		})},
	{"metric_sparse_counts", metric, 7800, 8200, "8000-8000", one(func(r *rand.Rand, i int, _ float64) float64 {
		if i == 8000 {
			return 6
		}
		return counts(r, 0.05)
	})},
}

// begin is that of all pictures: 55 days before the clocks of Berlin go forward.
var begin = time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC)

// The pictures of the page are what the detectors do now, and show alerts where they are wanted.
func TestPictures(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "detectors.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pictures {
		t.Run(p.name, func(t *testing.T) {
			svg, rows := p.draw(t)
			if !p.shows(rows) {
				t.Errorf("alerts at %v, want %s", rows, p.marks)
			}
			if !strings.Contains(string(page), "(detectors/"+p.name+".svg)") {
				t.Errorf("docs/detectors.md does not show it")
			}
			if runtime.GOARCH == "amd64" { // elsewhere the last bits of floats may differ
				golden.Check(t, filepath.Join("..", "..", "docs", "detectors", p.name+".svg"), string(svg))
			}
		})
	}
}

// shows says whether there is an alert in each of the wanted places, one, and none elsewhere.
func (p picture) shows(rows []int) bool {
	if p.marks == "none" {
		return len(rows) == 0
	}
	wanted := strings.Fields(p.marks)
	if len(wanted) != len(rows) {
		return false
	}
	for i, w := range wanted {
		first, last, _ := strings.Cut(w, "-")
		low, _ := strconv.Atoi(first)
		high, _ := strconv.Atoi(last)
		if rows[i] < low || rows[i] > high {
			return false
		}
	}
	return true
}

// draw plays the series through a worker, and returns the picture and the rows in it at which an alert was raised.
func (p picture) draw(t *testing.T) (svg []byte, alerts []int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	x := p.x(random, 0, make([]float64, 4))
	fields := []string{"x", "y"}[:len(x)]
	settings := fmt.Sprintf("streams:\n- name: s\n  topics: [in]\n  decode: {format: csv, columns: [at, %s], time: {field: at, unit: s}, values: [%[1]s]}\n  %s\n",
		strings.Join(fields, ", "), strings.ReplaceAll(p.settings, "\n", "\n  "))
	c, err := config.Parse("picture", []byte(settings), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	w, err := pipeline.NewWorker("s", c.Streams[0].Config, pipeline.Partition{Topic: "in"})
	if err != nil {
		t.Fatal(err)
	}
	var drawing chart
	w.Trace = func(t pipeline.Trace) {
		if t.Offset < int64(p.first) {
			return
		}
		if drawing.add(t, fields); t.Told == pipeline.Open {
			alerts = append(alerts, int(t.Offset))
		}
	}
	for i := range p.rows {
		at := begin.Add(time.Duration(i) * 5 * time.Minute)
		value := strconv.AppendInt(nil, at.Unix(), 10)
		for _, v := range x {
			value = strconv.AppendFloat(append(value, ','), v, 'g', -1, 64)
		}
		told := w.Process([]pipeline.Record{{Offset: int64(i), Timestamp: at.UnixNano(), Value: value}}, 0)
		if i >= p.first && slices.ContainsFunc(told, func(m pipeline.Message) bool {
			return bytes.Contains(m.Value, []byte(`"kind":"drift","status":"open"`))
		}) {
			drawing.series[0].alerts = append(drawing.series[0].alerts, mark{at.UnixNano(), pipeline.Open, "drift"})
			alerts = append(alerts, i)
		}
		x = p.x(random, i+1, x)
	}
	const narrow, row = 480, 20 + height
	type placed struct {
		panel
		Y int
	}
	l := drawing.series[0]
	var panels []placed
	for f, name := range fields {
		panels = append(panels, placed{l.draw(narrow, name, l.values[f], l.low[f], l.high[f], false), f * row})
	}
	if !strings.Contains(p.settings, "drift") {
		panels = append(panels, placed{l.draw(narrow, "surprise (decades)", l.surprise, nil, nil, true), len(panels) * row})
	}
	var b bytes.Buffer
	if err := pictureText.Execute(&b, map[string]any{"Title": p.name, "Panels": panels, "Height": len(panels) * row, "Width": narrow}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), alerts
}

// pictureText is a file of its own, so colours stand where a page has classes.
var pictureText = template.Must(template.New("picture").Parse(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{.Width}} {{.Height}}" font-family="sans-serif" font-size="11"><title>{{.Title}}</title>
<rect width="100%" height="100%" fill="#fff"/>
{{range $p := .Panels}}<g transform="translate(0 {{.Y}})"><text x="2" y="14" fill="#66708a">{{.Name}}, {{.Bottom}} to {{.Top}}</text>
<svg y="20" width="{{.Width}}" height="{{.Height}}">{{if .Band}}<path fill="#2f5fd0" fill-opacity=".15" d="{{.Band}}"/>{{end}}<path fill="none" stroke="#2f5fd0" d="{{.Line}}"/>
{{if .IsSurprise}}<path stroke="#66708a" stroke-dasharray="4 4" d="M0 {{.LimitY}}H{{.Width}}"/>
{{end}}{{range .Marks}}<path stroke="{{if .Update}}#e38b12{{else}}#d6293e{{end}}" stroke-width="1.5" d="M{{printf "%.1f" .X}} 0v{{$p.Height}}"/>
{{end}}</svg></g>
{{end}}</svg>
`))
