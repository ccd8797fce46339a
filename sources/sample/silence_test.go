package sample

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Silence follows where keys report steadily for long enough, and from the longest that one was away; elsewhere it is said why not.
func TestSilence(t *testing.T) {
	type report struct{ key, at int } // at: seconds
	steady := func(keys, n, every int) (all []report) {
		for i := range n {
			for k := range keys {
				all = append(all, report{k, i*every + k%3})
			}
		}
		return all
	}
	without := func(all []report, key, from, to int) []report {
		return slices.DeleteFunc(all, func(r report) bool { return r.key == key && r.at >= from && r.at < to })
	}
	moved := func(all []report, key, by int) []report {
		for i := range all {
			if all[i].key == key {
				all[i].at += by
			}
		}
		return all
	}
	paused := func(all []report, from, by int) []report {
		for i := range all {
			if all[i].at >= from {
				all[i].at += by
			}
		}
		return all
	}
	for name, c := range map[string]struct {
		reports    []report
		partitions int
		want       time.Duration
		why        string
	}{
		"steady":                    {steady(10, 100, 30), 1, 5 * time.Minute, "from a sample of 49m32s: 10 of 10 keys report steadily, most every 30s, and none that came again was away for more than 32s"},
		"not less than a minute":    {steady(10, 200, 1), 1, time.Minute, "of 3m21s"},
		"partitions are no order":   {steady(10, 100, 30), 2, 5 * time.Minute, "10 of 10"},
		"a pause of all":            {paused(steady(10, 100, 30), 1500, 3600), 1, 5 * time.Minute, "10 of 10 keys report steadily, most every 30s, and none that came again was away for more than 32s"},
		"away before a pause":       {paused(without(steady(10, 200, 30), 4, 1200, 1500), 1500, 3600), 1, 3 * 301 * time.Second, "9 of 10 keys report steadily"},
		"stopped before a pause":    {paused(without(steady(10, 200, 30), 4, 1200, 1e6), 5910, 3600), 1, 5 * time.Minute, "9 of 10 keys report steadily"},
		"one was away":              {without(steady(10, 200, 30), 4, 1500, 1800), 1, 3 * 331 * time.Second, "9 of 10 keys report steadily, most every 30s, and none that came again was away for more than 5m31s"},
		"one has stopped":           {without(steady(10, 200, 30), 4, 1500, 1e6), 1, 5 * time.Minute, "9 of 10"},
		"one was away for too long": {without(steady(10, 100, 30), 4, 600, 1800), 1, 0, "too short: of 49m32s, with a key that rested for 20m31s"},
		"two of ten come and go":    {without(without(steady(10, 200, 30), 4, 1500, 1e6), 5, 1500, 1e6), 1, 0, "2 of 10 keys come and go"},
		"two of ten are new":        {without(without(steady(10, 200, 30), 4, 0, 5700), 5, 0, 5700), 1, 0, "too short: 2 of 10 keys have fewer than 21 records"},
		"a clock that is ahead":     {moved(steady(10, 100, 30), 4, 600), 1, 0, "9 of 10 keys come and go, or rest for more than 4 of their usual intervals"},
		"few of each":               {steady(100, 20, 30), 1, 0, "too short: 100 of 100 keys"},
		"half an hour of minutes":   {steady(10, 21, 60), 1, 10 * time.Minute, "of 20m2s"},
		"one key":                   {steady(1, 100, 30), 1, 0, "it takes other keys"},
		"one key in each partition": {steady(2, 100, 30), 2, 0, "it takes other keys"},
	} {
		t.Run(name, func(t *testing.T) {
			var rows []row
			for p := range c.partitions {
				for _, r := range c.reports {
					if r.key%c.partitions == p {
						rows = append(rows, row{value: fmt.Sprintf(`{"host":"h%d","ts":%d,"v":%d}`, r.key, 1767225600+r.at, r.at%7), partition: int32(p)})
					}
				}
			}
			g, err := guess(rows)
			if err != nil || g.Silence != c.want || !strings.Contains(g.WhySilence, c.why) {
				t.Errorf("silence %v: %q, %v, want %v: %q", g.Silence, g.WhySilence, err, c.want, c.why)
			}
		})
	}
}

// Rows without a time are a second apart, whatever their keys do.
func TestSilenceTakesTime(t *testing.T) {
	got, err := File(t.Context(), write(t, "host,v\n"+strings.Repeat("a,1\nb,2\n", 300)), Rows)
	if err != nil || got.Silence != 0 || got.WhySilence != "no field holds a time" {
		t.Errorf("silence %v: %q, %v, want none", got.Silence, got.WhySilence, err)
	}
}
