package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/config"
)

func newValidate() *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use:   "validate -c FILE…",
		Short: "Check configuration files, and say all that is wrong with them",
		Long: `Validate checks configuration files as run would, without connecting to anything. Everything that is wrong is printed at once, one
problem a line as file:line:column: what, the value, what is allowed. Variables are taken from the environment.`,
		Example: `  gonomaly validate -c gonomaly.yaml
  gonomaly validate -c a.yaml -c b.yaml
  gonomaly validate config/examples/*.yaml`,
		RunE: func(c *cobra.Command, args []string) error {
			files := append(files, args...)
			if len(files) == 0 {
				return usageError{errors.New("which file? Name it with -c FILE")}
			}
			var failed error
			for _, file := range files {
				_, err := config.Load(file)
				var problems config.Problems
				switch {
				case err == nil:
				case errors.As(err, &problems):
					failed = errSilent
					if _, err := fmt.Fprintln(c.OutOrStdout(), problems); err != nil {
						return err
					}
				default:
					return err
				}
			}
			return failed
		},
	}
	c.Flags().StringArrayVarP(&files, "config", "c", nil, "configuration `FILE`; may be repeated")
	return c
}
