//go:build sim

package sim

import (
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"
)

// trace is what happened: each request that left a process, each fault, in order.
type trace struct {
	begin time.Time

	mu    sync.Mutex
	lines []string
}

func (t *trace) add(who, what string, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf("%9.3fs %-8s %s %d", time.Since(t.begin).Seconds(), who, what, bytes))
}

// digest tells two traces apart.
func (t *trace) digest() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := fnv.New64a()
	for _, l := range t.lines {
		_, _ = h.Write([]byte(l))
	}
	return h.Sum64()
}

func (t *trace) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}
