package sinks

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Without Kafka the same router is fed in the process, and ends when all is delivered.
func TestChannel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := NewChannel()
	sinks := []SinkConfig{{Kind: "redis", Params: Kinds["redis"]()}, {Kind: "stdout", Params: Kinds["stdout"]()}}
	r, err := NewRouter(Options{
		Sinks: sinks, Topics: []Topic{{Name: topic}}, Env: w.env, Channel: c, Metrics: w.metrics, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Run(t.Context()) }()
	<-r.Running()
	for i := range 1500 {
		a := alert(i)
		w.ids = append(w.ids, a.ID)
		if err := c.Write(t.Context(), []pipeline.Message{{Topic: topic, Key: []byte(a.Key), Value: data(t, a)}}); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := w.stdout.ids(t); !slices.Equal(got, w.ids) {
		t.Errorf("%d lines, want %d in order", len(got), len(w.ids))
	}
	w.wantOnce()
	if err := c.Write(t.Context(), nil); err == nil {
		t.Error("wrote to a closed channel")
	}
}

// A run that is cut off leaves nothing behind, although its channel is not closed.
func TestCutOffRunLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails where a goroutine remains
		r, err := NewRouter(Options{
			Sinks: []SinkConfig{{Kind: "stdout", Params: Kinds["stdout"]()}}, Topics: []Topic{{Name: topic}}, Env: Env{Stdout: io.Discard},
			Channel: NewChannel(), Metrics: NewMetrics(prometheus.NewRegistry()), Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-r.Running()
			cancel()
		}()
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}
