package top

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// fake answers as an instance does, from a file of testdata.
func fake(t *testing.T, file string) (server *httptest.Server, ready *atomic.Bool) {
	t.Helper()
	ready = new(atomic.Bool)
	ready.Store(true)
	mux := http.NewServeMux()
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/"+file) })
	mux.HandleFunc("/-/ready", func(w http.ResponseWriter, r *http.Request) {
		if !ready.Load() {
			http.Error(w, "not ready: stream payments: not connected yet", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\nstream logins: 10 of 10 series are learning\n")
	})
	mux.HandleFunc("/-/healthy", func(w http.ResponseWriter, r *http.Request) {
		if file == "second.after.prom" {
			http.Error(w, "not healthy\nstream payments: its loop is stuck", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "healthy\n")
	})
	mux.HandleFunc("/-/alerts", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/first.alerts.json") })
	mux.HandleFunc("/-/keys", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/first.keys.json") })
	server = httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server, ready
}

func TestAsk(t *testing.T) {
	server, ready := fake(t, "first.after.prom")
	s := Ask(t.Context(), server.URL)
	if s.Err != nil || !s.Ready || strings.Join(s.Says, "|") != "stream logins: 10 of 10 series are learning" {
		t.Errorf("Ask = ready %v, says %q, %v", s.Ready, s.Says, s.Err)
	}
	if s.Stuck || len(s.Loops) > 0 || s.Clock.IsZero() {
		t.Errorf("Ask = stuck %v, loops %q, clock %v", s.Stuck, s.Loops, s.Clock)
	}
	if s.Keys == nil || s.Keys.Incidents != 20 || len(s.Keys.Keys) != 3 || len(s.Alerts) != 4 || s.Alerts[0].Key != "card-17" {
		t.Errorf("Ask = keys %+v, alerts %+v", s.Keys, s.Alerts)
	}
	ready.Store(false)
	s = Ask(t.Context(), server.URL)
	if s.Err != nil || s.Ready || strings.Join(s.Says, "|") != "stream payments: not connected yet" {
		t.Errorf("Ask one that is not ready = ready %v, says %q, %v", s.Ready, s.Says, s.Err)
	}
	stuck, _ := fake(t, "second.after.prom")
	if s = Ask(t.Context(), stuck.URL); s.Err != nil || !s.Stuck || strings.Join(s.Loops, "|") != "stream payments: its loop is stuck" {
		t.Errorf("Ask one that is stuck = %v, loops %q, %v", s.Stuck, s.Loops, s.Err)
	}
	for what, h := range map[string]http.HandlerFunc{
		"not Gonomaly":          func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") },
		"cannot be read":        func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>\n") },
		"/metrics answers 404 ": http.NotFound,
	} {
		other := httptest.NewServer(h)
		if s := Ask(t.Context(), other.URL); s.Err == nil || !strings.Contains(s.Err.Error(), what) {
			t.Errorf("Ask = %v, want that it is %s", s.Err, what)
		}
		other.Close()
		if s := Ask(t.Context(), other.URL); s.Err == nil || !strings.Contains(s.Err.Error(), "refused") {
			t.Errorf("Ask where nobody listens = %v", s.Err)
		}
	}
}

func TestOnce(t *testing.T) {
	server, _ := fake(t, "first.after.prom")
	var out bytes.Buffer
	if err := Once(t.Context(), []string{server.URL}, time.Millisecond, Layout{Paint: Plain}, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "1,234,567") || strings.Contains(got, "\x1b") || strings.Contains(got, none) {
		t.Errorf("it prints\n%s", got)
	}
	server.Close()
	out.Reset()
	begin := time.Now()
	if err := Once(t.Context(), []string{server.URL}, time.Hour, Layout{Paint: Plain}, &out); !errors.Is(err, ErrUnreachable) {
		t.Errorf("of one that does not answer: %v, want %v", err, ErrUnreachable)
	}
	if got := out.String(); !strings.Contains(got, "unreachable") || time.Since(begin) > time.Minute {
		t.Errorf("after %v it prints\n%s", time.Since(begin), got)
	}
}

// A frame is as large as its terminal, and shows what was told.
func TestFrame(t *testing.T) {
	server, _ := fake(t, "first.after.prom")
	got, err := Frame(t.Context(), []string{server.URL}, time.Millisecond, Layout{Paint: Colours}, 100, 50)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(ansi.Strip(got), "\n"); len(lines) != 50 || lines[49] != keys {
		t.Errorf("%d lines, the last %q, want 50 and the keys", len(lines), lines[len(lines)-1])
	}
	for _, words := range []string{"NOISIEST KEYS, of 20 incidents", "LAST ALERTS", "card-17"} {
		if !strings.Contains(got, words) {
			t.Errorf("%q is missing from\n%s", words, got)
		}
	}
}

// shown is a screen's text without colours.
func shown(s *screen) string { return ansi.Strip(s.View().Content) }

func press(s *screen, keys ...string) (last tea.Cmd) {
	for _, k := range keys {
		key := tea.Key{Text: k, Code: []rune(k)[0]}
		switch k {
		case "esc":
			key = tea.Key{Code: tea.KeyEscape}
		case "enter":
			key = tea.Key{Code: tea.KeyEnter}
		case "ctrl+c":
			key = tea.Key{Code: 'c', Mod: tea.ModCtrl}
		}
		_, last = s.Update(tea.KeyPressMsg(key))
	}
	return last
}

func TestKeys(t *testing.T) {
	s := newScreen(t.Context(), []string{first, second, third}, time.Second, Layout{Paint: Colours})
	if got := shown(s); !strings.Contains(got, "asking "+first) {
		t.Errorf("before anybody answers it shows\n%s", got)
	}
	s.looks = three(t)
	s.seen = at
	want := func(what string, has ...string) {
		t.Helper()
		for _, h := range has {
			if got := shown(s); !strings.Contains(got, h) {
				t.Errorf("%s: %q is missing from\n%s", what, h, got)
			}
		}
	}
	want("at first", "PARTITIONS 4, by lag", keys)
	press(s, "s")
	want("after s", "PARTITIONS 4, by records")
	press(s, "?")
	want("after ?", "WHAT IT SHOWS", "q, ctrl+c")
	press(s, "?")
	want("after ? again", "PARTITIONS 4")
	press(s, "/", "p", "a", "q")
	want("while a filter is typed", "stream has: paq", "PARTITIONS 0 of 4")
	_, _ = s.Update(tea.KeyPressMsg(tea.Key{Code: tea.KeyBackspace}))
	press(s, "enter")
	want("with a filter", `PARTITIONS 3 of 4, stream has "pa"`, keys)
	press(s, "esc")
	want("without it again", "PARTITIONS 4, by records")
	press(s, "/", "x", "esc")
	want("after a filter that was given up", "PARTITIONS 4, by records")
	for _, k := range []string{"q", "ctrl+c"} {
		quit := press(s, k)
		if quit == nil {
			t.Fatalf("%s does nothing", k)
		}
		if _, ok := quit().(tea.QuitMsg); !ok {
			t.Errorf("%s does not quit", k)
		}
	}
}

// A terminal shows what it has room for: the worst partitions, and how many there are besides.
func TestFits(t *testing.T) {
	v := three(t).view(at)
	for i := range 100 {
		v.Partitions = append(v.Partitions, Partition{Stream: "logs", Topic: "logs", ID: i, Lag: 1000 + float64(i)})
	}
	for _, room := range []int{35, 60, 200} {
		got := fit(v, Layout{Paint: Plain}, room)
		if len(got) > room || room < 200 && len(got) < room {
			t.Errorf("of %d lines it takes %d", room, len(got))
		}
		all := strings.Join(got, "\n")
		if !strings.Contains(all, " 99 ") || (room < 200) != strings.Contains(all, "more, none of them worse") || !strings.Contains(all, "TROUBLES") {
			t.Errorf("in %d lines it shows\n%s", room, all)
		}
	}
	s := newScreen(t.Context(), []string{first}, time.Second, Layout{Paint: Plain})
	s.looks, s.seen = three(t), at
	for _, height := range []int{1, 5, 20, 60} {
		_, _ = s.Update(tea.WindowSizeMsg{Width: 100, Height: height})
		if got := strings.Split(shown(s), "\n"); len(got) != max(height, 2) || got[len(got)-1] != keys {
			t.Errorf("of %d lines it draws %d, the last %q", height, len(got), got[len(got)-1])
		}
	}
}

// The program draws what an instance says, goes on while it is away, and ends with q.
func TestProgram(t *testing.T) {
	server, ready := fake(t, "first.after.prom")
	ready.Store(false)
	in, keyboard := io.Pipe()
	out := new(screenful)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{server.URL}, time.Millisecond, Layout{Paint: Plain}, in, out, tea.WithWindowSize(120, 40))
	}()
	for _, words := range []string{"not connected yet", "series are learning"} {
		out.waitFor(ctx, t, words)
		ready.Store(true)
	}
	server.Close()
	out.waitFor(ctx, t, "does not answer")
	if _, err := io.WriteString(keyboard, "q"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || ctx.Err() != nil {
		t.Errorf("Run = %v, %v", err, ctx.Err())
	}
}
