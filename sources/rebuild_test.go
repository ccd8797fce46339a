package sources

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kgo"
)

const hours = 400 // of a log with one record in each

// A state that is lost is rebuilt from as much of the log as is wanted, and what that cuts off is said.
func TestRebuildIsBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rebuild time.Duration
		folded  int64
		cut     float64
	}{
		"not at all":            {0, hours, 0},
		"within the log":        {100 * time.Hour, 101, 1},
		"between two records":   {90 * time.Minute, 2, 1},
		"longer than the log":   {hours * time.Hour, hours, 0},
		"less than to a record": {time.Minute, 1, 1},
		"to before 1970":        {24 * 365 * 100 * time.Hour, hours, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, input)
			w.rebuilds(t, c.rebuild, c.folded, c.cut)
		})
	}
}

// rebuilds has the state of such a log lost, and wants that so many of them are folded again, and that so many partitions are
// said to be rebuilt from a part.
func (w *world) rebuilds(t *testing.T, rebuild time.Duration, folded int64, cut float64) {
	t.Helper()
	client := w.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	begin := time.Now().Add(-hours * time.Hour)
	for i := range hours {
		r := &kgo.Record{Topic: input, Partition: 1, Value: fmt.Append(nil, i), Timestamp: begin.Add(time.Duration(i) * time.Hour)}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	p := w.start("a")
	w.caughtUp()
	p.quit(t)
	w.store.forget(0)

	var said bytes.Buffer
	p = w.start("a", func(o *KafkaOptions, _ *handler) {
		o.Config.Rebuild, o.Log = rebuild, slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	w.eventually("it is rebuilt", func() error {
		if n := p.h.count(); n < folded {
			return fmt.Errorf("%d records are folded, want %d", n, folded)
		}
		return nil
	})
	w.produce(20)
	w.caughtUp()
	cuts := testutil.ToFloat64(p.o.Metrics.cutRebuilds.WithLabelValues("s"))
	p.quit(t)
	if n := p.h.count(); n != folded+20 || cuts != cut || strings.Count(said.String(), "rebuilt from a part of the log") != int(cut) {
		t.Errorf("%d records are folded and %v rebuilds cut, want %d and %v; it says\n%s", n, cuts, folded+20, cut, &said)
	}
}
