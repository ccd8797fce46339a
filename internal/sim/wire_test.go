//go:build sim

package sim

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a process gets that has lost a connection, and one that finds nobody; the clients tell these from errors that no retry helps.
var (
	reset   = &net.OpError{Op: "write", Net: "tcp", Err: syscall.ECONNRESET}
	refused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
)

// wire is a connection of a host. A write is one request, or several at once.
type wire struct {
	net.Conn
	host *host
	edge func([]byte) string

	mu    sync.Mutex
	after func() // called instead of reading the next answer
	torn  bool   // bytes are lost
}

func (w *wire) Write(b []byte) (int, error) {
	h := w.host
	time.Sleep(latency)
	h.pass()
	edge := w.edge(b)
	h.trace.add(h.name, edge, len(b))
	if h.lost() {
		w.set(nil, true)
		return len(b), nil
	}
	if h.unheard(edge) {
		return len(b), nil
	}
	if w.isTorn() {
		_ = w.Conn.Close()
		return 0, reset
	}
	f, met := h.meet(edge)
	if !met {
		return w.Conn.Write(b)
	}
	h.trace.add(h.name, "met "+f.String(), 0)
	switch f.What {
	case drop:
		_ = w.Conn.Close()
		return 0, reset
	case killBefore:
		h.kill()
		return 0, reset
	case lose:
		w.set(func() {}, false)
	case killAfter:
		w.set(h.kill, false)
	case delay:
		select {
		case <-time.After(f.For):
		case <-h.calmed:
		}
	case repeat:
		if n, err := w.Conn.Write(b); err != nil {
			return n, err
		}
	case stale:
		h.freeze(f.For)
		h.pass()
	case freeze:
		n, err := w.Conn.Write(b)
		h.freeze(f.For)
		return n, err
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	for {
		n, err := w.Conn.Read(b)
		w.host.pass()
		if w.host.lost() {
			w.set(nil, true)
			if err == nil {
				continue
			}
		}
		w.mu.Lock()
		after, torn := w.after, w.torn
		w.mu.Unlock()
		if (after != nil || torn) && err == nil {
			_ = w.Conn.Close()
			if after != nil {
				after()
			}
			return 0, io.EOF
		}
		return n, err
	}
}

func (w *wire) set(after func(), torn bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if after != nil {
		w.after = after
	}
	w.torn = w.torn || torn
}

func (w *wire) isTorn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.torn
}

func (w *wire) Close() error {
	w.host.mu.Lock()
	delete(w.host.wires, w)
	w.host.mu.Unlock()
	return w.Conn.Close()
}

// kafkaEdge names a request to a broker.
func kafkaEdge(b []byte) string {
	if len(b) < 6 {
		return ""
	}
	return kmsg.Key(binary.BigEndian.Uint16(b[4:])).Name() //nolint:gosec // a key is small
}

// redisEdge names the first command of those that are sent at once.
func redisEdge(b []byte) string {
	_, rest, _ := bytes.Cut(b, []byte("\r\n"))
	length, rest, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.Atoi(string(bytes.TrimPrefix(length, []byte("$"))))
	if err != nil || n > len(rest) {
		return ""
	}
	return string(bytes.ToUpper(rest[:n]))
}
