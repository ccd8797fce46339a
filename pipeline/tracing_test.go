package pipeline_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
)

func TestParseTraceParent(t *testing.T) {
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" // the W3C's example
	c, ok := pipeline.ParseTraceParent([]byte(good))
	if !ok || !c.Sampled || c.Parent() != good {
		t.Fatalf("%s is %+v, %v", good, c, ok)
	}
	for text, want := range map[string]struct{ ok, sampled bool }{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00":       {true, false},
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03":       {true, true},   // a flag that we do not know
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later": {true, true},   // of a version to come
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more":  {false, false}, // of this one
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more":  {false, false},
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":       {false, false},
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":       {false, false},
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":       {false, false},
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":       {false, false},
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-":         {false, false},
		"00-4bf92f3577b34da6a3ce929d0e0e47x6-00f067aa0ba902b7-01":       {false, false},
		"00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":       {false, false},
		"": {false, false},
	} {
		if c, ok := pipeline.ParseTraceParent([]byte(text)); ok != want.ok || c.Sampled != want.sampled {
			t.Errorf("%q is %+v, %v, want %v", text, c, ok, want)
		}
	}
}

func FuzzParseTraceParent(f *testing.F) {
	f.Add([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	f.Add([]byte("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := pipeline.ParseTraceParent(b)
		if !ok {
			return
		}
		if again, ok := pipeline.ParseTraceParent([]byte(c.Parent())); !ok || again != c {
			t.Errorf("%q is %+v, and written and read again %+v, %v", b, c, again, ok)
		}
		if !bytes.Equal(b[3:52], []byte(c.Parent())[3:52]) {
			t.Errorf("%q is written as %s", b, c.Parent())
		}
	})
}

// of is the header of a message with a name, "" where there is none.
func of(m pipeline.Message, name string) string {
	for _, h := range m.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

const (
	parent = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
	state  = "rojo=00f067aa0ba902b7"
)

// parented gives a third of the records a parent that is sampled, and a third one that is not.
func parented(records []pipeline.Record) []pipeline.Record {
	for i := range records {
		if flags := []string{"", "-01", "-00"}[i/5%3]; flags != "" {
			records[i].Headers = []pipeline.Header{{Key: "tracestate", Value: []byte(state)}, {Key: "other"}, {Key: "traceparent", Value: []byte("00-" + parent + flags)}}
		}
	}
	return records
}

// Alerts and dead letters have the trace of their record, or one of their own. It is nothing but the record's and the alert's: folded again, after a
// crash too, they have the same bytes; and nothing else about them or the state hangs on it.
func TestTracing(t *testing.T) {
	c := settingsOf(t, settings["windows"])
	records := parented(log(6000, 9, 3))
	plain, once, again := newWorker(t, c), newWorker(t, c), newWorker(t, c)
	once.Tracing, again.Tracing = &pipeline.Tracing{Share: 0.5}, &pipeline.Tracing{Share: 0.5}
	told := once.Process(records, 0)
	again.Process(records[:3000], 3000)
	restarted := restored(t, again, c)
	restarted.Tracing = again.Tracing
	later := slices.IndexFunc(told, func(m pipeline.Message) bool { return m.Offset >= 3000 })
	if diff := cmp.Diff(told[later:], restarted.Process(records, 3000)); diff != "" {
		t.Errorf("messages (-once +again after a restart):\n%s", diff)
	}
	plain.Process(records, 0)
	if !bytes.Equal(stateOf(t, once), stateOf(t, plain)) {
		t.Error("the states differ with and without tracing")
	}

	kinds := map[string]int{}
	spans := map[[8]byte]bool{}
	for _, m := range told {
		if m.Trace == nil || m.Trace.Partition.Topic != "t" {
			t.Fatalf("message at %d is of trace %+v", m.Offset, m.Trace)
		}
		if spans[m.Trace.Span] {
			t.Errorf("two messages have the span %x", m.Trace.Span)
		}
		spans[m.Trace.Span] = true
		header, kind := of(m, "traceparent"), "alert"
		if m.Status == "" {
			kind = "dead letter"
			if header != "" && header[3:52] != parent {
				t.Errorf("the record's own header has become %s", header)
			}
			header = of(m, "gonomaly.traceparent")
		} else {
			a, err := pipeline.ParseAlert(m.Value)
			if err != nil || a.Trace != header || a.ID != m.Trace.Alert {
				t.Errorf("alert %s has the trace %s, the header %s, %v", a.ID, a.Trace, header, err)
			}
			if m.Offset/5%3 == 0 && header[3:35] != a.ID {
				t.Errorf("alert %s of a record without a trace has the trace %s", a.ID, header)
			}
			if got := of(m, "tracestate"); (got == state) != (m.Offset/5%3 != 0) {
				t.Errorf("alert of the record at %d has the tracestate %q", m.Offset, got)
			}
		}
		if header != m.Trace.Parent() {
			t.Errorf("%s at %d has the header %q, and the trace %s", kind, m.Offset, header, m.Trace.Parent())
		}
		switch flags := header[52:]; m.Offset / 5 % 3 {
		case 0:
			kind += " of its own" + flags
			if m.Trace.Record != [8]byte{} {
				t.Errorf("%s has a parent", kind)
			}
		case 1, 2:
			if want := []string{"", "-01", "-00"}[m.Offset/5%3]; header[3:35] != parent[:32] || flags != want {
				t.Errorf("the record at %d has %s%s, its %s %s", m.Offset, parent, want, kind, header)
			}
			kind += " of its record" + flags
		}
		kinds[kind]++
	}
	for _, kind := range []string{"alert", "dead letter"} {
		for _, whose := range []string{" of its own-00", " of its own-01", " of its record-00", " of its record-01"} {
			if kinds[kind+whose] == 0 {
				t.Errorf("no %s: the test tests too little: %v", kind+whose, kinds)
			}
		}
	}
}

// Without tracing nothing of it is in what is told, whatever records say.
func TestNoTracing(t *testing.T) {
	w := newWorker(t, settingsOf(t, settings["windows"]))
	alerts := 0
	for _, m := range w.Process(parented(log(3000, 9, 3)), 0) {
		if m.Trace != nil || of(m, "gonomaly.traceparent") != "" {
			t.Errorf("the message at %d is traced", m.Offset)
		}
		if m.Status == "" {
			continue
		}
		alerts++
		if len(m.Headers) != 1 || strings.Contains(string(m.Value), "trace") {
			t.Errorf("the alert at %d says %q, %s", m.Offset, m.Headers, m.Value)
		}
	}
	if alerts == 0 {
		t.Fatal("no alerts: the test tests nothing")
	}
}
