package sample

import (
	"fmt"
	"math"
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
	away    time.Duration // that it was behind since the newest, before a pause
	longest time.Duration // that it was behind before it came again
}

// clock is how far a partition has come.
type clock struct {
	newest  int64
	resumed int64 // where it last went on after a pause of all its series, which is none of theirs
	series  map[string]*reports
}

// behind is how far the partition has gone on without the series since its newest record.
func (c *clock) behind(r *reports) time.Duration {
	return max(r.away, time.Duration(c.newest-max(r.last, c.resumed)))
}

// findSilence derives from gaps how long a series has to be silent to be told of, or says why it cannot. A gap is taken as a worker sees it: how
// far the newest record of a partition is beyond that of the series, so that clocks which differ, and records that come late, widen it.
func (g *Guess) findSilence(t *table, times []int64, groups []string) {
	partitions := map[int32]*clock{}
	var first, last int64
	all := 0
	for i, at := range times {
		if i == 0 {
			first, last = at, at
		}
		first, last = min(first, at), max(last, at)
		c := partitions[t.rows[i].partition]
		if c == nil {
			c = &clock{newest: at, resumed: math.MinInt64, series: map[string]*reports{}}
			partitions[t.rows[i].partition] = c
		}
		if g.Interval > 0 && time.Duration(at-c.newest) > steadyGap*g.Interval {
			for _, r := range c.series {
				r.away = c.behind(r)
			}
			c.resumed = at
		}
		c.newest = max(c.newest, at)
		r := c.series[groups[i]]
		if r == nil {
			all++
			r = &reports{last: at}
			c.series[groups[i]] = r
		}
		if at > r.last {
			r.gaps = append(r.gaps, at-r.last)
			r.longest = max(r.longest, c.behind(r))
			r.last, r.away = at, 0
		}
	}
	unsteady, short, longest := 0, 0, time.Duration(0)
	for _, c := range partitions {
		for _, r := range c.series {
			longest = max(longest, r.longest)
			if len(r.gaps) < leastReports {
				short++
				continue
			}
			slices.Sort(r.gaps)
			usual := time.Duration(r.gaps[len(r.gaps)/2])
			if max(r.longest, c.behind(r)) > steadyGap*usual {
				unsteady++
			}
		}
	}
	span := time.Duration(last - first)
	silence := max(silentSteps*g.Interval, silentGaps*min(longest, span/silentGaps), leastSilence)
	switch few := all / mostSteady; {
	case all == len(partitions):
		g.WhySilence = "it takes other keys in a partition to see that one is silent, and the sample has none"
	case short > few:
		g.WhySilence = fmt.Sprintf("the sample is too short: %d of %d keys have fewer than %d records", short, all, leastReports+1)
	case short+unsteady > few:
		g.WhySilence = fmt.Sprintf("in the sample %d of %d keys come and go, or rest for more than %d of their usual intervals", short+unsteady, all, steadyGap)
	case span < spanOfSilences*silence:
		g.WhySilence = fmt.Sprintf("the sample is too short: of %s, with a key that rested for %s", plain(span), plain(longest))
	default:
		g.Silence = silence
		g.WhySilence = fmt.Sprintf("from a sample of %s: %d of %d keys report steadily, most every %s, and none that came again was away for more than %s",
			plain(span), all-short-unsteady, all, plain(g.Interval), plain(longest))
	}
}

// plain is a time as people say it.
func plain(d time.Duration) string {
	if d > time.Minute {
		d = d.Round(time.Second)
	}
	return pipeline.Span{Time: d}.Plain()
}
