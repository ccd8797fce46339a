package pipeline_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Where scores are not of their nominal law, a key that comes when the partition has seen others has a few times the false alarms asked for
// in its first hundred scores: its mean and deviation are not known better. The partition's first keys, of which nothing is known, have
// many times as many.
func TestNewKeysBeginWithTheLawOfTheOthers(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	const (
		warmUp, scored = 30, 100 // points of each key
		asked          = 1e-3
	)
	lognormal := func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) }
	for name, c := range map[string]struct {
		detectors   string
		noise       func(*rand.Rand) float64
		least, most float64 // alarms of the first keys, and of the later ones, for each that was asked for
	}{
		"lognormal":   {"{kind: ewma, warm_up: 30}", lognormal, 8, 3},                                    // 12.4 and 1.7
		"exponential": {"{kind: ewma, warm_up: 30}", (*rand.Rand).ExpFloat64, 6, 3},                      // 8.4 and 2.8
		"combined":    {"{kind: ewma, warm_up: 30}, {kind: ewma_chart, warm_up: 30}", lognormal, 6, 4.5}, // 7.6 and 3.1
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, settingsOf(t, "decode: {key: k, values: x, time: {field: t}}\ndetectors: ["+c.detectors+"]\nalert: {topic: a, false_alarms: 1 per 1000 points}"))
			r, offset, alarms := rand.New(rand.NewPCG(1, 2)), int64(0), 0
			seen := map[string]int{}
			w.Trace = func(p pipeline.Trace) {
				if seen[p.Key]++; p.Scored && seen[p.Key] <= warmUp+scored && p.Surprise >= -math.Log10(asked) {
					alarms++
				}
			}
			play := func(kind string, keys, minutes int) float64 {
				alarms = 0
				for minute := range minutes {
					at := midnight.Add(time.Duration(minute) * time.Minute)
					for k := range keys {
						value := fmt.Sprintf(`{"k":"%s%d","x":%v,"t":%q}`, kind, k, c.noise(r), at.Format(time.RFC3339))
						w.Process([]pipeline.Record{{Offset: offset, Timestamp: at.UnixNano(), Value: []byte(value)}}, 0)
						offset++
					}
				}
				return float64(alarms) / float64(keys*scored) / asked
			}
			first, later := play("old", 50, 2000), play("new", 400, warmUp+scored)
			t.Logf("alarms for each that was asked for: %.1f of the first keys, %.1f of later ones", first, later)
			if first < c.least {
				t.Errorf("the first keys have %.1f times the alarms asked for; with less than %v this test shows nothing", first, c.least)
			}
			if later > c.most {
				t.Errorf("later keys have %.1f times the alarms asked for, want at most %v", later, c.most)
			}
		})
	}
}
