package sinks

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Status is what a sink has to say of itself.
type Status struct {
	Sink   string `json:"sink"`
	Kind   string `json:"kind"`
	Ready  bool   `json:"ready"`
	Detail string `json:"detail,omitempty"` // what is wrong, in plain words
}

// health remembers what is wrong with a sink, and since when, and logs when that changes. It is used from many goroutines.
type health struct {
	log *slog.Logger

	mu       sync.Mutex
	problems map[string]problem // by where they were met
}

type problem struct {
	err   error
	since time.Time
}

func (h *health) fail(where string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.problems[where]
	if !ok {
		p.since = time.Now()
		h.log.Warn("sink has a problem, retrying", "where", where, "error", err)
	}
	p.err = err
	h.problems[where] = p
}

func (h *health) ok(where string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, ok := h.problems[where]; ok {
		h.log.Info("sink goes on", "where", where, "after", time.Since(p.since).Round(time.Millisecond).String())
		delete(h.problems, where)
	}
}

// forget drops a problem that is no longer this process's.
func (h *health) forget(where string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.problems, where)
}

// detail is empty when nothing is wrong.
func (h *health) detail() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, where := range slices.Sorted(maps.Keys(h.problems)) {
		p := h.problems[where]
		all = append(all, fmt.Sprintf("%s: %v, retrying since %s", where, p.err, p.since.UTC().Format(time.RFC3339)))
	}
	return strings.Join(all, "; ")
}
