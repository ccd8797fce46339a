//go:build integration && unix

package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/internal/local"
)

// SIGTERM ends the service within ten seconds also when its brokers do not answer any more.
func TestFrozenBroker(t *testing.T) {
	if os.Getenv(local.JarsVariable) == "" {
		t.Skip("a broker of its own is to be frozen: set " + local.JarsVariable)
	}
	broker, err := local.StartKafka(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Stop() })
	for what, frozen := range map[string]time.Duration{"just now": 500 * time.Millisecond, "for longer than a session": 12 * time.Second} {
		t.Run(what, func(t *testing.T) {
			w := newWorldOn(t, broker.Address())
			w.withRedis()
			config := w.file("gonomaly.yaml", busy)
			loading := make(chan struct{})
			go func() {
				defer close(loading)
				_ = w.command("produce", "--topic", w.name+".in", "--rate", "5000", "--for", "5s", "--keys", "50", "--anomalies", "5").Run()
			}()
			p := w.run(config)
			w.eventually("ready", p.ready)
			time.Sleep(time.Second)
			if err := broker.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			time.Sleep(frozen)
			took, how := p.interrupt() // it may fail to hand over, but not to end
			if err := broker.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if took > 10*time.Second {
				slow(t, "SIGTERM took %v, want at most 10 s\n%s", took, p.tail())
			}
			t.Logf("ended within %v: %v", took.Round(time.Millisecond), how)
			<-loading
		})
	}
}
