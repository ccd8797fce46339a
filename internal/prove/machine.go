package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// machine runs the simulation over seeds from one on, and returns what it prints. The error is not nil where one failed.
type machine func(ctx context.Context, from, seeds uint64) ([]byte, error)

var arguments = []string{"-test.run", "^TestSim$", "-test.v", "-test.timeout", "10m"}

// scenarios runs what is no matter of seeds.
func scenarios(ctx context.Context, file string) error {
	c := exec.CommandContext(ctx, file, "-test.skip", "^TestSim$", "-test.v", "-test.timeout", "10m")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	return c.Run()
}

func settings(from, seeds uint64) []string {
	return []string{fmt.Sprint("SIM_FROM=", from), fmt.Sprint("SIM_SEEDS=", seeds)}
}

// native runs it as a process. Goroutines take turns as the machine likes: two runs of a seed differ a little.
func native(file string, env ...string) machine {
	return func(ctx context.Context, from, seeds uint64) ([]byte, error) {
		c := exec.CommandContext(ctx, file, arguments...)
		c.Env = slices.Concat(os.Environ(), settings(from, seeds), env, []string{"GOMAXPROCS=1"})
		return c.CombinedOutput()
	}
}

// exact runs it as WebAssembly, which has one thread, and no clock and no chance but those that it is given: a seed is the same to the
// last instruction each time.
func exact(ctx context.Context, file string) (machine, error) {
	code, err := os.ReadFile(file) //nolint:gosec // of ours
	if err != nil {
		return nil, err
	}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(true))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return nil, err
	}
	compiled, err := r.CompileModule(experimental.WithCompilationWorkers(ctx, runtime.NumCPU()), code)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", file, err)
	}
	return func(ctx context.Context, from, seeds uint64) ([]byte, error) {
		var all bytes.Buffer
		var failed error
		for seed := from; seed < from+seeds; seed++ {
			c := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{file}, arguments...)...).WithStdout(&all).WithStderr(&all)
			for _, s := range settings(seed, 1) {
				name, value, _ := bytes.Cut([]byte(s), []byte("="))
				c = c.WithEnv(string(name), string(value))
			}
			now := int64(0)
			tick := func() int64 { now += 1000; return now }
			c = c.WithRandSource(rand.NewChaCha8([32]byte{})).WithNanosleep(func(ns int64) { now += ns }).
				WithNanotime(tick, sys.ClockResolution(1)).WithWalltime(func() (int64, int32) { t := tick(); return t / 1e9, int32(t % 1e9) }, sys.ClockResolution(1))
			m, err := r.InstantiateModule(ctx, compiled, c)
			if exit := new(sys.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 0) {
				failed = errors.Join(failed, fmt.Errorf("seed %d: %w", seed, err))
			}
			if m != nil {
				_ = m.Close(ctx)
			}
		}
		return all.Bytes(), failed
	}, nil
}
