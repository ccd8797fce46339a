package service_test

import (
	"errors"
	"testing"
	"testing/synctest"

	goredis "github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service"
	"github.com/gonomaly/gonomaly/sinks"
)

// broken is a sink that cannot be made; it keeps what it was to be made of.
type broken struct{ env sinks.Env }

var errBroken = errors.New("broken")

func (b *broken) Check() error { return nil }

func (b *broken) New(env sinks.Env) (sinks.Sink, error) {
	b.env = env
	return nil, errBroken
}

// A service that cannot be made leaves nothing open, and no goroutine behind: the bubble waits for all of them.
func TestDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := &broken{}
		_, err := service.New(service.Options{
			Load: func() (*config.Config, error) {
				return config.Parse("g.yaml", []byte(`
redis: {address: "localhost:6379"}
tracing: {endpoint: "http://localhost:4318"}
streams: [{name: s, topics: [t], decode: {values: [x]}, detectors: [{kind: ewma}]}]
`), func(string) (string, bool) { return "", false })
			},
			Sinks: []sinks.SinkConfig{{Name: "broken", Kind: "broken", Params: last}},
			Log:   discard,
		})
		if !errors.Is(err, errBroken) {
			t.Fatalf("New = %v, want %v", err, errBroken)
		}
		if err := last.env.Redis.Ping(t.Context()).Err(); !errors.Is(err, goredis.ErrClosed) {
			t.Errorf("the client of Redis: %v, want %v", err, goredis.ErrClosed)
		}
	})
}
