//go:build chaos && unix

package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// process is a running gonomaly.
type process struct {
	cmd    *exec.Cmd
	url    string
	exited chan struct{}
	err    error // set when exited is closed
}

// launch starts a process whose log is appended to name.log, and returns when its HTTP port is open.
func (w *world) launch(name string, env ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(w.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(w.binary, "run", "-c", w.config, "--listen", "127.0.0.1:0"), exited: make(chan struct{})}
	p.cmd.Env = append(append(os.Environ(), "GOMAXPROCS=2"), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	listen := make(chan string, 1)
	go func() {
		defer close(p.exited)
		lines := bufio.NewReader(io.TeeReader(stderr, log))
		for {
			line, err := lines.ReadBytes('\n')
			var entry struct{ Listen string }
			if json.Unmarshal(line, &entry) == nil && entry.Listen != "" {
				listen <- entry.Listen
				break
			}
			if err != nil {
				break
			}
		}
		_, _ = io.Copy(io.Discard, lines)
		p.err = p.cmd.Wait()
		_ = log.Close()
	}()
	select {
	case address := <-listen:
		p.url = "http://" + address
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("%s ended at once: %w", name, p.err)
	case <-time.After(time.Minute):
		return nil, errors.Join(fmt.Errorf("%s does not open its port", name), p.kill())
	}
}

func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.exited
	return nil
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// patience is how long a process may take to end in order: it promises ten seconds.
const patience = 15 * time.Second

var errHung = errors.New("it did not end when told to")

// terminate sends SIGTERM. The error is errHung, or that of a bad exit.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		return p.err
	case <-time.After(patience):
	}
	_ = p.cmd.Process.Signal(syscall.SIGQUIT) // its goroutines go to the log
	select {
	case <-p.exited:
	case <-time.After(2 * time.Second):
	}
	return errors.Join(errHung, p.kill())
}

func (p *process) get(ctx context.Context, path string) (string, error) {
	return p.ask(ctx, http.MethodGet, path)
}

func (p *process) post(ctx context.Context, path string) error {
	_, err := p.ask(ctx, http.MethodPost, path)
	return err
}

func (p *process) ask(ctx context.Context, method, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return string(body), err
}

// metrics are a process's, by name.
type metrics map[string]*dto.MetricFamily

func (p *process) metrics(ctx context.Context) (metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	body, err := p.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(body))
}

// sum adds up the samples of a metric that have the labels, given as name, value, name, value.
func (m metrics) sum(name string, labels ...string) float64 {
	sum := 0.0
sample:
	for _, s := range m[name].GetMetric() {
		has := map[string]string{}
		for _, l := range s.Label {
			has[l.GetName()] = l.GetValue()
		}
		for i := 0; i < len(labels); i += 2 {
			if has[labels[i]] != labels[i+1] {
				continue sample
			}
		}
		sum += s.GetCounter().GetValue() + s.GetGauge().GetValue()
	}
	return sum
}

// slot is one of the instances: a process, and after it its successor.
type slot struct {
	w    *world
	name string
	env  []string

	watch watch // of its process's requests

	turn sync.Mutex // of who ends the process and starts its successor

	mu        sync.Mutex
	p         *process
	processed float64   // records, of p
	moved     time.Time // when that last grew
}

// start must be called in the slot's turn, as all that ends the process.
func (s *slot) start() error {
	p, err := s.w.launch(s.name, s.env...)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p, s.processed = p, 0
	return nil
}

func (s *slot) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.p
}

// end tells the process to end, and counts how it does.
func (s *slot) end() error {
	err := s.process().terminate()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, errHung):
		s.w.count(func() { s.w.hung++ })
	case errors.As(err, &exit) && exit.ExitCode() == 1 && s.saidWhy():
		s.w.count(func() { s.w.cutShort++ })
	case errors.As(err, &exit):
		s.w.count(func() { s.w.exits++ })
	default:
		return err
	}
	s.w.say("%s was told to end: %v", s.name, err)
	return nil
}

// cutShort is what a process says last where not all could end by its deadline, in service.go, or by that of the command, in main.go.
var cutShort = regexp.MustCompile(`not everything (has )?ended within`)

// saidWhy says whether the last that a process said is that it was cut short: what it owes to brokers that do not answer.
func (s *slot) saidWhy() bool {
	b, err := os.ReadFile(filepath.Join(s.w.dir, s.name+".log"))
	if err != nil {
		return false
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return cutShort.MatchString(lines[len(lines)-1])
}

// revive starts a successor of a process that has ended by itself.
func (s *slot) revive() {
	if !s.turn.TryLock() {
		return
	}
	defer s.turn.Unlock()
	if p := s.process(); p == nil || !p.gone() {
		return
	}
	s.w.count(func() { s.w.exits++ })
	s.w.say("%s has ended by itself: %v", s.name, s.process().err)
	if err := s.start(); err != nil {
		s.w.say("start it again: %v", err)
	}
}

// look notes whether the process has processed anything since the last look.
func (s *slot) look(ctx context.Context) {
	p := s.process()
	if p == nil || p.gone() {
		return
	}
	m, err := p.metrics(ctx)
	if err != nil {
		return
	}
	n := m.sum("gonomaly_records_received_total") + m.sum("gonomaly_records_replayed_total")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p == p {
		if n > s.processed {
			s.moved = time.Now()
		}
		s.processed = n
	}
}

// busy says whether the process was processing records within the last second.
func (s *slot) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.moved) < time.Second
}
