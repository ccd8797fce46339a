//go:build faults && unix

package faults

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gonomaly/gonomaly/internal/local"
)

// world is what all groups share: who watches them, and the servers of those that leave these alone.
type world struct {
	dir, out string // of logs and data; and of what is kept: the table, and what was seen of each fault
	binary   string
	watch    *watch
	kafka    *local.Kafka
	redis    *local.Redis

	mu    sync.Mutex
	ports map[int]bool // given away
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), out: os.Getenv("FAULTS_OUT"), ports: map[int]bool{}}
	if w.out == "" {
		w.out = filepath.Join(w.dir, "out")
	}
	if err := os.MkdirAll(w.out, 0o700); err != nil {
		t.Fatal(err)
	}
	w.binary = filepath.Join(w.dir, "gonomaly")
	if out, err := exec.Command("go", "build", "-o", w.binary, "../../cmd/gonomaly").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	w.watch = startWatch(t, w.dir)
	ctx, cancel := context.WithCancel(context.Background())
	var looking sync.WaitGroup
	looking.Go(func() { w.watch.run(ctx) })
	t.Cleanup(func() {
		cancel()
		looking.Wait()
	})
	w.kafka, w.redis = startKafka(t, 1).Brokers[0], local.OwnRedis(t)
	return w
}

func startKafka(t *testing.T, brokers int) *local.Cluster {
	t.Helper()
	c, err := local.StartCluster(t.Context(), t.TempDir(), local.ClusterConfig{Brokers: brokers, Heap: 256})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	return c
}

// address is one that no other process of the run has, and which stays a process's own while that is down.
func (w *world) address(t *testing.T) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		ports, err := local.FreePorts(1)
		if err != nil {
			t.Fatal(err)
		}
		if !w.ports[ports[0]] {
			w.ports[ports[0]] = true
			return fmt.Sprintf("127.0.0.1:%d", ports[0])
		}
	}
}
