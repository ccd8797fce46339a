package service

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener for connections that are made by hand.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) Close() error {
	close(p)
	return nil
}

// closing is a connection that says when it is closed.
type closing struct {
	net.Conn
	say func() // may be called again
}

func (c closing) Close() error {
	c.say()
	return c.Conn.Close()
}

// A client that does not send its request to its end, or does not read the answer, loses its connection; one that waits for a reload has its answer.
func TestSlowClients(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		reads   bool
	}{
		"half a header":  {"GET / HTTP/1.1\r\nHost: x\r\n", false},
		"half a body":    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345", false},
		"reads nothing":  {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", false},
		"reads a reload": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				l, served := make(pipes), make(chan error, 1)
				go func() {
					served <- serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						time.Sleep(30 * time.Second) // as a reload may
						_, _ = io.WriteString(w, strings.Repeat("reloaded ", 10_000))
					}))
				}()
				client, server := net.Pipe()
				closed, say := context.WithCancel(context.Background())
				l <- closing{server, say}
				if _, err := io.WriteString(client, c.request); err != nil {
					t.Fatal(err)
				}
				if c.reads {
					answer, err := http.ReadResponse(bufio.NewReader(client), nil)
					if err != nil {
						t.Fatal(err)
					}
					defer answer.Body.Close() //nolint:errcheck // only read
					if b, err := io.ReadAll(answer.Body); err != nil || len(b) != 90_000 {
						t.Errorf("the answer has %d bytes, %v", len(b), err)
					}
				}
				<-closed.Done() // the bubble sees if that never comes
				stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
