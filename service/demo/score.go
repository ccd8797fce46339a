package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/sources/generate"
)

// Summary is what a run has shown. Alerts are those that open an incident or tell that it became worse.
type Summary struct {
	Events          int64    `json:"events"`
	EventsPerSecond float64  `json:"events_per_second"`
	Alerts          int      `json:"alerts"`
	Injected        int      `json:"injected"`     // anomalies put into the fleet
	Found           int      `json:"found"`        // of them
	Missed          int      `json:"missed"`       // of them
	False           int      `json:"false"`        // incidents of the fleet where nothing was injected
	DelayMedian     float64  `json:"delay_points"` // median points from the start of an injected anomaly to its first alert
	Named           []string `json:"named"`        // taxi events found
	NamedMissed     []string `json:"named_missed"`
	Other           int      `json:"named_other"` // incidents of the taxi series beside the named events
	LagSecondsMax   float64  `json:"lag_seconds_max"`
	Digest          string   `json:"digest"` // of the alerts' ids: equal runs give equal digests
}

// aftermath is how long after an injected anomaly an incident still belongs to it: the return to normal is a change too.
const aftermath = 10 * time.Minute

// judge holds the alerts against what was injected and what is known of the taxi series. Told are the alerts in any order; step is the
// time between two points of a machine.
func judge(told []pipeline.Alert, injected []generate.Injection, named []generate.Named, step time.Duration) Summary {
	s := Summary{Injected: len(injected), Named: []string{}, NamedMissed: []string{}, Digest: digest(told)}
	byMachine := map[string][]pipeline.Alert{}
	var taxi []pipeline.Alert
	for _, a := range told {
		if a.Kind != pipeline.Anomaly || a.Status == pipeline.Resolve {
			continue
		}
		s.Alerts++
		if a.Key == generate.TaxiKey {
			taxi = append(taxi, a)
		} else {
			byMachine[a.Key] = append(byMachine[a.Key], a)
		}
	}

	var delays []float64
	for _, i := range injected {
		first := time.Time{}
		for _, a := range byMachine[i.Machine] {
			if within(a.Time, i.Start, i.End.Add(aftermath)) && (first.IsZero() || a.Time.Before(first)) {
				first = a.Time
			}
		}
		if first.IsZero() {
			s.Missed++
			continue
		}
		s.Found++
		delays = append(delays, float64(first.Sub(i.Start))/float64(step))
	}
	s.DelayMedian = median(delays)
	for _, alerts := range byMachine {
		for _, a := range alerts {
			if _, belongs := cause(&a, injected); a.Status == pipeline.Open && !belongs {
				s.False++
			}
		}
	}

	for _, n := range named {
		if slices.ContainsFunc(taxi, func(a pipeline.Alert) bool { return within(a.Time, n.Start, n.End) }) {
			s.Named = append(s.Named, n.Name)
		} else {
			s.NamedMissed = append(s.NamedMissed, n.Name)
		}
	}
	for _, a := range taxi {
		if a.Status == pipeline.Open && occasion(&a, named) == "" {
			s.Other++
		}
	}
	return s
}

// cause is the injection that an alert of the fleet belongs to.
func cause(a *pipeline.Alert, injected []generate.Injection) (generate.Injection, bool) {
	for _, i := range injected {
		if i.Machine == a.Key && within(a.Time, i.Start, i.End.Add(aftermath)) {
			return i, true
		}
	}
	return generate.Injection{}, false
}

// occasion is the name of the event that an alert of the taxi series falls in, "" for none.
func occasion(a *pipeline.Alert, named []generate.Named) string {
	for _, n := range named {
		if within(a.Time, n.Start, n.End) {
			return n.Name
		}
	}
	return ""
}

// digest is 64 bits of SHA-256 over the sorted ids.
func digest(told []pipeline.Alert) string {
	ids := make([]string, len(told))
	for i := range told {
		ids[i] = told[i].ID
	}
	slices.Sort(ids)
	sum := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	return hex.EncodeToString(sum[:8])
}

func within(t, start, end time.Time) bool { return !t.Before(start) && !t.After(end) }

func median(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	slices.Sort(xs)
	if n := len(xs); n%2 == 0 {
		return (xs[n/2-1] + xs[n/2]) / 2
	}
	return xs[len(xs)/2]
}
