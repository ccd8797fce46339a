package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/sinks"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

func rights(f *facts) []Finding {
	out := findings{area: "rights"}
	if !f.cluster() {
		return nil
	}
	var may []string
	check := func(kind, name string, has []string, wants ...string) {
		if has == nil { // it is not there, or the broker does not tell
			return
		}
		var lacks, add []string
		for _, w := range wants {
			if !slices.Contains(has, w) {
				lacks = append(lacks, w)
				add = append(add, strings.ToUpper(w[:1])+w[1:])
			}
		}
		if len(lacks) == 0 {
			may = append(may, wants[0]+" "+name)
			return
		}
		out.bad(allow(kind, name, add...), "%s %s: the user may not %s it", kind, name, strings.Join(lacks, ", "))
	}
	for i := range f.config.Streams {
		s := &f.config.Streams[i]
		for _, name := range s.Topics {
			wants := []string{"read", "describe"}
			if s.Probe != nil {
				wants = append(wants, "write")
			}
			check("topic", name, f.kafka.Topics[name].Operations, wants...)
		}
		for _, name := range s.Outputs(s.Topics) {
			check("topic", name, f.kafka.Topics[name].Operations, "write", "describe")
		}
		check("group", s.Group, f.kafka.Groups[s.Group].Operations, "read", "describe")
		for j := range f.config.Sinks {
			group := sinks.Group(s.Group, f.config.Sinks[j].ID())
			check("group", group, f.kafka.Groups[group].Operations, "read", "describe")
		}
		if len(f.config.Sinks) > 0 || s.Probe != nil {
			check("topic", s.Alert.Topic, f.kafka.Topics[s.Alert.Topic].Operations, "read")
		}
		if id := sources.TransactionalID(s.Group, f.config.Instance); f.kafka.Writers[id] != nil {
			remedy := refused(f.kafka.Writers[id], "transactional-id", id)
			out.bad(remedy, "transactional id %s cannot be asked about: %v", id, f.kafka.Writers[id])
		}
	}
	if len(may) > 0 {
		out.good("the user may %s", list(may))
	}
	return out.all
}

// States of a group.
const (
	stable = "Stable"
	empty  = "Empty"
	dead   = "Dead"
)

func groups(f *facts) []Finding {
	out := findings{area: "groups"}
	if !f.cluster() {
		return nil
	}
	for i := range f.config.Streams {
		s := &f.config.Streams[i]
		runs := f.runs(s.Name)
		f.group(&out, s.Group, s.Topics, runs)
		for j := range f.config.Sinks {
			f.group(&out, sinks.Group(s.Group, f.config.Sinks[j].ID()), []string{s.Alert.Topic}, runs)
		}
	}
	return out.all
}

// group tells of one that reads some topics. runs is whether an instance has its stream.
func (f *facts) group(out *findings, name string, read []string, runs bool) {
	g := f.kafka.Groups[name]
	switch {
	case g.Err != nil:
		out.bad(refused(g.Err, "group", name), "%s cannot be asked about: %v", name, g.Err)
		return
	case g.State == empty || g.State == dead || g.State == "":
		if runs {
			out.bad("see why the instance is not in it: its /-/ready and its log; and whether it runs with this configuration", "%s has no member, and an instance is running", name)
		} else {
			out.warn("gonomaly run", "%s has no member: nobody reads %s", name, list(read))
		}
		return
	case g.State != stable:
		out.warn("look again in ten seconds; where it goes on, see which instance comes and goes, or whether its coordinator can write: kafka-topics.sh --describe --under-min-isr-partitions", "%s is not stable but %s, with %s", name, g.State, many(len(g.Members), "member"))
		return
	}
	owned := map[string]bool{}
	var who []string
	for _, m := range g.Members {
		for topic, ids := range m.Assigned {
			for _, id := range ids {
				owned[fmt.Sprintf("%s/%d", topic, id)] = true
			}
		}
		named := m.Client
		if m.Instance != "" {
			named = m.Instance
		}
		who = append(who, named+" on "+strings.TrimPrefix(m.Host, "/"))
	}
	var orphans []string
	partitions := 0
	for _, topic := range read {
		for _, id := range ids(f.kafka.Topics[topic].Partitions) {
			partitions++
			if p := fmt.Sprintf("%s/%d", topic, id); !owned[p] {
				orphans = append(orphans, p)
			}
		}
	}
	if len(orphans) > 0 {
		out.bad("wait a minute: the instances ask for a rebalance; where that does not help, restart the member that should have them",
			"%s: %s read by nobody, although it is stable: %s", name, are(len(orphans), "partition"), list(orphans))
		return
	}
	out.good("%s is stable, %s (%s), all of %s", name, many(len(who), "member"), list(who), many(partitions, "partition"))
}

func are(n int, noun string) string {
	if n == 1 {
		return "1 " + noun + " is"
	}
	return fmt.Sprintf("%d %ss are", n, noun)
}

// member says whether a group has any.
func member(g kafka.GroupState) bool { return g.Err == nil && len(g.Members) > 0 }

// protocol tells whether the brokers can do what a stream's group_protocol asks for.
func protocol(f *facts, out *findings) {
	if !slices.ContainsFunc(f.config.Streams, func(s config.Stream) bool { return s.GroupProtocol == sources.Consumer }) {
		return
	}
	if err := f.kafka.KIP848; err != nil {
		remedy := "upgrade the brokers to Kafka 4.3, or set group_protocol to classic"
		if text := err.Error(); strings.Contains(text, ": ") {
			_, remedy, _ = strings.Cut(text, ": ")
			err = errors.New(strings.TrimSuffix(text, ": "+remedy))
		}
		out.bad(remedy, "%v", err)
		return
	}
	out.good("all brokers know consumer groups (KIP-848)")
}
