package pipeline

import (
	"math"
	"testing"
	"time"
)

// A cool-down as long as a configuration may have ends after all times there are, and not before the incident; be that before 1970, where a
// watermark stands whose lateness is longer than the time since.
func TestQuietAtTheEndOfTime(t *testing.T) {
	const longest = 106751 * 24 * time.Hour // that can be written
	fired := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	for _, c := range []struct {
		fired    int64
		coolDown time.Duration
		want     int64
	}{
		{fired, time.Minute, fired + int64(time.Minute)},
		{fired, longest, math.MaxInt64},
		{-int64(time.Hour), time.Minute, -int64(59 * time.Minute)},
	} {
		i := &incident{fired: c.fired}
		if got := i.quietFrom(Span{Time: c.coolDown}); got != c.want {
			t.Errorf("quietFrom(%v) after %v = %v, want %v", c.coolDown, c.fired, got, c.want)
		}
	}
}
