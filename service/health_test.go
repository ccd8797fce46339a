package service_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/service"
)

// askJSON reads an answer in JSON.
func (p *process) askJSON(path string, into any) (status int) {
	p.Helper()
	status, text := p.askFor("application/json", get, path)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		p.Fatalf("%s: %v in %s", path, err, text)
	}
	return status
}

// Who asks for JSON is told the same as who reads, stream by stream and sink by sink.
func TestHealthInJSON(t *testing.T) {
	w := newWorld(t, settings, "other")
	p := w.start()
	p.eventually("it says what is missing", func() error {
		var r service.Readiness
		status := p.askJSON("/-/ready", &r)
		if status != http.StatusServiceUnavailable || r.Ready || len(r.Streams) != 2 || len(r.Sinks) != 1 || !r.Sinks[0].Ready {
			return fmt.Errorf("%d, %+v", status, r)
		}
		for _, s := range r.Streams {
			if s.Ready || len(s.Missing) != 1 || s.Missing[0] != fmt.Sprintf("stream %s: topic machines does not exist", s.Stream) {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
	w.createTopic("machines")
	w.produce("machines", 100)
	p.eventually("ready, and learning", func() error {
		var r service.Readiness
		if status := p.askJSON("/-/ready", &r); status != http.StatusOK || !r.Ready {
			return fmt.Errorf("%d, %+v", status, r)
		}
		for _, s := range r.Streams {
			if s.Series == 0 || s.Learning == 0 {
				return fmt.Errorf("%+v", s)
			}
		}
		return nil
	})
	var h service.Health
	if status := p.askJSON("/-/healthy", &h); status != http.StatusOK || !h.Healthy || len(h.Loops) != 2 || h.Loops[0].Pace != "turning" || h.Loops[0].Turned > 60 ||
		len(h.Sinks) != 2 || h.Sinks[0].Pace != "turning" || h.Sinks[0].Topic != "machines.alerts" || h.Sinks[0].Progressed > 60 {
		t.Errorf("%d, %+v", status, h)
	}
	if x, n := p.metric("gonomaly_loop_last_progress_timestamp_seconds"); n != 2 || x/2 < float64(time.Now().Add(-time.Minute).Unix()) {
		t.Errorf("%d loops, the last progress %v on average, want 2, and now", n, x/2)
	}
}

// A loop that is slow is said to be, and is healthy: another process would be no faster.
func TestHealthInWords(t *testing.T) {
	for _, c := range []struct {
		health service.Health
		want   string
	}{
		{service.Health{Healthy: true, Loops: []service.Loop{{Stream: "s", Pace: "turning"}}}, "healthy\n"},
		{
			service.Health{Healthy: true, Loops: []service.Loop{{Stream: "s", Pace: "slow", Turned: 42, Progressed: 1}}},
			"healthy\nstream s: its loop is slow: no turn for 42 s, but records processed 1 s ago\n",
		},
		{
			service.Health{Loops: []service.Loop{{Stream: "r", Pace: "turning"}, {Stream: "s", Pace: "stuck", Turned: 90, Progressed: 70}}},
			"not healthy\nstream s: its loop is stuck: no turn for 90 s, and no record processed for 70 s\n",
		},
		{
			service.Health{Sinks: []service.SinkLoop{{Sink: "redis", Topic: "a", Pace: "turning"}, {Sink: "file", Topic: "a", Pace: "stuck", Progressed: 65}}},
			"not healthy\nsink file: its loop is stuck: nothing read of a, and no attempt ended, for 65 s\n",
		},
	} {
		if got := c.health.String(); got != c.want {
			t.Errorf("%+v says %q, want %q", c.health, got, c.want)
		}
	}
}
