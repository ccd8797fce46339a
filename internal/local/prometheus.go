package local

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Prometheus is a prometheus server, or an alertmanager.
type Prometheus struct{ server }

// Address is host:port.
func (p *Prometheus) Address() string { return p.address }

// StartPrometheus starts a server whose data lies in dir, with the text of a configuration; rule files are named from dir. It needs prometheus.
func StartPrometheus(ctx context.Context, dir, config string) (*Prometheus, error) {
	return startMonitoring(ctx, "Prometheus", dir, config, "prometheus", "--storage.tsdb.path", "--web.listen-address")
}

// StartAlertmanager starts an Alertmanager whose data lies in dir, with the text of a configuration. It needs prometheus-alertmanager, as Debian
// calls the command.
func StartAlertmanager(ctx context.Context, dir, config string) (*Prometheus, error) {
	return startMonitoring(ctx, "Alertmanager", dir, config, "prometheus-alertmanager", "--storage.path", "--web.listen-address", "--cluster.listen-address=")
}

func startMonitoring(ctx context.Context, name, dir, config, command, storage, listen string, flags ...string) (*Prometheus, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "monitoring.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p := &Prometheus{server{
		name: name, address: address(ports[0]), log: filepath.Join(dir, "monitoring.log"),
		command: append([]string{
			command, "--config.file=" + file, fmt.Sprintf("%s=%s", storage, filepath.Join(dir, "data")), fmt.Sprintf("%s=%s", listen, address(ports[0])),
		}, flags...),
	}}
	return p, p.start(ctx)
}
