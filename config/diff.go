package config

import "reflect"

// Changes is what a reload has to do: streams by name, and what a reload cannot change.
type Changes struct {
	Added, Removed, Changed []string // streams, in the order of their file
	Sinks                   bool
	Restart                 []string // keys whose change takes effect only with a new process
}

// Diff compares two checked configurations.
func Diff(before, after *Config) Changes {
	var d Changes
	was := map[string]*Stream{}
	for i := range before.Streams {
		was[before.Streams[i].Name] = &before.Streams[i]
	}
	kept := map[string]bool{}
	for i := range after.Streams {
		s := &after.Streams[i]
		kept[s.Name] = true
		switch old, ok := was[s.Name]; {
		case !ok:
			d.Added = append(d.Added, s.Name)
		case !reflect.DeepEqual(old, s):
			d.Changed = append(d.Changed, s.Name)
		}
	}
	for _, s := range before.Streams {
		if !kept[s.Name] {
			d.Removed = append(d.Removed, s.Name)
		}
	}
	d.Sinks = !reflect.DeepEqual(before.Sinks, after.Sinks)
	for _, part := range []struct {
		key  string
		a, b any
	}{
		{"instance", before.Instance, after.Instance},
		{"listen", before.Listen, after.Listen},
		{"kafka", before.Kafka, after.Kafka},
		{"redis", before.Redis, after.Redis},
		{"tracing", before.Tracing, after.Tracing},
		{"checkpoints", before.Checkpoints, after.Checkpoints},
	} {
		if !reflect.DeepEqual(part.a, part.b) {
			d.Restart = append(d.Restart, part.key)
		}
	}
	return d
}
