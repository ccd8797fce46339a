//go:build faults && unix

package faults

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// member is a process of a group, and after it its successors.
type member struct {
	g       *group
	name    string
	address string
	cmd     *exec.Cmd
}

func (g *group) newMember(name string) *member {
	g.Helper()
	return &member{g: g, name: name, address: g.address(g.T)}
}

// start starts the process, whose log is appended to a file.
func (m *member) start() {
	m.g.Helper()
	log, err := os.OpenFile(filepath.Join(m.g.out, m.g.name+"-"+m.name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	m.g.must(err)
	defer log.Close() //nolint:errcheck // the process has its own handle
	stdout, written, err := os.Pipe()
	m.g.must(err)
	defer written.Close() //nolint:errcheck // the process has its own handle
	m.cmd = exec.Command(m.g.binary, "run", "-c", m.g.config, "--listen", m.address)
	m.cmd.Env = append(os.Environ(), "GONOMALY_INSTANCE="+m.g.name+"-"+m.name)
	m.cmd.Stdout, m.cmd.Stderr = written, log
	cmd := m.cmd
	m.g.must(cmd.Start())
	go func() {
		for some := make([]byte, 1<<10); ; {
			if _, err := io.ReadFull(stdout, some); err != nil {
				return
			}
			time.Sleep(time.Duration(m.g.takes.Load()))
		}
	}()
	m.g.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = stdout.Close()
	})
}

// end sends a signal that ends the process, and waits for that.
func (m *member) end(s os.Signal) {
	m.g.Helper()
	m.signal(s)
	if err := m.cmd.Wait(); err != nil && s == syscall.SIGTERM {
		m.g.Errorf("SIGTERM ends %s with %v, want exit 0", m.name, err)
	}
}

func (m *member) signal(s os.Signal) {
	m.g.Helper()
	m.g.must(m.cmd.Process.Signal(s))
}

func (m *member) get(path string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get("http://" + m.address + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func (m *member) reload() {
	m.g.Helper()
	resp, err := http.Post("http://"+m.address+"/-/reload", "", nil)
	m.g.must(err)
	m.g.must(resp.Body.Close())
}
