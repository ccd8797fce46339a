package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v4"
	"github.com/sony/gobreaker/v2"

	"github.com/gonomaly/gonomaly/internal/tracing"
	"github.com/gonomaly/gonomaly/pipeline"
)

// pace is how long things wait.
type pace struct {
	// From first to longest, each half as long again as the one before, and up to half more or less. A sink is retried without end;
	// the longest wait is about what it takes, after an outage, until the sink is found well again.
	first, longest time.Duration

	breaker time.Duration // open before it lets an attempt pass
	session time.Duration // between two, so that a sink that loses all it is given is not read to without pause
	commit  time.Duration // between two commits
	check   time.Duration // between two looks at the sink's position, and at the end of the topic
	idle    time.Duration // without progress, after which a loop counts as stuck

	// hold is how long a problem is not met before the log says that it is over: longer than the 15 s after which the client takes a fetch for lost,
	// and meets it again.
	hold time.Duration
}

var usualPace = pace{
	first: 100 * time.Millisecond, longest: 10 * time.Second, breaker: 2 * time.Second,
	session: time.Second, commit: time.Second, check: 5 * time.Second, idle: time.Minute, hold: 20 * time.Second,
}

const (
	// The breaker opens after failuresToOpen failures without a success, of whatever partition: many partitions then wait for one
	// attempt.
	failuresToOpen = 5

	// linger is how long an attempt may go on after the router or the partition's owner was told to stop.
	linger = 3 * time.Second
)

// member is a sink in the router: what all its handlers share.
type member struct {
	name, kind string
	sink       Sink
	letters    letters
	breaker    *gobreaker.CircuitBreaker[struct{}]
	health     *health
	loops      *loops
	metrics    *Metrics
	tracer     *tracing.Tracer
	log        *slog.Logger
	pace       pace
}

func newMember(c *SinkConfig, sink Sink, letters letters, o *Options) *member {
	metrics := o.Metrics
	m := &member{
		name: c.ID(), kind: c.Kind, sink: sink, letters: letters, metrics: metrics, tracer: o.Tracer, log: o.Log.With("sink", c.ID()),
		pace: o.pace,
	}
	m.health = &health{log: m.log, hold: m.pace.hold, problems: map[string]*problem{}}
	m.loops = &loops{last: map[string]time.Time{}}
	m.breaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Name:          m.name,
		Timeout:       m.pace.breaker,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failuresToOpen },
		IsSuccessful:  func(err error) bool { return err == nil || answered(err) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(name string, _, to gobreaker.State) { metrics.state(name, to) },
	})
	return m
}

// answered says whether an error of a sink is its answer, which another attempt would not change.
func answered(err error) bool {
	var refused *Refused
	var behind *Behind
	return errors.As(err, &refused) || errors.As(err, &behind)
}

// rests says of an error that nothing was attempted: the breaker is open, or lets another attempt pass first.
func rests(err error) bool {
	return errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests)
}

// position asks a sink where it stands. The breaker counts that as an attempt: of a sink that has no alerts to take nothing else tells that it
// is away.
func (m *member) position(ctx context.Context, sink Positioned, p pipeline.Partition) (position int64, err error) {
	_, err = m.breaker.Execute(func() (struct{}, error) {
		position, err = sink.Position(ctx, p)
		return struct{}{}, err
	})
	return position, err
}

// subscribe adds the handler of one topic.
func (m *member) subscribe(router *message.Router, t Topic, o *Options) {
	var from message.Subscriber = o.Channel
	rewind := func() {}
	if o.Channel == nil {
		s := newSubscriber(m, Group(t.Group, m.name), o)
		from, rewind = s, s.rewind
	}
	router.AddConsumerHandler(m.name+" "+t.Name, t.Name, from, func(msg *message.Message) error {
		return m.handle(msg, rewind)
	})
}

