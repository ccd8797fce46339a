//go:build sim

package sim

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// host is the network of one process: whatever leaves it passes here, and meets the faults that wait for it.
type host struct {
	name  string
	trace *trace
	kill  func()

	mu      sync.Mutex
	gone    bool          // killed: nothing comes in or out any more
	cut     bool          // both ways lose what is sent
	frozen  chan struct{} // closed when it thaws
	wires   map[*wire]bool
	waiting []fault
	hits    int           // faults that met a request
	deaf    func() bool   // fetches get no answer while it holds
	calmed  chan struct{} // closed when nothing is to go wrong any more
}

func newHost(name string, tr *trace, kill func()) *host {
	return &host{name: name, trace: tr, kill: kill, wires: map[*wire]bool{}, calmed: make(chan struct{})}
}

// latency is what a connection takes to open and a request to get out, so that time goes on also for a client that asks again and again without a pause.
const latency = 200 * time.Microsecond

// dialTimeout is what a dialer takes for a host that does not answer.
const dialTimeout = 5 * time.Second

// dialer returns a dialer that passes through the host.
func (h *host) dialer(dial func(ctx context.Context, network, address string) (net.Conn, error), edge func([]byte) string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		time.Sleep(latency)
		h.pass()
		if h.lost() {
			select {
			case <-ctx.Done():
			case <-time.After(dialTimeout):
			}
			return nil, os.ErrDeadlineExceeded
		}
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		w := &wire{Conn: conn, host: h, edge: edge}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.gone {
			_ = conn.Close()
			return nil, refused
		}
		h.wires[w] = true
		return w, nil
	}
}

// deafen loses fetches while something holds.
func (h *host) deafen(while func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = while
}

// unheard says whether a request is lost because the host is deaf.
func (h *host) unheard(edge string) bool {
	if edge != kmsg.Fetch.Name() {
		return false
	}
	h.mu.Lock()
	deaf := h.deaf
	h.mu.Unlock()
	return deaf != nil && deaf()
}

// pass returns when the host is not frozen.
func (h *host) pass() {
	h.mu.Lock()
	frozen := h.frozen
	h.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (h *host) lost() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cut
}

// end is kill -9: all connections are closed, and there will be none again.
func (h *host) end() {
	h.mu.Lock()
	h.gone = true
	wires := h.wires
	h.wires = map[*wire]bool{}
	h.mu.Unlock()
	for w := range wires {
		_ = w.Conn.Close()
	}
	h.thaw()
}

// freeze holds everything that the host sends or gets for d.
func (h *host) freeze(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen != nil || h.gone {
		return
	}
	h.frozen = make(chan struct{})
	time.AfterFunc(d, h.thaw)
}

func (h *host) thaw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen != nil {
		close(h.frozen)
		h.frozen = nil
	}
}

// isolate loses all that the host sends or gets for d.
func (h *host) isolate(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = true
	time.AfterFunc(d, h.heal)
}

func (h *host) heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut = false
}

// calm takes back what waits.
func (h *host) calm() {
	h.thaw()
	h.heal()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = nil
	close(h.calmed)
}

// expect has a fault wait for the next request of its edge.
func (h *host) expect(f fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, f)
}

// meet takes the first fault that waits at an edge.
func (h *host) meet(edge string) (fault, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, f := range h.waiting {
		if f.Edge == edge {
			h.waiting = append(h.waiting[:i:i], h.waiting[i+1:]...)
			h.hits++
			return f, true
		}
	}
	return fault{}, false
}
