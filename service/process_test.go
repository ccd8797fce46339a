package service_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gonomaly/gonomaly/service"
)

// process is a running service.
type process struct {
	*world
	service *service.Service
	url     string
	quit    func() // as SIGTERM does
}

func (w *world) start(change ...func(*service.Options)) *process {
	w.Helper()
	var level slog.Level
	log := discard
	if level.UnmarshalText([]byte(os.Getenv("SERVICE_LOG"))) == nil {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	}
	open := make(chan net.Addr, 1)
	o := service.Options{Load: w.load, Listen: "127.0.0.1:0", Log: log, Serving: func(at net.Addr) { open <- at }}
	for _, f := range change {
		f(&o)
	}
	s, err := service.New(o)
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p := &process{world: w, service: s}
	p.quit = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("Run: %v, want nil", err)
		}
	})
	w.Cleanup(p.quit)
	select {
	case at := <-open:
		p.url = "http://" + at.String()
	case err := <-done:
		done <- err
		w.Fatalf("Run: %v", err)
	}
	return p
}

var discard = slog.New(slog.DiscardHandler)

// ask returns the status and the text of an answer.
func (p *process) ask(method, path string) (status int, text string) {
	p.Helper()
	return p.askFor("*/*", method, path)
}

// askFor is ask for an answer of a media type.
func (p *process) askFor(accept, method, path string) (status int, text string) {
	p.Helper()
	request, err := http.NewRequestWithContext(p.Context(), method, p.url+path, nil)
	if err != nil {
		p.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		p.Fatal(err)
	}
	return answer.StatusCode, string(b)
}

// says is nil when the answer has this status and says this.
func (p *process) says(method, path string, status int, text string) error {
	p.Helper()
	if got, said := p.ask(method, path); got != status || !strings.Contains(said, text) {
		return fmt.Errorf("%s %s answers %d, %s, want %d, %q", method, path, got, said, status, text)
	}
	return nil
}

func (p *process) want(method, path string, status int, text string) {
	p.Helper()
	if err := p.says(method, path, status, text); err != nil {
		p.Error(err)
	}
}

// metric is the sum of a metric over the series with these labels, spelled as label="value", and how many those are.
func (p *process) metric(name string, labels ...string) (sum float64, n int) {
	p.Helper()
	_, text := p.ask(http.MethodGet, "/metrics")
	for line := range strings.Lines(text) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if bare, _, _ := strings.Cut(series, "{"); bare != name {
			continue
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(series, l) }) {
			continue
		}
		x, err := strconv.ParseFloat(value, 64)
		if err != nil {
			p.Fatal(err)
		}
		sum += x
		n++
	}
	return sum, n
}

// has is nil when a metric has series with these labels.
func (p *process) has(name string, labels ...string) error {
	p.Helper()
	if _, n := p.metric(name, labels...); n == 0 {
		return fmt.Errorf("%s has no series with %q", name, labels)
	}
	return nil
}
