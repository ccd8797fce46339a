package top

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/gonomaly/gonomaly/internal/golden"
)

// at is when the looks of testdata were taken; the ones before are ten seconds older.
var at = time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)

// recorded is a look at an instance that stands in a file.
func recorded(t *testing.T, url, file string, at time.Time) Scrape {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	s := Scrape{URL: url, At: at, Ready: true}
	if err := s.Parse(string(text)); err != nil {
		t.Fatal(err)
	}
	if instance, _, _ := strings.Cut(file, "."); strings.Contains(file, "after") { // what it lists stands beside it
		listing := httptest.NewServer(http.StripPrefix("/-/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join("testdata", instance+"."+r.URL.Path+".json"))
		})))
		defer listing.Close()
		if err := s.told(t.Context(), listing.URL); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

const first, second, third = "http://gonomaly-0:9464", "http://gonomaly-1:9464", "http://gonomaly-2:9464"

// three instances: one with all sorts of trouble, one that was restarted ten seconds ago, one that does not answer.
func three(t *testing.T) *looks {
	t.Helper()
	l := newLooks([]string{first, second, third})
	l.add(recorded(t, first, "first.before.prom", at.Add(-10*time.Second)))
	l.add(recorded(t, second, "second.before.prom", at.Add(-10*time.Second)))
	now := recorded(t, first, "first.after.prom", at)
	now.Ready, now.Says = false, []string{"sink redis: connection refused, retrying since 2026-01-01T00:09:00Z"}
	l.add(now)
	l.add(recorded(t, second, "second.after.prom", at))
	l.add(Scrape{URL: third, Err: errors.New("connection refused")})
	return l
}

func text(v View, l Layout) string { return strings.Join(Text(v, l), "\n") + "\n" }

func TestText(t *testing.T) {
	v := three(t).view(at)
	one := newLooks([]string{first})
	one.add(recorded(t, first, "first.before.prom", at.Add(-10*time.Second)))
	for name, c := range map[string]struct {
		View
		Layout
	}{
		"three":     {v, Layout{}},
		"filtered":  {v, Layout{Stream: "pay", Sort: BySeries, Most: 2}},
		"told":      {v, Layout{Stream: "pay", Most: 1, Told: 3, Brief: true}},
		"one-look":  {one.view(at), Layout{}},
		"nobody":    {newLooks(nil).view(at), Layout{}},
		"no-answer": {look([]Scrape{{URL: third, Err: errors.New("no such host")}}, nil, at), Layout{}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Paint = Plain
			got := text(c.View, c.Layout)
			golden.Check(t, filepath.Join("testdata", name+".want"), got)
			for line := range strings.Lines(got) {
				if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
					t.Errorf("a line ends in spaces: %q", line)
				}
			}
			c.Paint = Colours
			coloured := text(c.View, c.Layout)
			if ansi.Strip(coloured) != got || coloured == got {
				t.Errorf("with colours the text is another, or has none:\n%q", coloured)
			}
		})
	}
}

// Counters of a process that was restarted begin at 0 again, whatever they have come to since.
func TestRatesAreOfTwoLooks(t *testing.T) {
	v := three(t).view(at)
	for _, c := range []struct {
		what string
		got  count
		want count
	}{
		{"records of the first", v.Instances[0].Records, count{117345, 1234.5, true}}, // (112345 - 100000) / 10 s
		{"records of the second", v.Instances[1].Records, count{1000, 100, true}},     // not (1000 - 900) / 10 s
		{"alerts of the second", v.Instances[1].Alerts, count{2, 0.2, true}},          // and not (2 - 50) / 10 s
		{"delivered by redis", v.Sinks[0].Delivered, count{15, 0.5, true}},            // (12 - 10 + 3) / 10 s
		{"dead letters, none before", v.Troubles[1].Count, count{5, 0.5, true}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, c.got, c.want)
		}
	}
	if what := v.Troubles[1].What; what != "dead letters bad_json" {
		t.Errorf("the second trouble is %q, want the dead letters", what)
	}
}

// Rates are over ten seconds or a little more, however often is looked.
func TestWindow(t *testing.T) {
	l := newLooks([]string{first})
	for i := range 20 {
		l.add(recorded(t, first, "first.before.prom", at.Add(time.Duration(i)*2*time.Second)))
	}
	all := l.good[first]
	if n, span := len(all), all[len(all)-1].At.Sub(all[0].At); n != 6 || span != 10*time.Second {
		t.Errorf("%d looks over %v are kept, want 6 over 10 s", n, span)
	}
	l.add(Scrape{URL: first, Err: errors.New("away")})
	l.add(recorded(t, first, "first.after.prom", at.Add(time.Hour)))
	if all := l.good[first]; len(all) != 2 {
		t.Errorf("%d looks are kept after an hour without an answer, want the two that rates are made of", len(all))
	}
}

