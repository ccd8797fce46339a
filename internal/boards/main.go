// Command boards writes the dashboards of Gonomaly into config/monitoring/grafana_dashboards, from which operators deploy them. They are made
// here, and not by hand, so that no panel can name a metric that the code does not emit: the tests read the same source.
//
//	boards [-into DIRECTORY]
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	into := flag.String("into", filepath.Join("config", "monitoring", "grafana_dashboards"), "`directory` to write the dashboards into")
	flag.Parse()
	if err := write(*into); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// boards are the dashboards, in the order in which somebody who was paged looks at them.
func boards() []board {
	return []board{
		systemHealth(), stream(), errorTracking(), detectionPerformance(), resourceUsage(), securityEvents(), businessKPIs(),
	}
}

// write renders all dashboards into a directory.
func write(directory string) error {
	for _, b := range boards() {
		text, err := b.render()
		if err != nil {
			return fmt.Errorf("render dashboard %s: %w", b.title, err)
		}
		if err := os.WriteFile(filepath.Join(directory, b.file()), text, 0o644); err != nil { //nolint:gosec // to be read by Grafana, whoever runs it
			return err
		}
	}
	return nil
}
