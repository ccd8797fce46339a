// Command gonomaly watches Kafka topics and tells what is odd in them. Each file beside this one is a subcommand: flags and wiring.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := bounded(ctx, os.Stderr, func() int { return execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr) })
	stop()
	os.Exit(code)
}

// endTime is how long a command may take to end once it is told to: a little more than the ten seconds in which run does. A read of a named pipe to
// which nobody writes, such as -c <(…) may be, ends with no context.
const endTime = 12 * time.Second

// bounded is the exit code of a command, or exitFailed when it has not ended within endTime of ctx.
func bounded(ctx context.Context, errs io.Writer, command func() int) int {
	ended := make(chan int, 1)
	go func() { ended <- command() }()
	select {
	case code := <-ended:
		return code
	case <-ctx.Done():
	}
	select {
	case code := <-ended:
		return code
	case <-time.After(endTime):
		_, _ = fmt.Fprintf(errs, "gonomaly: interrupted, and not everything has ended within %v\n", endTime)
		return exitFailed
	}
}

// Exit codes.
const (
	exitGood   = 0
	exitFailed = 1 // the work failed
	exitUsage  = 2 // the command was used wrongly
)

// usageError is a mistake in the command line, as against a failure of the work.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errSilent ends a command with exitFailed when everything is said already.
var errSilent = errors.New("")

func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	var unknown error
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) { // of what is no command cobra shows the help of the one above
		if unknown = subcommand(c, c.Flags().Args()); unknown == nil {
			help(c, args)
		}
	})
	command, err := root.ExecuteContextC(ctx)
	if err = cmp.Or(err, unknown); err == nil {
		return exitGood
	}
	var usage usageError
	switch {
	case errors.Is(err, errSilent):
		return exitFailed
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(errs, "gonomaly: %v\nSee '%s --help'.\n", err, command.CommandPath())
		return exitUsage
	}
	_, _ = fmt.Fprintf(errs, "gonomaly: %v\n", err)
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gonomaly",
		Short: "Real-time anomaly detection on Kafka",
		Long: `Gonomaly reads Kafka topics, learns what is normal for each key as the records come, and tells what is not:
each alert once, with its reason, to a Kafka topic and to sinks such as Redis. There is no model to train.`,
		Example: `  gonomaly demo                                     see it work, without any set-up
  gonomaly create metrics --from mytopic > g.yaml   make a configuration from what is in a topic
  gonomaly validate -c g.yaml                       check it
  gonomaly backtest -c g.yaml --input data.csv --out report   try it on files
  gonomaly run -c g.yaml                            run it
  gonomaly top                                      watch it: lag, throughput, alerts, sinks
  gonomaly doctor -c g.yaml                         find out what is wrong, and what to do`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       readBuild().Version,
		Args:          subcommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Say what a command does and takes, as --help does",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err = cmp.Or(err, subcommand(c, rest)); err != nil {
				return err
			}
			return c.Help()
		},
	})
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newDemo(), newRun(), newValidate(), newCreate(), newSchema(), newBacktest(), newBench(), newPlan(), newProduce(), newResend(),
		newTop(), newDoctor(), newHealthcheck(), newVersion())
	return root
}

// subcommand takes arguments of a command that has others below it: what is left of them is none of those, and may be a slip.
func subcommand(c *cobra.Command, given []string) error {
	if len(given) == 0 || !c.HasSubCommands() {
		return nil
	}
	meant := ""
	c.SuggestionsMinimumDistance = 2 // letters
	if near := c.SuggestionsFor(given[0]); len(near) > 0 {
		meant = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{fmt.Errorf("unknown command %q for %q%s", given[0], c.CommandPath(), meant)}
}

// noArguments refuses those of a command that takes flags only. The commonest is a configuration that lacks its -c.
func noArguments(c *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	if f := c.Flags().Lookup("config"); f != nil && !f.Changed {
		return usageError{fmt.Errorf("%s takes flags only: name a configuration with -c %s", c.CommandPath(), given[0])}
	}
	return usageError{fmt.Errorf("%s takes flags only, and %q is none", c.CommandPath(), given[0])}
}
