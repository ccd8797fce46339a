//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/internal/faults/phone"
	"github.com/gonomaly/gonomaly/internal/local"
)

// notifier is a real Alertmanager with our routes, at a pace of its own, and the phone that they lead to.
type notifier struct {
	*testing.T
	*phone.Phone
	url string
}

func newNotifier(t *testing.T) *notifier {
	local.NeedsServers(t)
	n, dir := &notifier{T: t, Phone: phone.Start(t)}, t.TempDir()
	text, err := os.ReadFile(root + "config/monitoring/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := n.Connect(regexp.MustCompile(`(group_wait|group_interval): \w+`).ReplaceAll(text, []byte("$1: 2s")), dir)
	if err != nil {
		t.Fatal(err)
	}
	a, err := local.StartAlertmanager(t.Context(), dir, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Stop() })
	n.url = "http://" + a.Address() + "/api/v2/alerts"
	return n
}

// posted is an alert as Prometheus sends it, with a summary that says which it is.
type posted struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	EndsAt      time.Time         `json:"endsAt,omitzero"`
}

func (n *notifier) post(alerts ...posted) {
	n.Helper()
	body, err := json.Marshal(alerts)
	if err != nil {
		n.Fatal(err)
	}
	resp, err := http.Post(n.url, "application/json", bytes.NewReader(body))
	if err != nil {
		n.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		n.Fatalf("post %s: %s", body, resp.Status)
	}
}

// eventually polls for what was told of a job.
func (n *notifier) eventually(job string, check func([]phone.Notification) error) {
	n.Helper()
	var err error
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if err = check(n.Of(job)); err == nil {
			return
		}
	}
	n.Errorf("%s: %v; it was told %+v", job, err, n.Of(job))
}

// Each alert is told to those whose it is, once, with whose it is, what is wrong and where the runbook is; and so is its end.
func TestNotifications(t *testing.T) {
	n := newNotifier(t)
	var all []posted
	for i, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		p := posted{Labels: map[string]string{"alertname": r.Alert, "job": fmt.Sprintf("gonomaly-%d", i)}, Annotations: map[string]string{"summary": r.Annotations["summary"], "runbook_url": r.Annotations["runbook_url"]}}
		for name, value := range r.Labels {
			p.Labels[name] = value
		}
		all = append(all, p)
	}
	told := func(over bool) {
		for _, p := range all {
			for _, end := range phone.Ends(p.Labels) {
				n.eventually(p.Labels["job"], func(told []phone.Notification) error {
					told = slices.DeleteFunc(told, func(n phone.Notification) bool {
						return n.By != end || n.Alert != p.Labels["alertname"] || n.Resolved != over
					})
					if len(told) != 1 || !strings.Contains(told[0].Text, p.Annotations["summary"]) || !strings.Contains(told[0].Text, p.Annotations["runbook_url"]) {
						return fmt.Errorf("%s has %s, over %v, %d times, want it once with its summary and runbook", end, p.Labels["alertname"], over, len(told))
					}
					return nil
				})
			}
		}
	}
	n.post(all...)
	told(false)
	for i := range all {
		all[i].EndsAt = time.Now()
	}
	n.post(all...)
	told(true)
}

// Alerts of one stream are told together; what has ended is not told beside what fires, and the end is told when all have ended.
func TestNotificationsTogether(t *testing.T) {
	n := newNotifier(t)
	withheld := func(topic string, ends time.Time) posted {
		return posted{
			Labels:      map[string]string{"alertname": "GonomalyRecordsWithheld", "job": "gonomaly", "stream": "machines", "topic": topic, "severity": "critical", "team": "platform"},
			Annotations: map[string]string{"summary": "Records of " + topic + " wait.", "runbook_url": "https://example.com/GonomalyRecordsWithheld.md"},
			EndsAt:      ends,
		}
	}
	// told is that the newest notification of each end tells these topics and no other.
	told := func(resolved bool, topics ...string) {
		for _, end := range []string{"pagerduty", "slack"} {
			n.eventually("gonomaly", func(told []phone.Notification) error {
				told = slices.DeleteFunc(told, func(n phone.Notification) bool { return n.By != end })
				if len(told) == 0 {
					return fmt.Errorf("%s was told nothing", end)
				}
				last := told[len(told)-1]
				for _, topic := range []string{"a", "b"} {
					if strings.Contains(last.Text, "Records of "+topic+" wait.") != slices.Contains(topics, topic) || last.Resolved != resolved {
						return fmt.Errorf("%s was told %q last, want topics %v", end, last.Text, topics)
					}
				}
				return nil
			})
		}
	}
	n.post(withheld("a", time.Time{}), withheld("b", time.Time{}))
	told(false, "a", "b")
	n.post(withheld("a", time.Now()))
	told(false, "b")
	n.post(withheld("b", time.Now()))
	told(true, "b")
}
