// Package phone stands in for those whom Alertmanager tells: PagerDuty, Slack and the program that opens tickets. It is given the receivers of
// config/monitoring as they are, and keeps what a person would read of each notification.
package phone

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Phone takes what Alertmanager sends.
type Phone struct {
	url string

	mu  sync.Mutex
	got []Notification
}

// Notification is what somebody is told. Job and alert are those that it names, "" where it does not.
type Notification struct {
	By         string // pagerduty, slack or tickets
	Job, Alert string
	Resolved   bool
	Text       string // title, summaries and links, a line each
}

// Start starts one that lasts as long as the test.
func Start(t testing.TB) *Phone {
	p := &Phone{}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// Ends are those at which an alert with these labels is to be told: critical ones wake somebody, and the others are of a team.
func Ends(labels map[string]string) []string {
	switch {
	case labels["severity"] == "critical":
		return []string{"pagerduty", "slack"}
	case labels["team"] == "platform":
		return []string{"tickets"}
	}
	return []string{"slack"}
}

// Connect has the receivers of a configuration of Alertmanager send to the phone, and returns the configuration so changed. Its secrets, which
// secrets/README.md names, are written into dir, where the configuration is to lie. E-mail has nowhere to go.
func (p *Phone) Connect(config []byte, dir string) (string, error) {
	var c struct {
		Global    map[string]any   `yaml:"global"`
		Receivers []map[string]any `yaml:"receivers"`
		Rest      map[string]any   `yaml:",inline"`
	}
	if err := yaml.Unmarshal(config, &c); err != nil {
		return "", err
	}
	c.Global["pagerduty_url"] = p.url + "/pagerduty"
	for _, r := range c.Receivers {
		delete(r, "email_configs")
		if hooks, ok := r["webhook_configs"].([]any); ok {
			for _, h := range hooks {
				h.(map[string]any)["url"] = p.url + "/tickets"
			}
		}
	}
	text, err := yaml.Marshal(c)
	err = errors.Join(err, os.Mkdir(filepath.Join(dir, "secrets"), 0o700))
	for name, secret := range map[string]string{
		"smtp_password": "password", "pagerduty_routing_key": "key", "webhook_token": "token", "slack_url": p.url + "/slack",
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "secrets", name), []byte(secret), 0o600))
	}
	return string(text), err
}

// pagerduty is an event of its Events API v2.
type pagerduty struct {
	Action  string `json:"event_action"`
	Payload struct {
		Summary string
		Details struct{ Summaries string } `json:"custom_details"`
	}
	Links []struct{ Href, Text string }
}

func (e *pagerduty) read() Notification {
	job, _, _ := strings.Cut(e.Payload.Summary, ": ")
	n := Notification{Job: job, Resolved: e.Action == "resolve", Text: e.Payload.Summary + "\n" + e.Payload.Details.Summaries}
	for _, l := range e.Links {
		n.Alert = strings.TrimSuffix(path.Base(l.Href), ".md")
		n.Text += "\n" + l.Text + " " + l.Href
	}
	return n
}

// slack is a message to an incoming webhook.
type slack struct {
	Attachments []struct {
		Title string
		Link  string `json:"title_link"`
		Text  string
	}
}

func (m *slack) read() Notification {
	a := m.Attachments[0]
	n := Notification{Text: a.Title + "\n" + a.Text + "\n" + a.Link}
	if words := strings.Fields(a.Title); len(words) == 4 { // RESOLVED GonomalyDown of gonomaly
		n.Resolved, n.Alert, n.Job = words[0] == "RESOLVED", words[1], words[3]
	}
	return n
}

// webhook is what Alertmanager sends to any other program.
type webhook struct {
	Status string
	Labels map[string]string `json:"groupLabels"`
	Alerts []struct {
		Status      string
		Annotations map[string]string
	}
}

func (w *webhook) read() Notification {
	n := Notification{Job: w.Labels["job"], Alert: w.Labels["alertname"], Resolved: w.Status == "resolved"}
	for _, a := range w.Alerts {
		n.Text += a.Status + ": " + a.Annotations["summary"] + "\n" + a.Annotations["runbook_url"] + "\n"
	}
	return n
}

// ServeHTTP takes a notification.
func (p *Phone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by := path.Base(r.URL.Path)
	forms := map[string]interface{ read() Notification }{"pagerduty": &pagerduty{}, "slack": &slack{}, "tickets": &webhook{}}
	body, err := io.ReadAll(r.Body)
	if err = cmp.Or(err, json.Unmarshal(body, forms[by])); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n := forms[by].read()
	n.By = by
	p.mu.Lock()
	p.got = append(p.got, n)
	p.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"success"}`)
}

// Of is what was told of a job, in that order.
func (p *Phone) Of(job string) []Notification {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.got), func(n Notification) bool { return n.Job != job })
}
