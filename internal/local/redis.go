package local

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Redis is a redis-server that keeps an append-only file, so that it has its data back after Stop and Start.
type Redis struct{ server }

// Address is host:port.
func (r *Redis) Address() string { return r.address }

// StartRedis starts a server whose data lies in dir, with further settings as on redis-server's command line: "--maxmemory", "8mb". It
// needs redis-server.
func StartRedis(ctx context.Context, dir string, settings ...string) (*Redis, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	r := &Redis{server{
		name: "Redis", address: address(ports[0]), log: filepath.Join(dir, "redis.log"),
		command: append([]string{
			"redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(ports[0]), "--dir", dir,
			"--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		}, settings...),
	}}
	return r, r.start(ctx)
}

// StartSentinel starts a Sentinel in dir that watches a master under a name, and needs no other to decide on a fail-over. Settings are lines
// of its configuration.
func StartSentinel(ctx context.Context, dir, name string, master *Redis, settings ...string) (*Redis, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(master.Address())
	if err != nil {
		return nil, err
	}
	lines := append([]string{
		"bind 127.0.0.1", fmt.Sprintf("port %d", ports[0]), "dir " + dir, fmt.Sprintf("sentinel monitor %s %s %s 1", name, host, port),
		fmt.Sprintf("sentinel down-after-milliseconds %s 1000", name), fmt.Sprintf("sentinel failover-timeout %s 3000", name),
	}, settings...)
	file := filepath.Join(dir, "sentinel.conf") // which it rewrites
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	r := &Redis{server{
		name: "Sentinel", address: address(ports[0]), log: filepath.Join(dir, "sentinel.log"), command: []string{"redis-server", file, "--sentinel"},
	}}
	return r, r.start(ctx)
}

// Start starts it again where it was, after Stop or Kill.
func (r *Redis) Start(ctx context.Context) error { return r.start(ctx) }
