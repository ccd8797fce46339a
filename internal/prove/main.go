// Command prove runs what proves the promise of exactly once: the simulation over many seeds, and the mutants that it must catch.
//
//	prove sim [-seeds N] [-from SEED] [-exact]     live through N simulated runs
//	prove teeth [-only TEXT] [-o FILE]             switch the rules off one by one, and see who notices
//	prove unmetered [-o FILE]                      build gonomaly without its metrics, for a benchmark beside it
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch args := append(os.Args[1:], ""); args[0] {
	case "sim":
		err = sim(ctx, os.Args[2:])
	case "teeth":
		err = teeth(ctx, os.Args[2:])
	case "unmetered":
		err = unmetered(ctx, os.Args[2:])
	default:
		err = fmt.Errorf("prove %s: want prove sim, prove teeth or prove unmetered", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // nothing is left to be done
	}
}
