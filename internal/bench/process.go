package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// process is a gonomaly of its own, as a user runs it.
type process struct {
	cmd    *exec.Cmd
	url    string
	log    bytes.Buffer // read once it has ended
	exited chan error
}

// start runs the service, and returns when its HTTP port is open.
func start(ctx context.Context, o Options, config string, env ...string) (*process, error) {
	args := append(slices.Clone(o.Program), "run", "-c", config, "--listen", "127.0.0.1:0")
	if o.Profile != "" {
		args = append(args, "--cpuprofile", o.Profile)
	}
	p := &process{cmd: exec.CommandContext(ctx, args[0], args[1:]...), exited: make(chan error, 1)} //nolint:gosec // this program itself
	p.cmd.Env = append(os.Environ(), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	listen := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(io.TeeReader(stderr, &p.log))
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
		_, _ = io.Copy(io.Discard, lines) // or it would wait to be read, whatever it says
		p.exited <- p.cmd.Wait()
	}()
	select {
	case address := <-listen:
		p.url = "http://" + address
		return p, nil
	case err := <-p.exited:
		return nil, fmt.Errorf("the service ended at once: %w\n%s", cmp.Or(err, errors.New("exit 0")), p.log.String())
	}
}

// during calls work while the process is there, and has it end after that. It returns the CPU that the process took from its start.
func (p *process) during(work func() error) (time.Duration, error) {
	if err := work(); err != nil {
		return 0, errors.Join(err, p.kill())
	}
	return p.stop()
}

// stop has it end, as an operator would, and returns the CPU that it took from its start.
func (p *process) stop() (time.Duration, error) {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, err
	}
	if err := <-p.exited; err != nil {
		return 0, fmt.Errorf("the service ended badly: %w\n%s", err, p.log.String())
	}
	return spent(p.cmd.ProcessState), nil
}

// kill ends it without ceremony, after something else has failed.
func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // it may have ended
	ended := <-p.exited
	return errors.Join(ended, fmt.Errorf("the service's log: %s", p.log.String()))
}

// spent is the CPU that a process took, of its own and of the system for it.
func spent(s *os.ProcessState) time.Duration { return s.UserTime() + s.SystemTime() }

// counters are what a process counts of itself.
type counters struct {
	at          time.Time
	events      float64 // received
	cpu         float64 // s
	allocations float64
	resident    float64 // bytes; 0 where the system does not tell
	pause       float64 // s, the longest in which the collector stopped all
}

// count reads the process's metrics.
func (p *process) count(ctx context.Context) (c counters, err error) {
	body, err := p.get(ctx, "/metrics")
	if err != nil {
		return c, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return c, fmt.Errorf("metrics: %w", err)
	}
	c.at = time.Now()
	for name, to := range map[string]*float64{
		"gonomaly_records_received_total": &c.events, "process_cpu_seconds_total": &c.cpu, "go_memstats_mallocs_total": &c.allocations,
		"process_resident_memory_bytes": &c.resident,
	} {
		for _, m := range families[name].GetMetric() {
			*to += m.GetCounter().GetValue() + m.GetGauge().GetValue() // it is one of them
		}
	}
	for _, m := range families["go_gc_duration_seconds"].GetMetric() {
		for _, q := range m.GetSummary().GetQuantile() {
			c.pause = max(c.pause, q.GetValue()) // that of 1 is the longest of the last 256
		}
	}
	return c, nil
}

// ready waits until every partition is assigned.
func (p *process) ready(ctx context.Context) error {
	return eventually(ctx, func() (bool, error) {
		body, err := p.get(ctx, "/-/ready")
		return err == nil && strings.HasPrefix(string(body), "ready"), nil
	})
}

func (p *process) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	return io.ReadAll(resp.Body)
}

// patience is how long a step of a run may take.
const patience = 5 * time.Minute

// eventually asks until the answer is yes, or an error.
func eventually(ctx context.Context, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("waiting: %w", ctx.Err())
		}
	}
}
