package doctor

import (
	"time"

	"github.com/gonomaly/gonomaly/service/top"
)

// probes tells whether those that instances send come back.
func probes(f *facts) []Finding {
	out := findings{area: "probes"}
	const remedy = "the instance's log names the partitions; see docs/runbooks/GonomalyProbeLost.md"
	for i := range f.instances {
		s := &f.instances[i]
		sums := probesOf(s)
		s.Each("gonomaly_probe_last_return_timestamp_seconds", func(l map[string]string, at float64) {
			late := time.Minute
			for j := range f.config.Streams {
				if c := &f.config.Streams[j]; c.Name == l["stream"] && c.Probe != nil {
					late = c.Probe.Every + c.Probe.Timeout
				}
			}
			n, age := sums[[2]string{l["stream"], l["topic"]}], s.At.Sub(time.UnixMilli(int64(1e3*at)))
			switch {
			case age > late:
				out.bad(remedy, "%s: no probe of topic %s, stream %s, has returned for %s", s.URL, l["topic"], l["stream"], brief(age))
			case n["lost"]+n["failed"] > 0:
				out.warn(remedy, "%s: of its probes of topic %s, stream %s, %.0f were lost, %.0f failed, and %.0f returned, the last %s ago", s.URL, l["topic"], l["stream"],
					n["lost"], n["failed"], n["returned"], brief(age))
			default:
				out.good("%s: all of its %.0f probes of topic %s, stream %s, have returned, the last %s ago", s.URL, n["returned"], l["topic"], l["stream"], brief(age))
			}
		})
	}
	return out.all
}

// probesOf counts an instance's probes: by stream and topic, and then by outcome.
func probesOf(s *top.Scrape) map[[2]string]map[string]float64 {
	sums := map[[2]string]map[string]float64{}
	s.Each("gonomaly_probes_total", func(l map[string]string, n float64) {
		key := [2]string{l["stream"], l["topic"]}
		if sums[key] == nil {
			sums[key] = map[string]float64{}
		}
		sums[key][l["outcome"]] += n
	})
	return sums
}
