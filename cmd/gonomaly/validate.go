package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/config"
)

func newValidate() *cobra.Command {
	var files []string
	var against string
	c := &cobra.Command{
		Use:   "validate -c FILE…",
		Short: "Check configuration files, and say all that is wrong with them",
		Long: `Validate checks configuration files as run would, without connecting to anything. Everything that is wrong is printed at once, one
problem a line as file:line:column: what, the value, what is allowed. Variables are taken from the environment.

With --against, the configuration that runs now, it says for each stream what keeps what it has learned, what starts cold, and what is
rebuilt from the log.`,
		Example: `  gonomaly validate -c gonomaly.yaml
  gonomaly validate -c a.yaml -c b.yaml
  gonomaly validate -c new.yaml --against gonomaly.yaml
  gonomaly validate config/examples/*.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			files := append(files, args...)
			if len(files) == 0 {
				return usageError{errors.New("which file? Name it with -c FILE")}
			}
			var before *config.Config
			if against != "" {
				var err error
				if before, err = config.Load(against); err != nil {
					return err
				}
			}
			var failed error
			var unread []error // files
			for _, file := range files {
				after, err := config.Load(file)
				var problems config.Problems
				switch {
				case err == nil && before == nil:
				case err == nil:
					if err := foretell(c.OutOrStdout(), before, after); err != nil {
						return err
					}
				case errors.As(err, &problems):
					failed = errSilent
					if _, err := fmt.Fprintln(c.OutOrStdout(), problems); err != nil {
						return err
					}
				default:
					unread = append(unread, err)
				}
			}
			return cmp.Or(errors.Join(unread...), failed)
		},
	}
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "configuration `FILE`; may be repeated")
	c.Flags().StringVar(&against, "against", "", "`FILE` with the configuration that runs now: say what the change does to what was learned")
	return c
}

func foretell(w io.Writer, before, after *config.Config) error {
	if restart := config.Diff(before, after).Restart; len(restart) > 0 {
		if _, err := fmt.Fprintf(w, "a change of %s needs a new process\n", strings.Join(restart, ", ")); err != nil {
			return err
		}
	}
	fates, err := config.Foretell(before, after)
	for _, f := range fates {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return err
}
