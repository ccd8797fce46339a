package tracing

import (
	"context"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gonomaly/gonomaly/pipeline"
)

// maxWait is for how long a record may have waited in its topic so that its span begins with it. One that is older is history that is read again, and
// a span of years helps nobody.
const maxWait = time.Hour

// Begin is the time at which something begins that Processed ends; not asked for where nobody is to know.
func (t *Tracer) Begin() time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Now()
}

// Processed notes of messages when the batch of records that led to them was processed.
func (t *Tracer) Processed(ms []pipeline.Message, began time.Time, records int) {
	if t == nil || len(ms) == 0 {
		return
	}
	done := time.Now()
	for i := range ms {
		if m := ms[i].Trace; m != nil {
			m.Began, m.Done, m.Batch = began, done, records
		}
	}
}

// Committed makes the spans of messages of one partition that have become durable: of the record, of its batch, of the message, whose place in the
// trace it carries, and of the commit.
func (t *Tracer) Committed(stream string, ms []pipeline.Message, ending, committed time.Time) {
	if t == nil {
		return
	}
	var batch context.Context
	var last *pipeline.Message
	for i := range ms {
		m := &ms[i]
		if m.Trace == nil || !m.Trace.Sampled {
			continue
		}
		if last == nil || last.Offset != m.Offset || last.Trace.Trace != m.Trace.Trace {
			batch = t.span(t.record(stream, m, committed), "batch "+m.Trace.Partition.Topic, trace.SpanKindInternal, m.Trace.Began, m.Trace.Done,
				attribute.Int("messaging.batch.message_count", m.Trace.Batch))
			last = m
		}
		name := "dead letter "
		about := []attribute.KeyValue{attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", m.Topic)}
		if m.Trace.Alert != "" {
			name = "alert "
			about = append(about, attribute.String("gonomaly.alert.id", m.Trace.Alert), attribute.String("gonomaly.alert.status", string(m.Status)))
		}
		for _, h := range m.Headers {
			if h.Key == "gonomaly.reason" {
				about = append(about, attribute.String(h.Key, string(h.Value)))
			}
		}
		own := context.WithValue(batch, idKey{}, spanID{m.Trace.Trace, m.Trace.Span})
		message := t.span(own, name+m.Topic, trace.SpanKindProducer, m.Trace.Done, committed, about...)
		t.span(message, "commit", trace.SpanKindInternal, ending, committed)
	}
}

func (t *Tracer) record(stream string, m *pipeline.Message, committed time.Time) context.Context {
	ctx := context.WithValue(context.Background(), idKey{}, spanID{trace: m.Trace.Trace})
	if m.Trace.Record != [8]byte{} {
		ctx = from(m.Trace.TraceContext, m.Trace.Record)
	}
	at, began := time.Unix(0, m.Time), m.Trace.Began
	if m.Time > 0 && at.Before(began) && began.Sub(at) < maxWait {
		began = at
	}
	p := m.Trace.Partition
	return t.span(ctx, "record "+p.Topic, trace.SpanKindConsumer, began, committed,
		attribute.String("messaging.system", "kafka"), attribute.String("messaging.operation.type", "process"),
		attribute.String("messaging.destination.name", p.Topic), attribute.String("messaging.destination.partition.id", strconv.Itoa(int(p.ID))),
		attribute.Int64("messaging.kafka.offset", m.Offset), attribute.String("gonomaly.stream", stream),
		attribute.String("gonomaly.record.time", at.UTC().Format(time.RFC3339Nano)))
}

// from is a context within a span that others, or we, have told of in a header.
func from(c pipeline.TraceContext, span [8]byte) context.Context {
	state, _ := trace.ParseTraceState(c.State) // one that cannot be read is none
	return trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: c.Trace, SpanID: span, TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
	}))
}

// span makes one within that of a context, and returns the context within it. The ids that the context asks for are the span's, and no other's.
func (t *Tracer) span(ctx context.Context, name string, kind trace.SpanKind, began, ended time.Time, about ...attribute.KeyValue) context.Context {
	ctx, s := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(began), trace.WithAttributes(about...))
	s.End(trace.WithTimestamp(ended))
	return context.WithValue(ctx, idKey{}, nil)
}

// Attempts are those at delivering something.
type Attempts struct {
	began  time.Time
	n      int
	failed []attempt // the first
}

type attempt struct {
	at  time.Time
	err error
}

// maxAttempts is how many failed attempts a span tells of, each on its own.
const maxAttempts = 10

// Attempts begins to count; it returns nil, on which all is well, too, where nobody is to know.
func (t *Tracer) Attempts() *Attempts {
	if t == nil {
		return nil
	}
	return &Attempts{began: time.Now()}
}

// Made notes an attempt, and the error that it met.
func (a *Attempts) Made(err error) {
	if a == nil {
		return
	}
	a.n++
	if err != nil && len(a.failed) < maxAttempts {
		a.failed = append(a.failed, attempt{time.Now(), err})
	}
}

// Delivery is what has become of an alert at a sink.
type Delivery struct {
	Sink, Kind string
	Partition  pipeline.Partition // of the alerts topic
	Offset     int64
	Outcome    string
	Cause      error // of a set-aside
	Attempts   *Attempts
	Ended      time.Time
}

// Delivered makes the span of a delivery, within that of the alert.
func (t *Tracer) Delivered(c pipeline.TraceContext, d Delivery) {
	if t == nil || !c.Sampled {
		return
	}
	_, s := t.tracer.Start(from(c, c.Span), "deliver "+d.Sink, trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(d.Attempts.began), trace.WithAttributes(
		attribute.String("messaging.system", "kafka"), attribute.String("messaging.destination.name", d.Partition.Topic),
		attribute.String("messaging.destination.partition.id", strconv.Itoa(int(d.Partition.ID))), attribute.Int64("messaging.kafka.offset", d.Offset),
		attribute.String("gonomaly.sink", d.Sink), attribute.String("gonomaly.sink.kind", d.Kind),
		attribute.String("gonomaly.delivery.outcome", d.Outcome), attribute.Int("gonomaly.delivery.attempts", d.Attempts.n)))
	for _, f := range d.Attempts.failed {
		s.AddEvent("attempt failed", trace.WithTimestamp(f.at), trace.WithAttributes(attribute.String("exception.message", f.err.Error())))
	}
	if d.Cause != nil {
		s.SetStatus(codes.Error, d.Cause.Error())
	}
	s.End(trace.WithTimestamp(d.Ended))
}

// Observe has a histogram observe what belongs to a trace: one that is sampled is the exemplar of its bucket.
func Observe(to prometheus.Observer, value float64, c pipeline.TraceContext) {
	exemplars, ok := to.(prometheus.ExemplarObserver)
	if !ok || !c.Sampled {
		to.Observe(value)
		return
	}
	exemplars.ObserveWithExemplar(value, prometheus.Labels{"trace_id": hex.EncodeToString(c.Trace[:])})
}
