package quality

import (
	"fmt"
	"strconv"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources/sample"
)

// createdStream is what `gonomaly create PRESET --detector KIND` writes for a file of times and so many values; no kind is the preset's own.
func createdStream(preset, kind string, fields int) (*pipeline.Config, error) {
	g := sample.Guess{Format: "csv", Columns: []string{"at"}, Time: decode.Time{Field: "at", Unit: "s"}}
	for i := range fields {
		g.Values = append(g.Values, "x"+strconv.Itoa(i))
	}
	g.Columns = append(g.Columns, g.Values...)
	text, err := config.Create(preset, config.CreateOptions{Guess: g, Detector: kind})
	if err != nil {
		return nil, err
	}
	c, err := config.Parse(preset, text, func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, err
	}
	return &c.Streams[0].Config, nil
}

// metricStream is for one value.
func metricStream() (*pipeline.Config, error) { return createdStream("metrics", "", 1) }

// pointStream is for a detector of points.
func pointStream(kind string, fields int) (*pipeline.Config, error) {
	return createdStream("points", kind, fields)
}

// play takes the rows through a worker of its own, a second apart where they have no times. What the worker makes of each goes to trace.
func (s *labelled) play(c *pipeline.Config, trace func(pipeline.Trace)) error {
	w, err := pipeline.NewWorker("quality", *c, pipeline.Partition{Topic: "quality"})
	if err != nil {
		return err
	}
	w.Trace = trace
	records := make([]pipeline.Record, 1)
	for i, x := range s.x {
		at := int64(i)
		if s.at != nil {
			at = s.at[i]
		}
		value := strconv.AppendInt(nil, at, 10)
		for _, v := range x {
			value = strconv.AppendFloat(append(value, ','), v, 'g', -1, 64)
		}
		records[0] = pipeline.Record{Offset: int64(i), Timestamp: at * int64(time.Second), Value: value}
		w.Process(records, 0)
	}
	if n := w.Counts().Outcomes[pipeline.DeadLettered]; n > 0 {
		return fmt.Errorf("%s: %d rows were refused", s.name, n)
	}
	return nil
}

// told says whether a row raised an alert, or told it again as more serious.
func told(t pipeline.Trace) bool { return t.Told == pipeline.Open || t.Told == pipeline.Update }

// alerts says of each row whether it was told.
func (s *labelled) alerts(c *pipeline.Config) ([]bool, error) {
	alerts := make([]bool, len(s.x))
	err := s.play(c, func(t pipeline.Trace) { alerts[t.Offset] = told(t) })
	return alerts, err
}
