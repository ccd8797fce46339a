// Package local starts real Kafka brokers and real Redis servers on this machine, without containers, for the tests and benchmarks that
// need them. They keep their data in a directory of the caller's and listen on free ports of the loopback interface.
package local

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is a process that listens on a port.
type server struct {
	name    string
	address string
	log     string // file with its output
	command []string
	cmd     *exec.Cmd
	exited  chan struct{}
}

// patience is how long a server may take to listen, and to end.
const patience = 3 * time.Minute

func (s *server) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Clean(s.log), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()                                    //nolint:errcheck // the process has its own handle
	s.cmd = exec.Command(s.command[0], s.command[1:]...) //nolint:gosec // a server that the caller asked for
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Dir = log, log, filepath.Dir(s.log)
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.exited = make(chan struct{})
	go func() {
		_ = s.cmd.Wait() // how it ended is in its log
		close(s.exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if c, err := net.DialTimeout("tcp", s.address, time.Second); err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("start %s: it ended at once:\n%s", s.name, tail(s.log))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("start %s: it does not listen on %s: %w", s.name, s.address, ctx.Err()), s.Kill())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends the server in order.
func (s *server) Stop() error {
	if s.exited == nil { // it never started
		return nil
	}
	if err := s.Signal(syscall.SIGTERM); err != nil { // a shell has what it starts in the background ignore SIGINT
		return s.Kill()
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(patience):
		return s.Kill()
	}
}

// Signal sends the process a signal, such as one that freezes it.
func (s *server) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

// Kill is kill -9.
func (s *server) Kill() error {
	if s.exited == nil { // it never started
		return nil
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.exited
	return nil
}

// tail returns the last lines of a file.
func tail(path string) string {
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// Where servers listen: below the ports that a system gives to connections, for one of those might be taken while a server is down. So is
// what a node of a Redis cluster listens on besides, which is 10,000 above.
const firstPort, lastPort = 10_000, 20_000

// FreePorts returns ports that nothing listens on now.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range lastPort - firstPort {
		l, err := net.Listen("tcp", address(firstPort+rand.IntN(lastPort-firstPort))) //nolint:gosec // no secret
		if err != nil {
			continue
		}
		defer l.Close() //nolint:errcheck // held until all are found, so that they differ
		if ports = append(ports, l.Addr().(*net.TCPAddr).Port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("found %d free ports between %d and %d, want %d", len(ports), firstPort, lastPort, n)
}
