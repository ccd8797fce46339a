package pipeline

import (
	"bytes"
	"encoding/hex"
	"math"
	"time"
)

// TraceContext is a place in a trace, as the Trace Context of the W3C names it.
type TraceContext struct {
	Trace   [16]byte
	Span    [8]byte
	Sampled bool
	State   string // what vendors keep beside it; "" for nothing
}

// Headers of a trace context in Kafka, those that HTTP has, and the one of a dead letter's own: its record keeps its headers as they were.
const (
	traceParent = "traceparent"
	traceState  = "tracestate"

	letterTraceParent = "gonomaly.traceparent"
)

// maxTraceState is how long a tracestate may be that is handed on, in bytes; the W3C wants at least as much.
const maxTraceState = 512

// Parent is c as a header traceparent has it.
func (c *TraceContext) Parent() string {
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, c.Trace[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, c.Span[:])
	if c.Sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// ParseTraceParent reads a header traceparent, of this version or a later one; ok is false for what the W3C has readers take for none.
func ParseTraceParent(b []byte) (c TraceContext, ok bool) {
	later := len(b) > 55 && b[55] == '-' && !bytes.HasPrefix(b, []byte("00"))
	if len(b) != 55 && !later || b[2] != '-' || b[35] != '-' || b[52] != '-' || bytes.ContainsFunc(b[:55], upper) {
		return TraceContext{}, false
	}
	var version, flags [1]byte
	for _, part := range []struct{ to, from []byte }{{version[:], b[:2]}, {c.Trace[:], b[3:35]}, {c.Span[:], b[36:52]}, {flags[:], b[53:55]}} {
		if _, err := hex.Decode(part.to, part.from); err != nil {
			return TraceContext{}, false
		}
	}
	if version[0] == 0xff || c.Trace == [16]byte{} || c.Span == [8]byte{} {
		return TraceContext{}, false
	}
	c.Sampled = flags[0]&1 != 0
	return c, true
}

func upper(r rune) bool { return r >= 'A' && r <= 'F' }

// TraceOf is the trace context among a record's headers.
func TraceOf(headers []Header) (c TraceContext, ok bool) {
	for _, h := range headers {
		switch {
		case h.Key == traceParent:
			state := c.State
			c, ok = ParseTraceParent(h.Value)
			c.State = state
		case h.Key == traceState && len(h.Value) <= maxTraceState:
			c.State = string(h.Value)
		}
	}
	if !ok {
		return TraceContext{}, false
	}
	return c, true
}

// Tracing has alerts and dead letters say to which trace they belong: to that of the record which led to them, or else to one of their own. It is
// a function of both, so that what is folded again has the same bytes; nothing of detection hangs on it.
type Tracing struct {
	// Share of the traces of our own that are sampled, 0 to 1. Whether another's is, its record says.
	Share float64
}

// Traced is the place of a message in its trace. Its times are the source's, who has a clock.
type Traced struct {
	TraceContext
	Alert     string  // its id; "" of a dead letter
	Record    [8]byte // the span that led to the record; zero where the trace begins with it
	Partition Partition

	Began, Done time.Time // the batch of the record was processed in between
	Batch       int       // records in it
}

// of is the place of what a record led to. The id that names an alert, or a dead letter, is the trace's where the record has none: whoever has the
// alert has its trace.
func (t *Tracing) of(r *Record, p Partition, id string) *Traced {
	m := &Traced{Partition: p}
	var own [16]byte
	if _, err := hex.Decode(own[:], []byte(id)); err != nil {
		panic("an id that is no 128 bits in hex: " + id)
	}
	copy(m.Span[:], own[8:])
	if m.Span == [8]byte{} {
		m.Span[7] = 1 // zero is none
	}
	if c, ok := TraceOf(r.Headers); ok {
		m.Trace, m.Sampled, m.State, m.Record = c.Trace, c.Sampled, c.State, c.Span
		return m
	}
	m.Trace = own
	m.Sampled = t.samples(own)
	return m
}

// headers are what readers of the message go on from.
func (m *Traced) headers() []Header {
	headers := []Header{{Key: traceParent, Value: []byte(m.Parent())}}
	if m.State != "" {
		headers = append(headers, Header{Key: traceState, Value: []byte(m.State)})
	}
	return headers
}

// samples decides as OpenTelemetry's samplers by ratio do, by the last 63 bits of the trace's id.
func (t *Tracing) samples(trace [16]byte) bool {
	var bits uint64
	for _, b := range trace[8:] {
		bits = bits<<8 | uint64(b)
	}
	return t.Share >= 1 || float64(bits>>1) < t.Share*math.MaxInt64
}