// handle takes the records of a message as far as they go: delivered, or in the dead-letter topic. It returns an error only when it has to
// stop, and what is not done comes again, to this process or another.
func (m *member) handle(msg *message.Message, rewind func()) error {
	b := batchOf(msg)
	for b.done < len(b.records) {
		ds, bad := b.rest()
		err := m.deliver(msg.Context(), b, ds)
		var no *Refused
		var behind *Behind
		switch {
		case errors.As(err, &no):
			err = m.setAside(msg.Context(), b, refused, err)
		case errors.As(err, &behind):
			m.log.Warn("sink lost writes, alerts are read again", "partition", b.partition.String(), "from", behind.Stored, "had_reached", behind.Expected)
			m.metrics.rewinds.WithLabelValues(m.name).Inc()
			rewind()
			return context.Canceled // this reading is over
		case err == nil && bad != nil:
			err = m.setAside(msg.Context(), b, unreadable, bad)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deliver has the sink take the next alerts of b. Those that it takes are done, even where it does not take all.
func (m *member) deliver(ctx context.Context, b *batch, ds []*Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	count, latency := m.metrics.deliveries.WithLabelValues(m.name, delivered), m.metrics.latency.WithLabelValues(m.name)
	attempts := m.tracer.Attempts()
	return m.retry(ctx, b.partition.Topic, "deliver", func(ctx context.Context) error {
		_, err := m.breaker.Execute(func() (struct{}, error) {
			n, err := m.sink.Send(ctx, ds)
			attempts.Made(err)
			now := time.Now()
			for i := range n {
				r := &b.records[b.done+i]
				trace := m.traced(b, r, delivered, nil, attempts, now)
				tracing.Observe(latency, max(0, now.Sub(r.timestamp).Seconds()), trace)
			}
			count.Add(float64(n))
			b.took(n)
			ds = ds[n:]
			return struct{}{}, err
		})
		return err
	})
}

// traced puts what has become of r into its trace, which it returns; none without tracing.
func (m *member) traced(b *batch, r *record, outcome string, cause error, attempts *tracing.Attempts, now time.Time) pipeline.TraceContext {
	if m.tracer == nil {
		return pipeline.TraceContext{}
	}
	trace, _ := pipeline.TraceOf(r.pipelineHeaders())
	m.tracer.Delivered(trace, tracing.Delivery{
		Sink: m.name, Kind: m.kind, Partition: b.partition, Offset: r.offset, Outcome: outcome, Cause: cause, Attempts: attempts, Ended: now,
	})
	return trace
}

// setAside writes the next record of b to the dead-letter topic.
func (m *member) setAside(ctx context.Context, b *batch, outcome string, cause error) error {
	r, attempts := &b.records[b.done], m.tracer.Attempts()
	letter := deadLetter(b.partition, r, m.name, outcome, cause.Error())
	err := m.retry(ctx, b.partition.Topic, "dead letters", func(ctx context.Context) error {
		err := m.letters.write(ctx, &letter)
		attempts.Made(err)
		return err
	})
	if err != nil {
		return err
	}
	b.done++
	m.log.Error("alert is set aside", "reason", outcome, "error", cause, "topic", letter.Topic)
	m.metrics.deliveries.WithLabelValues(m.name, outcome).Inc()
	m.traced(b, r, outcome, cause, attempts, time.Now())
	return nil
}

// retry repeats an attempt with alerts of a topic until it succeeds, is answered for good, or ctx is done; then an attempt under way has some
// time to end.
func (m *member) retry(ctx context.Context, topic, what string, attempt func(context.Context) error) error {
	lingering, cancel := lingerOn(ctx)
	defer cancel()
	waits := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(m.pace.first), backoff.WithMaxInterval(m.pace.longest), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error {
		err := attempt(lingering)
		m.loops.turn(topic)
		switch {
		case err == nil || answered(err):
			m.health.ok(what)
			if err != nil {
				return backoff.Permanent(err)
			}
		case rests(err):
			// Nothing was attempted: the error that opened the breaker says more.
		case ctx.Err() == nil:
			m.metrics.failures.WithLabelValues(m.name).Inc()
			m.health.fail(what, err)
		}
		return err
	}, backoff.WithContext(waits, ctx), func(error, time.Duration) {
		m.metrics.retries.WithLabelValues(m.name).Inc()
	})
	if err != nil && !answered(err) {
		m.health.forget(what) // another owner's now
		return fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// lingerOn returns a context that ends some seconds after ctx.
func lingerOn(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(linger, cancel)
		context.AfterFunc(late, func() { t.Stop() })
	})
	return late, func() { stop(); cancel() }
}
