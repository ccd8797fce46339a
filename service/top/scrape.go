// Package top shows how running instances of Gonomaly do, from what their HTTP ports say: a Scrape is one look at one instance, a View what
// two looks at each of them come to, and Text is a View for people. Run keeps it on a terminal.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gonomaly/gonomaly/service/recent"
)

// Scrape is what an instance said when it was asked.
type Scrape struct {
	URL   string
	At    time.Time
	Err   error // why it could not be asked; nothing else is set then
	Ready bool
	Says  []string  // lines of /-/ready: why it is not ready, or who is still learning
	Loops []string  // lines of /-/healthy: loops that are stuck or slow
	Stuck bool      // it is not healthy
	Clock time.Time // the instance's, to a second; zero where it does not tell

	Keys   *recent.Keys // the noisiest; nil where it does not list them
	Alerts []Alert      // the last ones

	families map[string]*dto.MetricFamily
}

// What an answer may come to: 64 partitions take less than 1 MB.
const (
	maxMetrics = 64 << 20 // bytes
	maxState   = 64 << 10 // bytes
	maxTold    = 16 << 20 // bytes
)

// ParseURLs are the URLs of instances, each once, as Ask wants them: one that is named twice would be counted twice.
func ParseURLs(texts []string) ([]string, error) {
	var urls []string
	for _, text := range texts {
		u, err := url.Parse(text)
		base := strings.TrimRight(text, "/")
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
			return nil, fmt.Errorf("the URL of an instance is %q, want one such as http://localhost:9464", text)
		case !slices.Contains(urls, base):
			urls = append(urls, base)
		}
	}
	return urls, nil
}

// Ask looks at the instance at a URL once. It is bounded by ctx alone.
func Ask(ctx context.Context, base string) Scrape {
	s := Scrape{URL: base}
	var metrics answer
	if s.Err = get(ctx, base+"/metrics", maxMetrics, &metrics, http.StatusOK); s.Err != nil {
		return s
	}
	s.At, s.Clock = time.Now(), metrics.clock
	if s.Err = s.Parse(metrics.text); s.Err != nil {
		return s
	}
	if s.Ready, s.Says, s.Err = state(ctx, base, "ready"); s.Err != nil {
		return s
	}
	var healthy bool
	if healthy, s.Loops, s.Err = state(ctx, base, "healthy"); s.Err != nil {
		return s
	}
	s.Stuck = !healthy
	s.Err = s.told(ctx, base)
	return s
}

// Parse reads metrics in the text format of Prometheus.
func (s *Scrape) Parse(text string) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	switch {
	case err != nil:
		return fmt.Errorf("its metrics cannot be read: %w", err)
	case families["gonomaly_config_last_reload_successful"] == nil:
		return errors.New("what answers there is not Gonomaly")
	}
	s.families = families
	return nil
}

// state asks an instance whether it is ready, or healthy, and for the lines that it has to say about it.
func state(ctx context.Context, base, good string) (is bool, says []string, err error) {
	var a answer
	if err := get(ctx, base+"/-/"+good, maxState, &a, http.StatusOK, http.StatusServiceUnavailable); err != nil {
		return false, nil, err
	}
	first, rest, _ := strings.Cut(strings.TrimSpace(a.text), "\n")
	if why, found := strings.CutPrefix(first, "not "+good+": "); found {
		says = append(says, why)
	}
	for line := range strings.Lines(rest) {
		says = append(says, strings.TrimSpace(line))
	}
	return first == good, says, nil
}

// answer is a body with its status, and what the other's clock said.
type answer struct {
	status int
	text   string
	clock  time.Time
}

// get reads an answer that has one of these statuses.
func get(ctx context.Context, address string, most int64, to *answer, statuses ...int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) { // the address stands beside it already
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return err
	}
	if !slices.Contains(statuses, resp.StatusCode) {
		return fmt.Errorf("%s answers %s", req.URL.Path, resp.Status)
	}
	to.status, to.text = resp.StatusCode, string(b)
	to.clock, _ = http.ParseTime(resp.Header.Get("Date")) // zero where there is none
	return nil
}

// labels are those of one series.
type labels = map[string]string

// Each calls f for the series of a metric.
func (s *Scrape) Each(name string, f func(labels map[string]string, value float64)) {
	for _, m := range s.families[name].GetMetric() {
		l := labels{}
		for _, p := range m.Label {
			l[p.GetName()] = p.GetValue()
		}
		f(l, m.GetCounter().GetValue()+m.GetGauge().GetValue()+m.GetUntyped().GetValue())
	}
}

// value is that of a metric without labels.
func (s *Scrape) value(name string) (value float64, known bool) {
	s.Each(name, func(_ labels, x float64) { value, known = x, true })
	return value, known
}
