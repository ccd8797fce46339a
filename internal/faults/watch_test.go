//go:build faults && unix

package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gonomaly/gonomaly/internal/faults/phone"
	"github.com/gonomaly/gonomaly/internal/local"
)

const monitoring = "../../config/monitoring/"

// watch is Prometheus, Alertmanager, and what has been seen there.
type watch struct {
	prometheus, alertmanager *local.Prometheus
	phone                    *phone.Phone
	targets                  string // directory of files that name who is scraped

	mu   sync.Mutex
	seen map[string]map[string]*sighting // by job, and by alert
}

// sighting is an alert, from when it was first seen in Alertmanager until it was gone.
type sighting struct {
	first, last time.Time
	told        time.Time // when somebody was told first; zero while another alert inhibits it
	active      bool      // it is there now; if not, last says since when
	summary     string    // the newest of them
	summaries   []string
	labels      map[string]string
}

// startWatch starts both with what config/monitoring has: the rules as they are, Prometheus at its pace, Alertmanager with its routes and
// inhibitions, and a phone at their ends.
func startWatch(t *testing.T, dir string) *watch {
	t.Helper()
	read := func(name string, into any) []byte {
		text, err := os.ReadFile(monitoring + name)
		if err == nil && into != nil {
			err = yaml.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return text
	}
	w := &watch{phone: phone.Start(t), targets: filepath.Join(dir, "targets"), seen: map[string]map[string]*sighting{}}
	for _, d := range []string{"prometheus", "alertmanager", "targets"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	text, err := w.phone.Connect(read("alertmanager.yml", nil), filepath.Join(dir, "alertmanager"))
	if err != nil {
		t.Fatal(err)
	}
	if w.alertmanager, err = local.StartAlertmanager(t.Context(), filepath.Join(dir, "alertmanager"), text); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.alertmanager.Stop() })

	var paced struct {
		Global map[string]string `yaml:"global"`
	}
	read("prometheus.yml", &paced)
	config, err := yaml.Marshal(map[string]any{
		"global":     paced.Global,
		"rule_files": []string{"alert_rules.yml"},
		"alerting":   map[string]any{"alertmanagers": []any{map[string]any{"static_configs": []any{map[string]any{"targets": []string{w.alertmanager.Address()}}}}}},
		"scrape_configs": []any{map[string]any{
			"job_name":        "gonomaly",
			"file_sd_configs": []any{map[string]any{"files": []string{filepath.Join(w.targets, "*.json")}, "refresh_interval": "5s"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rules := filepath.Join(dir, "prometheus", "alert_rules.yml")
	if err := os.WriteFile(rules, read("alert_rules.yml", nil), 0o600); err != nil {
		t.Fatal(err)
	}
	remember(t, filepath.Join(dir, "prometheus"), rules)
	if w.prometheus, err = local.StartPrometheus(t.Context(), filepath.Join(dir, "prometheus"), string(config)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.prometheus.Stop() })
	return w
}

// scrape has Prometheus scrape these addresses, and no others, for a job.
func (w *watch) scrape(job string, addresses []string) error {
	text, err := json.Marshal([]map[string]any{{"targets": addresses, "labels": map[string]string{"job": job}}})
	if err != nil {
		return err
	}
	// It must never be read half written.
	file := filepath.Join(w.targets, job)
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file+".json")
}

// run looks at what Alertmanager has until ctx is done.
func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			fmt.Println("ask Alertmanager:", err)
		}
		time.Sleep(time.Second)
	}
}

func (w *watch) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.alertmanager.Address()+"/api/v2/alerts", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	var alerts []struct {
		Labels, Annotations map[string]string
		Status              struct{ InhibitedBy []string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&alerts); err != nil {
		return err
	}
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, job := range w.seen {
		for _, s := range job {
			s.active = false
		}
	}
	for _, a := range alerts {
		job := w.seen[a.Labels["job"]]
		if job == nil {
			job = map[string]*sighting{}
			w.seen[a.Labels["job"]] = job
		}
		key := a.Labels["alertname"] + ", " + a.Labels["severity"]
		if reason := a.Labels["reason"]; reason != "" {
			key += ", reason " + reason
		}
		s := job[key]
		if s == nil {
			s = &sighting{first: now, labels: a.Labels}
			job[key] = s
			fmt.Printf("%s  %s: %s: %s\n", now.Format(time.TimeOnly), a.Labels["job"], key, a.Annotations["summary"])
		}
		if s.active = true; s.summary != a.Annotations["summary"] {
			s.summary = a.Annotations["summary"]
			s.summaries = append(s.summaries, s.summary)
		}
		if len(a.Status.InhibitedBy) == 0 && s.told.IsZero() {
			s.told = now
		}
	}
	for name, job := range w.seen {
		for key, s := range job {
			switch {
			case s.active:
				s.last = time.Time{}
			case s.last.IsZero():
				s.last = now
				fmt.Printf("%s  %s: %s is gone\n", now.Format(time.TimeOnly), name, key)
			}
		}
	}
	return nil
}

// of are the alerts that a job has had, by name, severity and reason.
func (w *watch) of(job string) map[string]*sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := map[string]*sighting{}
	for key, s := range w.seen[job] {
		one := *s
		all[key] = &one
	}
	return all
}

// told is nil once somebody was told of an alert at each end that it has: with a summary as it was then, and where the runbook is; and
// that it is over.
func (w *watch) told(job, key string, s *sighting) error {
	alert, _, _ := strings.Cut(key, ", ")
	for _, end := range phone.Ends(s.labels) {
		begun, over := false, false
		for _, n := range w.phone.Of(job) {
			if n.By != end || n.Alert != alert {
				continue
			}
			if over = n.Resolved; !over && strings.Contains(n.Text, "/docs/runbooks/"+alert+".md") {
				begun = begun || slices.ContainsFunc(s.summaries, func(summary string) bool { return strings.Contains(n.Text, summary) })
			}
		}
		if !begun || !over {
			return fmt.Errorf("%s: %s was told %v, and that it is over %v", key, end, begun, over)
		}
	}
	return nil
}
