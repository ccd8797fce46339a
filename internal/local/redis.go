package local

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// Redis is a redis-server that keeps an append-only file, so that it has its data back after Stop and Start.
type Redis struct{ server }

// Address is host:port.
func (r *Redis) Address() string { return r.address }

// StartRedis starts a server whose data lies in dir. It needs redis-server.
func StartRedis(ctx context.Context, dir string) (*Redis, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	r := &Redis{server{
		name: "Redis", address: fmt.Sprintf("127.0.0.1:%d", ports[0]), log: filepath.Join(dir, "redis.log"),
		command: []string{
			"redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(ports[0]), "--dir", dir,
			"--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
		},
	}}
	return r, r.start(ctx)
}

// Start starts it again where it was, after Stop or Kill.
func (r *Redis) Start(ctx context.Context) error { return r.start(ctx) }
