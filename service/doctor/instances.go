package doctor

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/service/top"
)

// versions tells of what differs between what is meant to be the same: this binary and the running ones, the file and what is in force, and
// of brokers that are too old for what is asked of them.
func versions(f *facts) []Finding {
	out := findings{area: "versions"}
	if f.cluster() {
		protocol(f, &out)
	}
	for i := range f.instances {
		s := &f.instances[i]
		if s.Err != nil {
			continue
		}
		s.Each("gonomaly_build_info", func(l map[string]string, _ float64) {
			switch theirs := build(l["version"], l["revision"]); {
			case theirs == unknown || f.version == unknown:
				out.good("%s runs version %s, this is %s", s.URL, theirs, f.version)
			case theirs != f.version:
				out.warn("nothing while an upgrade is under way; else run the same version everywhere", "%s runs %s, and this is %s", s.URL, theirs, f.version)
			default:
				out.good("%s runs this version, %s", s.URL, theirs)
			}
		})
		s.Each("gonomaly_config_last_reload_successful", func(_ map[string]string, good float64) {
			if good == 0 {
				out.bad("its log says why: correct the file, or restart it where that is what the change needs; gonomaly validate -c FILE", "%s has refused the last configuration that it was given, and runs with the one before", s.URL)
			}
		})
		inForce := map[string]string{}
		s.Each("gonomaly_config_info", func(l map[string]string, _ float64) { inForce[l["stream"]] = l["hash"] })
		if differ := differences(f.config, inForce); len(differ) > 0 {
			out.warn("POST "+s.URL+"/-/reload, if the file is the one that is meant", "%s runs with other settings than the file: %s", s.URL, strings.Join(differ, ", "))
		} else {
			out.good("%s runs with the file's settings of %s", s.URL, many(len(inForce), "stream"))
		}
	}
	return out.all
}

// unknown is what a binary says of itself that was made without version control.
const unknown = "unknown"

// build names a binary: by its version, and by its revision too where that is known.
func build(version, revision string) string {
	const short = 12 // digits, as git has them
	switch version = cmp.Or(version, unknown); revision {
	case "", unknown:
		return version
	}
	return version + " (" + revision[:min(short, len(revision))] + ")"
}

// reasons are the lines of an instance, each cut to the first of those that are mostly the same.
func reasons(lines []string) string {
	var first []string
	for _, line := range lines {
		first = append(first, top.First(line))
	}
	return strings.Join(first, "; ")
}

// differences are between the streams of a file and those in force, of which only the hashes are told.
func differences(c *config.Config, inForce map[string]string) []string {
	var differ []string
	for i := range c.Streams {
		s := &c.Streams[i]
		switch hash, runs := inForce[s.Name]; {
		case !runs:
			differ = append(differ, s.Name+" does not run")
		case hash != s.Hash():
			differ = append(differ, s.Name+" ("+hash+", the file has "+s.Hash()+")")
		}
	}
	for name := range inForce {
		if !slices.ContainsFunc(c.Streams, func(s config.Stream) bool { return s.Name == name }) {
			differ = append(differ, name+" is not in the file")
		}
	}
	slices.Sort(differ)
	return differ
}

func instances(f *facts) []Finding {
	out := findings{area: "instances"}
	for i := range f.instances {
		s := &f.instances[i]
		switch loops := strings.Join(s.Loops, "; "); {
		case s.Err != nil:
			out.bad("start it, or correct --url; where it runs, see listen in its configuration", "%s does not answer: %v", s.URL, s.Err)
		case s.Stuck:
			out.bad("restart it, as a liveness probe on /-/healthy would; keep its log, and send it SIGQUIT first to see where it stands", "%s is not healthy: %s", s.URL, loops)
			continue
		case loops != "":
			out.warn("see CPU and memory of the machine with gonomaly top; where it stays slow, add instances", "%s is healthy, but %s", s.URL, loops)
		}
		switch {
		case s.Err != nil:
		case !s.Ready:
			out.bad("cure what stands above and is bad; gonomaly top shows whether it comes back", "%s is not ready: %s", s.URL, reasons(s.Says))
		case len(s.Says) > 0:
			out.good("%s is ready; %s", s.URL, strings.Join(s.Says, "; "))
		default:
			out.good("%s is ready", s.URL)
		}
		setAside(s, &out)
		misread(f.config, s, &out)
	}
	return out.all
}

// misread tells of streams whose event times are of 1970, and would be of this century in another unit.
func misread(c *config.Config, s *top.Scrape, out *findings) {
	newest := map[string]float64{} // of each stream, seconds
	s.Each("gonomaly_watermark_timestamp_seconds", func(l map[string]string, n float64) { newest[l["stream"]] = max(newest[l["stream"]], n) })
	for i := range c.Streams {
		stream := &c.Streams[i]
		if doubt := stream.Decode.Time.Doubt(int64(newest[stream.Name] * 1e9)); doubt != "" {
			out.warn("correct unit of decode.time in the configuration; what was learned is learned anew", "%s seems to read times of %s in a wrong unit: at its watermark %s",
				s.URL, stream.Name, doubt)
		}
	}
}

// setAside tells of streams that cannot decode more than a record now and then: what is wrong is decode, or whoever writes the topic.
func setAside(s *top.Scrape, out *findings) {
	received, aside, reasons := map[string]float64{}, map[string]float64{}, map[string][]string{}
	s.Each("gonomaly_records_received_total", func(l map[string]string, n float64) { received[l["stream"]] = n })
	s.Each("gonomaly_dead_letters_total", func(l map[string]string, n float64) {
		if name := l["stream"]; n > 0 {
			aside[name] += n
			reasons[name] = append(reasons[name], l["reason"])
		}
	})
	for _, name := range slices.Sorted(maps.Keys(aside)) {
		if aside[name] < .01*received[name] {
			continue
		}
		out.warn("correct decode in the configuration, or what writes the topic: gonomaly.detail in the headers of a record in TOPIC.dead-letters says what is wrong with it",
			"%s has set aside %.0f of %.0f records of %s since its start: %s", s.URL, aside[name], received[name], name, strings.Join(reasons[name], ", "))
	}
}
