package top

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// screenful keeps what a program has drawn. A terminal is told of changes only, so words are looked for in all that was written.
type screenful struct {
	mu    sync.Mutex
	drawn bytes.Buffer
}

func (s *screenful) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drawn.Write(b)
}

func (s *screenful) waitFor(ctx context.Context, t *testing.T, words string) {
	t.Helper()
	for ctx.Err() == nil {
		s.mu.Lock()
		found := strings.Contains(s.drawn.String(), words)
		s.mu.Unlock()
		if found {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%q is not drawn:\n%q", words, s.drawn.String())
}
