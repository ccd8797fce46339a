package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
	"github.com/spf13/cobra"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema config|alert|metrics",
		Short: "Print the JSON Schema of the configuration or of an alert, or the reference of the metrics",
		Long: `Schema prints a JSON Schema (2020-12), made from the code. With that of the configuration an editor completes and checks it; with
that of an alert a reader of the alerts topic knows what to expect. Of the metrics it prints a page in Markdown: name, type, labels, unit and
meaning of each, as they are registered.`,
		Example: `  gonomaly schema config > gonomaly.schema.json
  gonomaly schema alert
  gonomaly schema metrics > docs/metrics.md`,
		ValidArgs: []string{"config", "alert", "metrics"},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(c.ValidArgs, args[0]) {
				return usageError{fmt.Errorf("schema of what? One of %s", strings.Join(c.ValidArgs, ", "))}
			}
			if args[0] == "metrics" {
				return service.WriteReference(c.OutOrStdout())
			}
			schema := map[string]func() *jsonschema.Schema{"config": config.Schema, "alert": config.AlertSchema}[args[0]]()
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(schema)
		},
	}
}
