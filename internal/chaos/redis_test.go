//go:build chaos && unix

package chaos

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/local"
)

// pair is a Redis and its replica. The processes reach the first through their proxies.
type pair struct {
	main, replica *local.Redis
}

func startPair(ctx context.Context, dir string) (*pair, error) {
	var servers [2]*local.Redis
	for i := range servers {
		own := filepath.Join(dir, fmt.Sprintf("redis-%d", i+1))
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, err
		}
		var err error
		if servers[i], err = local.StartRedis(ctx, own); err != nil {
			return nil, err
		}
	}
	p := &pair{main: servers[0], replica: servers[1]}
	return p, p.follow(ctx)
}

// do has a server obey a command, once it has loaded its data, and returns the reply.
func do(ctx context.Context, r *local.Redis, command ...any) (reply string, err error) {
	c := redis.NewClient(&redis.Options{Addr: r.Address()})
	defer c.Close() //nolint:errcheck // nothing is lost
	for range 300 {
		reply, err = c.Do(ctx, command...).Text()
		if err == nil || !strings.HasPrefix(err.Error(), "LOADING") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return "", fmt.Errorf("redis %v: %w", command, err)
	}
	return reply, nil
}

// follow has the replica follow the main one, and returns when it has caught up.
func (p *pair) follow(ctx context.Context) error {
	host, port, err := net.SplitHostPort(p.main.Address())
	if err != nil {
		return err
	}
	if _, err := do(ctx, p.main, "CONFIG", "SET", "repl-diskless-sync-delay", "0"); err != nil {
		return err
	}
	if _, err := do(ctx, p.replica, "REPLICAOF", host, port); err != nil {
		return err
	}
	return p.linked(ctx)
}

// linked returns when the replica has what the main one has.
func (p *pair) linked(ctx context.Context) error {
	var info string
	for range 600 {
		var err error
		if info, err = do(ctx, p.replica, "INFO", "replication"); err != nil {
			return err
		}
		if strings.Contains(info, "master_link_status:up") && strings.Contains(info, "master_sync_in_progress:0") {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the replica does not follow: %s", info)
}

// part ends the replication: from now on the replica misses what is written.
func (p *pair) part(ctx context.Context) error {
	if err := p.linked(ctx); err != nil {
		return err
	}
	_, err := do(ctx, p.replica, "REPLICAOF", "NO", "ONE")
	return err
}

// swap makes the replica the main one.
func (p *pair) swap() { p.main, p.replica = p.replica, p.main }

func (p *pair) stop() {
	_ = p.main.Stop()
	_ = p.replica.Stop()
}
