package kafka

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What a client says ten times a second for two minutes, of each of two brokers, is logged twice of each, and what it says once is logged.
func TestLogOfARepeatingClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		l := logger{slog.New(slog.NewTextHandler(&said, nil)), newSecurity(prometheus.NewRegistry()), &Repeats{}}
		for range 1199 { // the last one 119.8 s after the first
			for _, broker := range []string{"1", "2"} {
				l.Log(kgo.LogLevelWarn, "unable to open connection to broker", "addr", "127.0.0.1:1", "broker", broker, "err", "refused")
			}
			time.Sleep(100 * time.Millisecond)
		}
		l.Log(kgo.LogLevelError, "once")
		for text, want := range map[string]int{"broker=1": 2, "broker=2": 2, "err=refused repeated=599": 2, "level=ERROR msg=once": 1, "\n": 5} {
			if n := strings.Count(said.String(), text); n != want {
				t.Errorf("%q is there %d times, want %d:\n%s", text, n, want, &said)
			}
		}
	})
}
