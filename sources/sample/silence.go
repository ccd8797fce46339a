package sample

import (
	"fmt"
	"slices"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// When series report so steadily that one which stops is worth telling of, and for how long it is to be silent then.
const (
	leastReports   = 20 // intervals of a series that show how it reports
	steadyGap      = 4  // usual intervals that the longest of a steady series is at most
	mostSteady     = 10 // of so many series all but one are steady
	silentSteps    = 10 // usual intervals
	silentGaps     = 3  // times the longest gap
	spanOfSilences = 2  // that a sample covers at least

	leastSilence = time.Minute
)

// reports are those of a series, in a partition.
type reports struct {
	last    int64         // the newest
	gaps    []int64       // between one that was newer than all before and the next
	longest time.Duration // that it was behind its partition's newest, or its own next, before it came again
}

// findSilence derives from gaps how long a series has to be silent to be told of, or says why it cannot. A gap is taken as a worker sees it: how
// far the newest record of a partition is beyond that of the series, so that clocks which differ, and records that come late, widen it.
func (g *Guess) findSilence(t *table, times []int64, groups []string) {
	type seat struct {
		partition int32
		group     string
	}
	all, newest := map[seat]*reports{}, map[int32]int64{}
	var first, last int64
	for i, at := range times {
		if i == 0 {
			first, last = at, at
		}
		first, last = min(first, at), max(last, at)
		in := t.rows[i].partition
		r := all[seat{in, groups[i]}]
		if r == nil {
			r = &reports{last: at}
			all[seat{in, groups[i]}] = r
		}
		newest[in] = max(newest[in], at)
		if at > r.last {
			r.gaps = append(r.gaps, at-r.last)
			r.longest = max(r.longest, time.Duration(newest[in]-r.last))
			r.last = at
		}
	}
	unsteady, short, longest := 0, 0, time.Duration(0)
	for s, r := range all {
		longest = max(longest, r.longest)
		if len(r.gaps) < leastReports {
			short++
			continue
		}
		slices.Sort(r.gaps)
		usual := time.Duration(r.gaps[len(r.gaps)/2])
		if r.longest > steadyGap*usual || time.Duration(newest[s.partition]-r.last) > steadyGap*usual {
			unsteady++
		}
	}
	span := time.Duration(last - first)
	silence := max(silentSteps*g.Interval, silentGaps*min(longest, span/silentGaps), leastSilence)
	switch few := len(all) / mostSteady; {
	case len(all) == len(newest):
		g.WhySilence = "it takes other keys in a partition to see that one is silent, and the sample has none"
	case short > few:
		g.WhySilence = fmt.Sprintf("the sample is too short: %d of %d keys have fewer than %d records", short, len(all), leastReports+1)
	case short+unsteady > few:
		g.WhySilence = fmt.Sprintf("in the sample %d of %d keys come and go, or rest for more than %d of their usual intervals", short+unsteady, len(all), steadyGap)
	case span < spanOfSilences*silence:
		g.WhySilence = fmt.Sprintf("the sample is too short: of %s, with a key that rested for %s", plain(span), plain(longest))
	default:
		g.Silence = silence
		g.WhySilence = fmt.Sprintf("from a sample of %s: %d of %d keys report steadily, most every %s, and none that came again was away for more than %s",
			plain(span), len(all)-short-unsteady, len(all), plain(g.Interval), plain(longest))
	}
}

// plain is a time as people say it.
func plain(d time.Duration) string {
	if d > time.Minute {
		d = d.Round(time.Second)
	}
	return pipeline.Span{Time: d}.Plain()
}
