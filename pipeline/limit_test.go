package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

func TestRateText(t *testing.T) {
	for text, want := range map[string]pipeline.Rate{
		"1 per 10000 points":          {Alarms: 1, Points: 10000},
		"2 per 1,000 points":          {Alarms: 2, Points: 1000},
		"1 per day":                   {Alarms: 1, Every: 24 * time.Hour},
		"3 per week":                  {Alarms: 3, Every: 7 * 24 * time.Hour},
		"0.5 per 12h":                 {Alarms: 0.5, Every: 12 * time.Hour},
		"1 per hour per partition":    {Alarms: 1, Every: time.Hour, Partition: true},
		"1 per 1h30m0s per partition": {Alarms: 1, Every: 90 * time.Minute, Partition: true},
	} {
		var got, again pipeline.Rate
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, want)
		}
		if err := again.UnmarshalText([]byte(got.String())); err != nil || again != got {
			t.Errorf("%q is spelled %q, which is %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "1", "1 per", "0 per day", "-1 per day", "NaN per day", "1 per fortnight", "1 per -1h", "1 per 5 points", "1 per day per planet",
		"1 per 100 points per partition"} {
		if err := new(pipeline.Rate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for a rate", text)
		}
	}
}

// As many false alarms come in a day as are asked for, whatever the pace of a key: of one whose points come every minute and of one whose come
// every five; and for a partition all its keys together have as many.
func TestFalseAlarmsByTime(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	const days = 80
	for rate, want := range map[string][2]float64{"3 per day": {3, 3}, "3 per day per partition": {1.5, 1.5}} {
		c := settingsOf(t, `decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
detectors: [{kind: ewma, half_life: 1000}]
alert: {false_alarms: `+rate+`, cool_down: 1 points}`)
		w := newWorker(t, c)
		fired := map[string]float64{}
		w.Trace = func(p pipeline.Trace) {
			if p.Fired && p.Time > midnight.Add(days/2*24*time.Hour).UnixNano() {
				fired[p.Key]++
			}
		}
		random := rand.New(rand.NewPCG(1, 2))
		for minute := range days * 24 * 60 {
			at := midnight.Add(time.Duration(minute) * time.Minute)
			keys := []string{"often"}
			if minute%5 == 0 {
				keys = append(keys, "seldom")
			}
			for i, key := range keys {
				value := fmt.Appendf(nil, `{"key":%q,"ts":%d,"v":%.6f}`, key, at.UnixMilli(), random.NormFloat64())
				w.Process([]pipeline.Record{{Offset: int64(2*minute + i), Timestamp: at.UnixNano(), Value: value}}, 0)
			}
			if minute == days*24*30 {
				w = restoredWith(t, w, c)
			}
		}
		for i, key := range []string{"often", "seldom"} {
			if got := fired[key] / (days / 2); got < 0.5*want[i] || got > 2*want[i] {
				t.Errorf("%s: %s has %.2f a day, want %v", rate, key, got, want[i])
			}
		}
	}
}

// restoredWith is w from its own state, with the same trace.
func restoredWith(t *testing.T, w *pipeline.Worker, c pipeline.Config) *pipeline.Worker {
	t.Helper()
	again := restored(t, w, c)
	again.Trace = w.Trace
	return again
}
