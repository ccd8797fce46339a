package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Fate is what becomes of the state of a stream.
type Fate struct {
	Stream string
	pipeline.Carried
	New []string // topics that its group has not read
	Why string   // there is no state, or none that can be kept; "" for there is
}

// Foretell says for each stream what it keeps of what it has learned when the configuration before gives way to the one after, then for
// each that is no more, that its state stays where it is. A state is its group's and topic's, whatever the stream is called.
func Foretell(before, after *Config) ([]Fate, error) {
	old := map[string]*Stream{}
	for i := range before.Streams {
		old[before.Streams[i].Group] = &before.Streams[i]
	}
	lost := lostStore(before, after)
	var fates []Fate
	for i := range after.Streams {
		s := &after.Streams[i]
		f := Fate{Stream: s.Name}
		was := old[s.Group]
		delete(old, s.Group)
		switch {
		case was == nil:
			f.Why = "starts cold: group " + s.Group + " is new"
		case lost != "":
			f.Why = "is rebuilt from the log: " + lost
		default:
			var err error
			if f.Carried, err = pipeline.Carry(was.Config, s.Config); err != nil {
				return nil, fmt.Errorf("stream %s: %w", s.Name, err)
			}
			if f.Rebuilt {
				f.Why = "is rebuilt from the log: decode or window make other points of the same records"
			}
			for _, topic := range s.Topics {
				if !slices.Contains(was.Topics, topic) {
					f.New = append(f.New, topic)
				}
			}
		}
		fates = append(fates, f)
	}
	for i := range before.Streams {
		if s := &before.Streams[i]; old[s.Group] != nil {
			fates = append(fates, Fate{Stream: s.Name, Why: "is no more: the state and the offsets of group " + s.Group + " stay where they are"})
		}
	}
	return fates, nil
}

// String is a sentence.
func (f Fate) String() string {
	if f.Why != "" {
		return "stream " + f.Stream + " " + f.Why
	}
	var parts []string
	for _, p := range []struct {
		what  string
		names []string
	}{{"starts cold with ", f.Cold}, {"drops ", f.Gone}, {"starts cold on topic ", f.New}, {"keeps ", f.Kept}} {
		if len(p.names) > 0 {
			parts = append(parts, p.what+strings.Join(p.names, ", "))
		}
	}
	return "stream " + f.Stream + " " + strings.Join(parts, "; ")
}

// lostStore says why no state of the configuration before is found under the one after, or is empty.
func lostStore(before, after *Config) string {
	a, b := before.Checkpoints, after.Checkpoints
	switch {
	case a.Store != b.Store:
		return "checkpoints.store is another"
	case a.Store == StoreFile && a.Directory != b.Directory:
		return "checkpoints.directory is another"
	case a.Store == StoreMemory && len(Diff(before, after).Restart) > 0:
		return "checkpoints.store is memory, and the change needs a new process"
	case a.Store == StoreRedis && (before.Redis.Address != after.Redis.Address || before.Redis.DB != after.Redis.DB || before.Redis.KeyPrefix != after.Redis.KeyPrefix):
		return "redis is another, unless that has the same keys"
	}
	return ""
}
