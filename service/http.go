package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gonomaly/gonomaly/service/recent"
)

// operations is what the HTTP port needs to know of a service.
type operations interface {
	Health() Health       // whether the loops make progress
	Readiness() Readiness // whether everything is assigned, restored and delivered
	Reload() error
	Alerts(n int) recent.Alerts // the last n that were told
	Keys(n int) recent.Keys     // the n noisiest
}

// handler answers /metrics and what is below /-/, in the manner of Prometheus.
func handler(reg *prometheus.Registry, ops operations) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: reg}))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, r *http.Request) {
		h := ops.Health()
		answer(w, r, h.Healthy, h)
	})
	mux.HandleFunc("GET /-/ready", func(w http.ResponseWriter, r *http.Request) {
		s := ops.Readiness()
		answer(w, r, s.Ready, s)
	})
	mux.HandleFunc("GET /-/alerts", listed(50, func(n int) any { return ops.Alerts(n) }))
	mux.HandleFunc("GET /-/keys", listed(20, func(n int) any { return ops.Keys(n) }))
	mux.HandleFunc("POST /-/reload", func(w http.ResponseWriter, _ *http.Request) {
		if err := ops.Reload(); err != nil {
			http.Error(w, "The last good configuration stays in force. "+err.Error(), http.StatusUnprocessableEntity)
			return
		}
		_, _ = fmt.Fprintln(w, "reloaded")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "Gonomaly\n\nGET  /metrics\nGET  /-/healthy\nGET  /-/ready\nGET  /-/alerts?n=50\nGET  /-/keys?n=20\nPOST /-/reload\n")
	})
	return mux
}

// answer says whether all is good, and more: in JSON to who asks for that, else in words.
func answer(w http.ResponseWriter, r *http.Request, good bool, says fmt.Stringer) {
	status := http.StatusOK
	if !good {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, says.String())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(says)
}

// listed answers with a list in JSON, of as many as are asked for with ?n=, or else of usual.
func listed(usual int, list func(n int) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n := usual
		if text := r.URL.Query().Get("n"); text != "" {
			var err error
			if n, err = strconv.Atoi(text); err != nil || n < 1 || n > recent.Most {
				http.Error(w, fmt.Sprintf("n is %q, want 1 to %d", text, recent.Most), http.StatusBadRequest)
				return
			}
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list(n))
	}
}

// How long a client may take with a request, body and all, and what answers it with that, until it is read. A reload takes some ten seconds for each
// of what it stops.
const (
	requestTimeout = 5 * time.Second
	answerTimeout  = time.Minute
)

// serve answers on l until ctx is done. A client that neither sends nor reads does not keep its connection.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: time.Minute}
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
