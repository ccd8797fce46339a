// Command prove runs what proves the promise of exactly once: the simulation over many seeds, and the mutants that it must catch.
//
//	prove sim [-seeds N] [-from SEED] [-exact]     live through N simulated runs
//	prove teeth [-only TEXT] [-o FILE]             switch the rules off one by one, and see who notices
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
	default:
		err = fmt.Errorf("prove %s: want prove sim or prove teeth", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // nothing is left to be done
	}
}
