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
	log  *slog.Logger
	hold time.Duration // without the problem, after which the log says that the sink goes on

	mu       sync.Mutex
	problems map[string]*problem // by where they were met
}

// problem is one that was met. While brokers do not answer, an attempt that fails and a poll that has nothing take turns: that is one problem, and
// the log has it once.
type problem struct {
	err   error
	since time.Time
	well  time.Time // since when it is not met; zero while it is
	ours  bool      // to tell of its end
}

func (h *health) fail(where string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.problems[where]
	if p == nil {
		p = &problem{since: time.Now()}
		h.problems[where] = p
		h.log.Warn("sink has a problem, retrying", "where", where, "error", err)
	}
	p.err, p.well, p.ours = err, time.Time{}, true
}

// ok ends a problem.
func (h *health) ok(where string) { h.end(where, true) }

// forget drops a problem that is no longer this process's.
func (h *health) forget(where string) { h.end(where, false) }

func (h *health) end(where string, ours bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.problems[where]; p != nil && p.well.IsZero() {
		p.well, p.ours = time.Now(), ours
		time.AfterFunc(h.hold, func() { h.settle(where, p) })
	}
}

// settle says that a problem is over, unless it was met again since it ended.
func (h *health) settle(where string, p *problem) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.problems[where] != p || p.well.IsZero() || time.Since(p.well) < h.hold {
		return
	}
	delete(h.problems, where)
	if p.ours {
		h.log.Info("sink goes on", "where", where, "after", p.well.Sub(p.since).Round(time.Millisecond).String())
	}
}

// detail is empty when nothing is wrong.
func (h *health) detail() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, where := range slices.Sorted(maps.Keys(h.problems)) {
		if p := h.problems[where]; p.well.IsZero() {
			all = append(all, fmt.Sprintf("%s: %v, retrying since %s", where, p.err, p.since.UTC().Format(time.RFC3339)))
		}
	}
	return strings.Join(all, "; ")
}
