package pipeline

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gonomaly/gonomaly/detectors"
)

// No score has more decades than its ceiling, of whichever kind, and at one decade the ceiling is near.
func TestCeilingIsAbove(t *testing.T) {
	for kind, config := range detectors.Kinds {
		t.Run(kind, func(t *testing.T) {
			for _, fields := range []int{1, 5, 50} {
				d, err := config().New(fields)
				if err != nil {
					t.Fatal(err)
				}
				c := newCeiling(d)
				r := rand.New(rand.NewPCG(1, 0))
				top := d.ScoreAt(ceilingTop)
				for range 20000 {
					score := 1.2 * top * r.Float64()
					if r.IntN(4) == 0 { // on the edge of a step, or beside it
						score = float64(r.IntN(ceilingSteps+2)) / c.scale
						score = math.Nextafter(score, score+float64(r.IntN(3)-1))
					}
					if got, is := c.of(score), d.Decades(score); !(got >= is) {
						t.Fatalf("%d fields: the ceiling of %v is %v, and it has %v decades", fields, score, got, is)
					}
				}
				if got := c.of(d.ScoreAt(1)); !(got <= 1.1) {
					t.Errorf("%d fields: the ceiling of the score with one decade is %v, want at most 1.1", fields, got)
				}
			}
		})
	}
}

func TestCeilingBeyondItsTable(t *testing.T) {
	d, err := detectors.Kinds["ewma"]().New(1)
	if err != nil {
		t.Fatal(err)
	}
	c := newCeiling(d)
	for _, score := range []float64{-1, 1e9, math.Inf(1), math.NaN()} {
		if got := c.of(score); !math.IsInf(got, 1) {
			t.Errorf("of(%v) = %v, want +Inf", score, got)
		}
	}
}
