//go:build faults && unix

package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/internal/local"
)

// Groups that have a past, for what is missed is what was always there: by name, for they have it before they are.
const (
	silentPartition = "partition-silent"
	silentStream    = "stream-silent"
)

// past is how long they always had records. The rules look back a day and a quarter of an hour.
const past = 26 * time.Hour

// remember gives a directory of Prometheus the past: samples as a scrape would have brought them, and of those what the rules as they are
// would have recorded. It is done twice, for some of what is recorded is made of other such.
func remember(t *testing.T, dir, rules string) {
	t.Helper()
	now := time.Now()
	var samples strings.Builder
	for at := now.Add(-past); at.Before(now); at = at.Add(15 * time.Second) {
		for _, name := range []string{silentPartition, silentStream} {
			labels := fmt.Sprintf(`job="gonomaly-%s",instance="before",stream="%[1]s",topic="%[1]s"`, name)
			fmt.Fprintf(&samples, "gonomaly_records_total{%s,outcome=\"scored\"} %d %d\n", labels, rate*int(at.Sub(now.Add(-past)).Seconds()), at.Unix())
			for i := range partitions {
				fmt.Fprintf(&samples, "gonomaly_watermark_timestamp_seconds{%s,partition=\"%d\"} %d %[3]d\n", labels, i, at.Unix())
			}
		}
	}
	samples.WriteString("# EOF\n")
	file := filepath.Join(dir, "past.txt")
	if err := os.WriteFile(file, []byte(samples.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "promtool", append([]string{"tsdb", "create-blocks-from"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("promtool %v: %v\n%s", args, err, out)
		}
	}
	data := filepath.Join(dir, "data")
	promtool("openmetrics", file, data)
	for range 2 {
		p, err := local.StartPrometheus(t.Context(), dir, "{}")
		if err != nil {
			t.Fatal(err)
		}
		promtool("rules", fmt.Sprintf("--start=%d", now.Add(-past).Unix()), "--url=http://"+p.Address(), "--output-dir="+data, rules)
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}
