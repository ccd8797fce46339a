package service_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Two streams of one topic are probed while records come. Each has the answers to its own; alerts, at the topic and at the sink, are those that
// the log without probes leads to, and every record has an outcome. A reload ends it.
func TestProbes(t *testing.T) {
	w := newWorld(t, strings.ReplaceAll(settings, "topics: [machines]", "topics: [machines]\n    probe: {every: 1s}"), "machines")
	p := w.start()
	w.produce("machines", 3000)
	of := func(stream, outcome string) float64 {
		n, _ := p.metric("gonomaly_probes_total", fmt.Sprintf("stream=%q", stream), fmt.Sprintf("outcome=%q", outcome))
		return n
	}
	p.eventually("probes return", func() error {
		if r, v := of("records", "returned"), of("windows", "returned"); min(r, v) < 2*partitions {
			return fmt.Errorf("%v and %v have", r, v)
		}
		return nil
	})
	w.produce("machines", 3000)
	w.edit("probe: {every: 1s}", "")
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	if n := of("records", "lost") + of("windows", "lost") + of("records", "failed") + of("windows", "failed"); n > 0 {
		t.Errorf("%v probes did not return", n)
	}
	if err := p.has("gonomaly_probe_last_return_timestamp_seconds"); err == nil {
		t.Error("nobody probes any more, and the time of the last return grows old")
	}
	want := append(w.fold(w.stream("records"), everything), w.fold(w.stream("windows"), everything)...)
	w.wantOnce("alerts.jsonl", want, "records", "windows")
	answers := map[string]int{}
	for _, topic := range []string{"machines.alerts", "windows.alerts"} {
		records, err := kafka.ReadAll(t.Context(), w.opts, topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if header := r.Headers[pipeline.ProbeHeader]; header != "" {
				stream, _, _ := strings.Cut(header, "/")
				answers[topic+" "+stream]++
			}
		}
	}
	if len(answers) != 2 || answers["machines.alerts records"] < 2*partitions || answers["windows.alerts windows"] < 2*partitions {
		t.Errorf("answers by topic and stream are %v, want those of each stream in its own", answers)
	}
	for _, stream := range []string{"records", "windows"} {
		label := fmt.Sprintf("stream=%q", stream)
		p.eventually("every record of "+stream+" has an outcome", func() error {
			received, _ := p.metric("gonomaly_records_received_total", label)
			sum, _ := p.metric("gonomaly_records_total", label)
			probes, _ := p.metric("gonomaly_records_total", label, `outcome="probe"`)
			if bad := 2.0 * partitions; received != sum || sum != 6000+bad+probes || probes < 4*partitions {
				return fmt.Errorf("%v received, %v in all outcomes, %v of them probes", received, sum, probes)
			}
			return nil
		})
	}
	if n, _ := p.metric("gonomaly_sink_deliveries_total", `outcome="unreadable"`); n != 0 {
		t.Errorf("%v answers were taken for alerts by a sink", n)
	}
}
