package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// operations is what the HTTP port needs to know of a service.
type operations interface {
	Healthy() error // the loops make progress
	Ready() error   // everything is assigned, restored and delivered
	Learning() string
	Reload() error
}

// handler answers /metrics, /-/healthy, /-/ready and /-/reload, in the manner of Prometheus.
func handler(reg *prometheus.Registry, ops operations) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: reg}))
	mux.HandleFunc("GET /-/healthy", answer(ops.Healthy, "healthy", nothing))
	mux.HandleFunc("GET /-/ready", answer(ops.Ready, "ready", ops.Learning))
	mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := ops.Reload(); err != nil {
			http.Error(w, "The last good configuration stays in force. "+err.Error(), http.StatusUnprocessableEntity)
			return
		}
		_, _ = fmt.Fprintln(w, "reloaded")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "Gonomaly\n\nGET  /metrics\nGET  /-/healthy\nGET  /-/ready\nPOST /-/reload\n")
	})
	return mux
}

// answer says in one line whether all is good, and in those after it what else there is to say.
func answer(ask func() error, good string, more func() string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := ask(); err != nil {
			http.Error(w, "not "+good+": "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprint(w, good+"\n"+more())
	}
}

func nothing() string { return "" }

// serve answers on l until ctx is done.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %v: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := server.Shutdown(closing)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	<-done //nolint:errcheck // it is ErrServerClosed now
	return err
}
