package sinks

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// logged is what was logged, by several goroutines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *logged) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *logged) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

// While a broker is frozen, attempts that fail and polls that have nothing take turns: the log has one problem and one end of it, dated by when it
// was met last, and in between nobody is told that all is well but who asks at that moment.
func TestProblemsAreSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		h := &health{log: slog.New(slog.NewTextHandler(&log, nil)), hold: usualPace.hold, problems: map[string]*problem{}}
		said := func(problems, ends int, words string) {
			t.Helper()
			synctest.Wait()
			text := log.String()
			if p, e := strings.Count(text, "has a problem"), strings.Count(text, "goes on"); p != problems || e != ends || !strings.Contains(text, words) {
				t.Errorf("%d problems and %d ends are said, want %d and %d, and %q:\n%s", p, e, problems, ends, words, text)
			}
		}
		frozen := func() {
			for range 10 { // the client takes 15 s to find out; a poll that has nothing ends after 5 s
				h.fail("consume", errors.New("i/o timeout"))
				time.Sleep(usualPace.check)
				h.ok("consume")
				time.Sleep(usualPace.check)
				h.ok("consume")
				time.Sleep(usualPace.check)
			}
		}
		h.ok("consume")
		said(0, 0, "")
		frozen() // 150 s; the last end of the problem is at 140 s
		said(1, 0, "i/o timeout")
		if says := h.detail(); says != "" {
			t.Errorf("10 s after the last failure it says %q, want nothing", says)
		}
		h.fail("position", errors.New("refused"))
		if says := h.detail(); !strings.HasPrefix(says, "position: refused") {
			t.Errorf("of another problem it says %q", says)
		}
		said(2, 0, "where=position")
		time.Sleep(usualPace.hold)
		said(2, 1, "where=consume after=2m20s")
		frozen()
		said(3, 1, "")
		time.Sleep(usualPace.hold)
		said(3, 2, "")

		// Whoever has the partition now tells of what is left of the problem; it may be us again.
		h.forget("position")
		time.Sleep(time.Second)
		h.fail("position", errors.New("refused"))
		said(3, 2, "")
		h.forget("position")
		time.Sleep(usualPace.hold)
		said(3, 2, "")
		h.fail("position", errors.New("refused"))
		said(4, 2, "")
	})
}
