package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build; others say what the module system knows.
var version = ""

// build says what this binary was made of.
type build struct {
	Version  string            `json:"version"`
	Commit   string            `json:"commit"`
	Modified bool              `json:"modified"` // the work tree had changes
	Go       string            `json:"go"`
	Platform string            `json:"platform"`
	Modules  map[string]string `json:"modules"`
}

// clients are the modules whose versions matter to who runs Gonomaly.
var clients = []string{"github.com/twmb/franz-go", "github.com/redis/go-redis/v9", "github.com/ThreeDotsLabs/watermill"}

func readBuild() build {
	b := build{
		Version: version, Commit: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Modules: map[string]string{},
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	for _, d := range info.Deps {
		for _, c := range clients {
			if d.Path == c {
				b.Modules[c] = d.Version
			}
		}
	}
	return b
}

func newVersion() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and those of the clients inside",
		Example: `  gonomaly version
  gonomaly version --json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			b := readBuild()
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(b)
			}
			changed := ""
			if b.Modified {
				changed = " with changes"
			}
			out := c.OutOrStdout()
			_, err := fmt.Fprintf(out, "gonomaly %s\ncommit   %s%s\ngo       %s %s\n", b.Version, b.Commit, changed, b.Go, b.Platform)
			for _, path := range clients {
				if v := b.Modules[path]; v != "" && err == nil {
					_, err = fmt.Fprintf(out, "%s %s\n", path, v)
				}
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
