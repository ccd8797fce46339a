package sinks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/internal/tracing"
)

// Topic is an alerts topic, and the consumer group of the stream that writes it.
type Topic struct{ Name, Group string }

// Options say what a Router connects. It reads from Kafka, or else from a Channel.
type Options struct {
	Sinks    []SinkConfig // with different IDs
	Topics   []Topic      // one that is given twice is read once, by the group of the first
	Env      Env
	Kafka    []kgo.Opt // brokers, TLS, SASL: what every client of the process has
	Instance string    // a name that the process keeps over restarts: its successor takes over at once. "" has none
	Channel  *Channel
	Metrics  *Metrics
	Log      *slog.Logger
	Tracer   *tracing.Tracer // nil for no traces

	pace pace // zero is the usual one
}

// Router carries alerts from topics to sinks.
type Router struct {
	router  *message.Router
	channel *Channel // nil with Kafka
	members []*member
	close   []io.Closer
}

// closeTimeout bounds the end of Run beyond what its handlers take to let go of an alert under way.
const closeTimeout = linger + 4*time.Second

// NewRouter makes the sinks and connects them; an error is of the configuration, or of a file that cannot be opened. Kafka and Redis need
// not be there.
func NewRouter(o Options) (*Router, error) {
	if o.pace == (pace{}) {
		o.pace = usualPace
	}
	levels := map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug} // its every start and stop is not the operator's
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, watermill.NewSlogLoggerWithLevelMapping(o.Log, levels))
	if err != nil {
		return nil, err
	}
	r := &Router{router: router, channel: o.Channel}
	if err := r.connect(o); err != nil {
		return nil, errors.Join(err, r.closeAll())
	}
	return r, nil
}

func (r *Router) connect(o Options) error {
	var letters letters = loggedLetters{o.Log}
	if o.Channel == nil {
		k, err := newKafkaLetters(o.Kafka)
		if err != nil {
			return fmt.Errorf("make dead-letter client: %w", err)
		}
		letters = k
		r.close = append(r.close, k)
	}
	for _, c := range o.Sinks {
		if err := c.Check(); err != nil {
			return fmt.Errorf("sink %s: %w", c.ID(), err)
		}
		sink, err := c.Params.New(o.Env)
		if err != nil {
			return fmt.Errorf("sink %s: %w", c.ID(), err)
		}
		if closer, ok := sink.(io.Closer); ok {
			r.close = append(r.close, closer)
		}
		m := newMember(&c, sink, letters, &o)
		r.members = append(r.members, m)
		read := map[string]bool{}
		for _, t := range o.Topics {
			if !read[t.Name] {
				read[t.Name] = true
				m.subscribe(r.router, t, &o)
			}
		}
	}
	return nil
}

// Run carries alerts until ctx is done, or its Channel is closed and empty. An alert under way has a few seconds to arrive; without Kafka,
// what waits behind it is lost.
func (r *Router) Run(ctx context.Context) error {
	for _, m := range r.members { // not before: the router whose place this one takes tells of the same sinks to its end
		m.metrics.of(m.name)
	}
	var err error
	if len(r.router.Handlers()) == 0 {
		<-ctx.Done()
	} else {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if r.channel != nil {
			go func() {
				<-r.Running()
				r.channel.unread.Wait()
				cancel()
			}()
		}
		err = r.router.Run(ctx)
	}
	return errors.Join(err, r.closeAll())
}

// Running is closed when every sink listens.
func (r *Router) Running() <-chan struct{} { return r.router.Running() }

func (r *Router) closeAll() error {
	var errs []error
	for _, c := range r.close {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Status returns what each sink has to say, in the order of the configuration.
func (r *Router) Status() []Status {
	var all []Status
	for _, m := range r.members {
		detail := m.health.detail()
		all = append(all, Status{Sink: m.name, Kind: m.kind, Ready: detail == "", Detail: detail})
	}
	return all
}
