//go:build chaos && unix

package chaos

import (
	"context"
	"fmt"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/gonomaly/gonomaly/internal/local"
)

// network are the proxies between each process and each broker, and Redis, and behind each proxy a tap.
type network struct {
	server  *toxiproxy.ApiServer
	proxies map[string]*toxiproxy.Proxy
	taps    map[string]*tap
}

// Directions in which a proxy can be cut: then what is sent is dropped, and the connection neither breaks nor answers. When the cut heals
// its connections are closed, and new ones get through.
const (
	requests = "upstream"   // do not arrive
	replies  = "downstream" // get lost, while the requests are obeyed
)

func newNetwork() *network {
	return &network{
		server:  toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()),
		proxies: map[string]*toxiproxy.Proxy{},
		taps:    map[string]*tap{},
	}
}

// front makes a proxy, and returns its address. It leads nowhere yet.
func (n *network) front(name string, over wire, by *watch) (string, error) {
	ports, err := local.FreePorts(1)
	if err != nil {
		return "", err
	}
	t, err := newTap(over, by)
	if err != nil {
		return "", err
	}
	p := toxiproxy.NewProxy(n.server, name, fmt.Sprintf("127.0.0.1:%d", ports[0]), t.listener.Addr().String())
	if err := p.Start(); err != nil {
		return "", fmt.Errorf("proxy %s: %w", name, err)
	}
	n.proxies[name], n.taps[name] = p, t
	return p.Listen, nil
}

// refuse breaks the proxies' connections, and refuses new ones as a server that is down does.
func (n *network) refuse(names ...string) {
	for _, name := range names {
		n.proxies[name].Stop()
	}
}

// accept lets connections in again.
func (n *network) accept(names ...string) error {
	for _, name := range names {
		if err := n.proxies[name].Start(); err != nil {
			return fmt.Errorf("open %s: %w", name, err)
		}
	}
	return nil
}

// lead breaks the proxies' connections; the next ones lead to another address.
func (n *network) lead(to string, names ...string) error {
	n.refuse(names...)
	for _, name := range names {
		n.taps[name].lead(to)
	}
	return n.accept(names...)
}

func (n *network) cut(name, direction string) error {
	toxic := fmt.Sprintf(`{"name": "cut", "type": "timeout", "stream": %q, "attributes": {"timeout": 0}}`, direction)
	if _, err := n.proxies[name].Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		return fmt.Errorf("cut %s: %w", name, err)
	}
	return nil
}

func (n *network) heal(name string) error {
	if err := n.proxies[name].Toxics.RemoveToxic(context.Background(), "cut"); err != nil {
		return fmt.Errorf("heal %s: %w", name, err)
	}
	return nil
}

func (n *network) close() {
	for name, p := range n.proxies {
		p.Stop()
		_ = n.taps[name].listener.Close()
	}
}

// The names of proxies.
func toKafka(slot string, broker int) string { return fmt.Sprintf("%s to broker %d", slot, broker+1) }
func toRedis(slot string) string             { return slot + " to Redis" }

// toEach names the proxies of all slots.
func (w *world) toEach(name func(slot string) string) []string {
	var all []string
	for _, s := range w.slots {
		all = append(all, name(s.name))
	}
	return all
}