// Whatever the order, the worst partition stands first, and before it one of which nothing is known.
func TestOrders(t *testing.T) {
	v := View{Partitions: []Partition{
		{ID: 0, Records: 1, Lag: 1, Series: 9, Watermark: 3, Checkpoint: 5},
		{ID: 1, Records: unknown, Lag: unknown, Series: unknown, Watermark: unknown, Checkpoint: unknown},
		{ID: 2, Records: 7, Lag: 8, Series: 1, Watermark: 4, Checkpoint: 6},
	}}
	for order, want := range map[Order]string{ByLag: "1 2 0", ByRecords: "1 2 0", ByCheckpoint: "1 2 0", ByWatermark: "1 2 0", BySeries: "1 0 2", ByName: "0 1 2"} {
		_, lines := Layout{Sort: order, Paint: Plain}.partitions(v)
		var got []string
		for _, line := range lines[1:] {
			got = append(got, strings.Fields(line)[0])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("by %v partitions are %v, want %s", order, got, want)
		}
	}
	for o := range Order(len(orders)) {
		if same, err := ParseOrder(o.String()); err != nil || same != o {
			t.Errorf("ParseOrder(%q) = %v, %v", o, same, err)
		}
	}
	if _, err := ParseOrder("size"); err == nil || !strings.Contains(err.Error(), "lag, records") {
		t.Errorf("ParseOrder of a name that is none: %v, want one that lists them", err)
	}
}

// An instance that lists neither keys nor alerts, as earlier ones do, is shown without them.
func TestToldByNobody(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusForbidden} {
		old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer old.Close()
		s := Scrape{URL: old.URL}
		if err := s.told(t.Context(), old.URL); err != nil || s.Keys != nil || s.Alerts != nil {
			t.Errorf("of one that answers %d: %v, %+v, %v", status, s.Keys, s.Alerts, err)
		}
	}
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"alerts":[{"event":{}}]}`)) }))
	defer broken.Close()
	if err := new(Scrape).told(t.Context(), broken.URL); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("of one that lists no alerts: %v, want that they cannot be read", err)
	}
	v := look([]Scrape{recorded(t, first, "first.before.prom", at)}, nil, at)
	if got := text(v, Layout{Told: 5, Paint: Plain}); strings.Contains(got, "INCIDENTS") || strings.Contains(got, "LAST ALERTS") {
		t.Errorf("where nobody lists them it shows\n%s", got)
	}
}

// Keys and reasons are of somebody's records: what moves a cursor or colours a terminal is not passed on to it.
func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		text string
		most int
		want string
	}{
		{"machine-1", 40, "machine-1"},
		{"\x1b[2Jgone\r\n\x07", 40, "·[2Jgone···"},
		{"a\u202eb\xff", 0, "a·b·"},
		{"Zürich 東京", 40, "Zürich 東京"},
		{strings.Repeat("東", 30), 40, strings.Repeat("東", 19) + "…"},
	} {
		if got := printable(c.text, c.most); got != c.want {
			t.Errorf("printable(%q, %d) = %q, want %q", c.text, c.most, got, c.want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Span(unknown), "–"}, {Span(0), "0 s"}, {Span(0.0004), "<1 ms"}, {Span(0.25), "250 ms"}, {Span(59.94), "59.9 s"}, {Span(61), "1m 01s"},
		{Span(-61), "-1m 01s"}, {Span(2*3600 + 300), "2h 05m"}, {Span(86400 * 30), "30 d"}, {Span(1e12), "11574074 d"},
		{amount(unknown), "–"}, {amount(0), "0"}, {amount(999), "999"}, {amount(1234567), "1,234,567"}, {amount(-1234), "-1,234"},
		{perSecond(count{Rate: 0.25}), "–"}, {perSecond(count{Rate: 0.25, Known: true}), "0.2"}, {perMinute(count{Rate: 100, Known: true}), "6,000"},
		{perMinute(count{Known: true}), "0"},
		{size(64 << 20), "64 MiB"}, {size(3 << 29), "1.5 GiB"}, {size(unknown), "–"}, {cores(1.5), "150 %"}, {cores(unknown), "–"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestFirst(t *testing.T) {
	for line, want := range map[string]string{
		"":                        "",
		"a: b":                    "a: b",
		"a [x; y]; b; c [z; z]":   "a [x; y] (and 2 more)",
		"[::1]:6379: refused [x]": "[::1]:6379: refused [x]",
	} {
		if got := First(line); got != want {
			t.Errorf("First(%q) = %q, want %q", line, got, want)
		}
	}
}

func TestParseURLs(t *testing.T) {
	urls, err := ParseURLs([]string{"http://localhost:9464", "https://gonomaly.example/", "http://[::1]:9464", "http://localhost:9464//"})
	if want := []string{"http://localhost:9464", "https://gonomaly.example", "http://[::1]:9464"}; err != nil || !slices.Equal(urls, want) {
		t.Errorf("ParseURLs = %q, %v, want %q", urls, err, want)
	}
	for _, bad := range []string{"", "localhost:9464", "ftp://x", "http://", "http://x/metrics", "http://x?y", "http://x:y"} {
		if _, err := ParseURLs([]string{"http://x", bad}); err == nil {
			t.Errorf("ParseURLs(%q) = nil", bad)
		}
	}
}
