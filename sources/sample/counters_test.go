package sample

import (
	"fmt"
	"strings"
	"testing"
)

// What a sample shows to be a counter is taken for one; what might be, is noted; a level is neither.
func TestCounters(t *testing.T) {
	count := func(k, i int) float64 { return float64(1000*k + 7*i + i*i%5) }
	for name, c := range map[string]struct {
		hosts, rows int // rows of each host
		field       string
		at          func(k, i int) float64
		want        string // counter, note, or neither
	}{
		"several":                {3, 21, "v", count, "counter"},
		"several, too short":     {3, 20, "v", count, ""},
		"one":                    {1, 101, "v", count, "counter"},
		"one, too short":         {1, 60, "v", count, ""},
		"resets":                 {3, 40, "v", func(k, i int) float64 { return 7 * float64((i+k)%25) }, "counter"},
		"resets to a half":       {3, 60, "v", func(k, i int) float64 { return 500 + 7*float64((i+40*k)%100) }, "note"},
		"a saw":                  {3, 200, "v", func(k, i int) float64 { return float64(i % 7) }, ""},
		"below 0":                {3, 60, "v", func(k, i int) float64 { return count(k, i) - 2000 }, "note"},
		"measured":               {3, 150, "v", func(k, i int) float64 { return count(k, i) / 8 }, "note"},
		"measured, for a while":  {3, 30, "v", func(k, i int) float64 { return count(k, i) / 8 }, ""},
		"measured, with resets":  {3, 40, "v", func(k, i int) float64 { return 7.25 * float64((i+k)%25) }, "counter"},
		"measured and added up":  {3, 40, "energyTotal", func(k, i int) float64 { return count(k, i) / 8 }, "counter"},
		"a level by its name":    {3, 150, "disk_used", count, "note"},
		"a level that creeps up": {3, 200, "v", func(k, i int) float64 { return float64(20 + i/5) }, ""},
		"a constant":             {3, 200, "v", func(k, i int) float64 { return 5 }, ""},
		"falls":                  {3, 200, "v", func(k, i int) float64 { return 5000 - count(0, i) }, ""},
		"one of twelve rests":    {12, 40, "v", func(k, i int) float64 { return count(k, i*min(k, 1)) }, "counter"},
		"one of three rests":     {3, 60, "v", func(k, i int) float64 { return count(k, i*min(k, 1)) }, "note"},
		"an identifier":          {3, 60, "request_id", count, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var rows []row
			for i := range c.rows {
				for k := range c.hosts {
					rows = append(rows, row{value: fmt.Sprintf(`{"ts":%d,"host":"h%d","temp":%d,%q:%v}`, 1767225600+10*i, k, i*7%5, c.field, c.at(k, i))})
				}
			}
			g, err := guess(rows)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(g.Counters) > 0 {
				got = "counter"
			}
			if strings.Contains(strings.Join(g.Notes, "\n"), c.field+" only grows: if it is a counter, say counter: true") {
				got += "note"
			}
			if got != c.want || got == "counter" && strings.Join(g.Counters, " ") != c.field {
				t.Errorf("counters %q, notes %q, want %q of %s", g.Counters, g.Notes, c.want, c.field)
			}
		})
	}
}
