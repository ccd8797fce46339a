package pipeline

import (
	"math"
	"testing"
	"time"
)

// A cool-down as long as a configuration may have ends after all times there are, and not before the incident.
func TestQuietAtTheEndOfTime(t *testing.T) {
	fired := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	i := &incident{fired: fired}
	for coolDown, want := range map[time.Duration]int64{
		time.Minute:             fired + int64(time.Minute),
		106751 * 24 * time.Hour: math.MaxInt64, // the longest that can be written
	} {
		if got := i.quietFrom(Span{Time: coolDown}); got != want {
			t.Errorf("quietFrom(%v) = %v, want %v", coolDown, got, want)
		}
	}
}
