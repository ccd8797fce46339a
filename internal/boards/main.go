// Command boards writes the dashboards of Gonomaly into config/monitoring/grafana_dashboards, from which operators deploy them. They are made
// here, and not by hand, so that no panel can name a metric that the code does not emit: the tests read the same source.
//
//	boards [-into DIRECTORY]
//
// With a Prometheus it draws them instead, as SVG, with what that has: the pictures of docs/dashboards are made so.
//
//	boards -prometheus URL [-to TIME] [-for DURATION] [-into DIRECTORY]
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// where the dashboards lie that are deployed, and their pictures.
var (
	deployed = filepath.Join("config", "monitoring", "grafana_dashboards")
	pictured = filepath.Join("docs", "dashboards")
)

func main() {
	var v views
	into := flag.String("into", "", "`directory` to write into, instead of "+deployed+", or for pictures "+pictured)
	flag.StringVar(&v.prometheus, "prometheus", "", "`URL` of a Prometheus whose data is drawn")
	to := flag.String("to", time.Now().Format(time.RFC3339), "`time` at which a picture ends")
	long := flag.Duration("for", 3*time.Hour, "time that a picture is of")
	flag.Parse()
	err := func() (err error) {
		if v.prometheus == "" {
			return write(cmp.Or(*into, deployed))
		}
		if v.to, err = time.Parse(time.RFC3339, *to); err != nil {
			return err
		}
		v.from = v.to.Add(-*long)
		return v.draw(context.Background(), deployed, cmp.Or(*into, pictured))
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// boards are the dashboards, in the order in which somebody who was paged looks at them.
var boards = []board{systemHealth, stream, errorTracking, detectionPerformance, resourceUsage, securityEvents, businessKPIs}

// write renders all dashboards into a directory.
func write(directory string) error {
	for _, b := range boards {
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
