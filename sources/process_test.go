package sources

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// process is a source in a process that can be killed.
type process struct {
	*Kafka
	h        *handler
	registry *prometheus.Registry
	network  *network
	stop     context.CancelFunc
	done     chan struct{}
	current  atomic.Pointer[kgo.Client] // the last that was made
}

// OnNewClient is part of kgo.HookNewClient.
func (p *process) OnNewClient(client *kgo.Client) { p.current.Store(client) }

// start starts a source in a slot.
func (w *world) start(instance string, change ...func(*KafkaOptions, *handler)) *process {
	w.Helper()
	reg := prometheus.NewRegistry()
	h := newHandler(w.TB, w.store)
	o := KafkaOptions{
		Client: kafka.Config{Brokers: w.brokers}, Stream: "s", Group: group, Topics: []string{input}, Outputs: []string{alerts, "in.dead-letters"},
		Instance: instance, Clients: kafka.NewMetrics(reg), Metrics: NewKafkaMetrics(reg), Log: logTo(os.Getenv("SOURCES_LOG")),
	}
	for _, f := range change {
		f(&o, h)
	}
	k, err := NewKafka(o)
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range h.tune {
		f(k)
	}
	n := &network{}
	ctx, stop := context.WithCancel(w.Context())
	p := &process{Kafka: k, h: h, registry: reg, network: n, stop: stop, done: make(chan struct{})}
	k.opts = append(k.opts, kgo.Dialer(n.dial), kgo.WithHooks(p))
	var drives pipeline.Handler = h
	if h.instead != nil {
		drives = h.instead
	}
	go func() {
		defer close(p.done)
		if err := k.Run(ctx, drives); err != nil {
			w.Errorf("Run: %v, want nil", err)
		}
	}()
	w.Cleanup(func() {
		stop()
		<-p.done
	})
	return p
}

// tuned changes what is not an option.
func tuned(f func(*Kafka)) func(*KafkaOptions, *handler) {
	return func(_ *KafkaOptions, h *handler) { h.tune = append(h.tune, f) }
}

func logTo(level string) *slog.Logger {
	var l slog.Level
	if l.UnmarshalText([]byte(level)) != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))
}

// healthy is nil as long as the loop is not stuck.
func (p *process) healthy() error {
	if pace, turned, progressed := p.Loop(); pace == Stuck {
		return fmt.Errorf("the loop is stuck: no turn for %v, no progress for %v", turned, progressed)
	}
	return nil
}

// quit ends a process as SIGTERM does, and waits no longer than a hung shutdown takes to be told from one on a slow machine.
func (p *process) quit(t testing.TB) {
	t.Helper()
	p.stop()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatal("a minute after its end was asked for it runs still")
	}
}

// kill ends a process as kill -9 does: from one moment on nothing of it reaches the brokers.
func (p *process) kill() {
	p.network.cut()
	p.stop()
}

// network is the connections of a process.
type network struct {
	mu    sync.Mutex
	conns []net.Conn
	down  bool

	loseAnswer atomic.Bool // of the next EndTxn
	spoil      atomic.Bool // what is read and says so
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, errors.New("the network is down")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	n.conns = append(n.conns, conn)
	return &wire{Conn: conn, network: n}, nil
}

func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = true
	for _, c := range n.conns {
		_ = c.Close()
	}
}

// wire is a connection that can lose an answer.
type wire struct {
	net.Conn
	network *network
	deaf    atomic.Bool
}

const endTxn = 26

// spoiled is what a network that spoils changes.
var spoiled = []byte("spoil me")

func (c *wire) Write(b []byte) (int, error) {
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == endTxn && c.network.loseAnswer.CompareAndSwap(true, false) {
		c.deaf.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *wire) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.network.spoil.Load() {
		if at := bytes.Index(b[:n], spoiled); at >= 0 {
			b[at]++
		}
	}
	if c.deaf.Load() {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// metric is the sum of a metric's values over its labels, and how many there are.
func (p *process) metric(t testing.TB, name string, labels ...string) (sum float64, n int) {
	t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if !hasLabels(m, labels) {
				continue
			}
			n++
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				sum += m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				sum += m.GetGauge().GetValue()
			case dto.MetricType_HISTOGRAM:
				sum += float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum, n
}

// hasLabels says whether a series has labels with all of these values.
func hasLabels(m *dto.Metric, values []string) bool {
	for _, v := range values {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == v }) {
			return false
		}
	}
	return true
}
