//go:build integration && unix

package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/service/demo"
)

// The demo shows its first alert within seconds, and finds what it promises to.
func TestDemo(t *testing.T) {
	c := exec.CommandContext(t.Context(), binary, "demo", "--for", "20s", "--json")
	shown := &firstAlert{begin: time.Now()}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, shown
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, shown.text.String())
	}
	var s demo.Summary
	lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &s); err != nil {
		t.Fatal(err)
	}
	switch {
	case shown.after == 0:
		t.Error("no alert came")
	case shown.after > 10*time.Second:
		slow(t, "the first alert came after %v, want at most 10 s", shown.after)
	}
	if 10*s.Found < 8*s.Injected || int64(s.False)*10_000 > 2*s.Events || len(s.Named) != 5 || s.Other > 5 {
		t.Errorf("%+v: want 80 %% found, 2 false in 10,000 points, 5 named and 5 others at most", s)
	}
	t.Logf("first alert after %v; %s", shown.after.Round(time.Millisecond), lines[len(lines)-1])
}

// firstAlert notes when the first alert is shown.
type firstAlert struct {
	begin time.Time
	after time.Duration
	text  bytes.Buffer
}

func (f *firstAlert) Write(b []byte) (int, error) {
	if f.after == 0 && bytes.Contains(b, []byte("ALERT ")) {
		f.after = time.Since(f.begin)
	}
	return f.text.Write(b)
}
