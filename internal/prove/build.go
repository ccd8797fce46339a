package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// overlay is files that stand for others while something is built: contents by path.
type overlay map[string][]byte

// durableLocks is the runtime of the Go that is installed, but for one table: a bubble's clock moves on also while goroutines wait for a
// mutex. The runtime's authors leave those out because a lock may be held from outside a bubble; there is nothing outside of ours, and the
// client of Kafka holds locks while it waits for answers.
func durableLocks(ctx context.Context) (overlay, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	const table = "var isIdleInSynctest = [len(waitReasonStrings)]bool{\n"
	const locks = "waitReasonSyncMutexLock: true, waitReasonSyncRWMutexRLock: true, waitReasonSyncRWMutexLock: true, waitReasonSyncWaitGroupWait: true,\n"
	o := overlay{}
	return o, o.change(filepath.Join(strings.TrimSpace(string(root)), "src", "runtime", "runtime2.go"), table, table+locks)
}

// change has a text of a file replaced, where it stands first.
func (o overlay) change(path, old, with string) error {
	source, found := o[path]
	if !found {
		var err error
		if source, err = os.ReadFile(path); err != nil { //nolint:gosec // of ours, or of the installation
			return err
		}
	}
	if !bytes.Contains(source, []byte(old)) {
		return fmt.Errorf("%s does not contain %q: it has changed, and so must what is to stand there", path, old)
	}
	o[path] = bytes.Replace(source, []byte(old), []byte(with), 1)
	return nil
}

// write puts an overlay where the go command reads it.
func (o overlay) write(dir string) (file string, err error) {
	replace := map[string]string{}
	n := 0
	for path, content := range o {
		n++
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d-%s", n, filepath.Base(path)))
		if err := os.WriteFile(replace[path], content, 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}

// build makes the simulation's binary in dir, for this machine or as WebAssembly.
func build(ctx context.Context, dir string, changed overlay, wasm bool) (file string, err error) {
	all, err := durableLocks(ctx)
	if err != nil {
		return "", err
	}
	maps.Copy(all, changed)
	list, err := all.write(dir)
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "sim.test")
	const durable = "-X github.com/gonomaly/gonomaly/internal/sim.locks=durable"
	var target []string
	if wasm {
		target = []string{"GOOS=wasip1", "GOARCH=wasm"}
	}
	return file, compile(ctx, target, "test", "-c", "-tags", "sim", "-overlay", list, "-ldflags", durable, "-o", file, "./internal/sim")
}

// compile runs the go command; where it fails, what it says is in the error.
func compile(ctx context.Context, env []string, args ...string) error {
	c := exec.CommandContext(ctx, "go", args...) //nolint:gosec // of ours
	c.Env = append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
