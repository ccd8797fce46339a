// Package recent remembers what was told lately: the last alerts, and the keys that most incidents of the last hour are of. It is fed where
// alerts have become durable, so that no record pays for it, and what it holds is bounded, whatever the number of keys.
package recent

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

// Most is how many alerts are kept of each stream, and how many keys may be asked for.
const Most = 100

// Told remembers what a process has told. It is used from many goroutines.
type Told struct {
	began time.Time

	mu      sync.Mutex
	streams map[string]*told
}

// told is what is remembered of a stream.
type told struct {
	last []Alert // a ring, once it is full
	next int     // where the next one goes
	hour hour
}

// New returns an empty memory of a process that began at a time.
func New(began time.Time) *Told { return &Told{began: began, streams: map[string]*told{}} }

// Alert is one that stands in the alerts topic.
type Alert struct {
	Committed time.Time       `json:"committed"` // when it became durable there
	Event     json.RawMessage `json:"event"`     // the CloudEvent, as it stands there
}

// Alerts is what /-/alerts answers.
type Alerts struct {
	Since  time.Time `json:"since"`  // the process has told nothing before it
	Alerts []Alert   `json:"alerts"` // the newest first
}

// Key is one that incidents are of.
type Key struct {
	Stream    string    `json:"stream"`
	Key       string    `json:"key"`
	Incidents int       `json:"incidents"`         // opened, at least
	AtMost    int       `json:"at_most,omitempty"` // where so many keys have incidents that they are not counted exactly
	Last      time.Time `json:"last"`              // when the last of them became durable
}

// Keys is what /-/keys answers.
type Keys struct {
	Since     time.Time `json:"since"`     // what is counted begins here: an hour ago or a little less, or when the process began
	Incidents int       `json:"incidents"` // opened since, of all keys
	Keys      []Key     `json:"keys"`      // the noisiest first
}

// Add remembers messages of a stream that became durable at a time. Dead letters among them are passed over.
func (t *Told) Add(stream string, at time.Time, messages []pipeline.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.streams[stream]
	if s == nil {
		s = &told{}
		t.streams[stream] = s
	}
	for i := range messages {
		m := &messages[i]
		if m.Status == "" {
			continue
		}
		if a := (Alert{at, m.Value}); len(s.last) < Most {
			s.last = append(s.last, a)
		} else {
			s.last[s.next] = a
		}
		s.next = (s.next + 1) % Most
		if m.Status == pipeline.Open {
			s.hour.add(at, string(m.Key))
		}
	}
}

// Forget drops a stream that the configuration no longer has.
func (t *Told) Forget(stream string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.streams, stream)
}

// Alerts are the last n of all streams together.
func (t *Told) Alerts(n int) Alerts {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []Alert{}
	for _, s := range t.streams {
		for i := range s.last { // the newest first, which the order of equal times then keeps
			all = append(all, s.last[(s.next-1-i+2*len(s.last))%len(s.last)])
		}
	}
	slices.SortStableFunc(all, func(a, b Alert) int { return b.Committed.Compare(a.Committed) })
	return Alerts{Since: t.began, Alerts: all[:min(n, len(all))]}
}

// Keys are the n noisiest keys of the hour that ends at a time.
func (t *Told) Keys(n int, at time.Time) Keys {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := Keys{Since: begins(part(at) - parts + 1), Keys: []Key{}}
	if k.Since.Before(t.began) {
		k.Since = t.began
	}
	for stream, s := range t.streams {
		incidents, keys := s.hour.until(at)
		k.Incidents += incidents
		for _, key := range keys {
			key.Stream = stream
			k.Keys = append(k.Keys, key)
		}
	}
	slices.SortFunc(k.Keys, func(a, b Key) int {
		return cmp.Or(cmp.Compare(b.Incidents, a.Incidents), b.Last.Compare(a.Last), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Key, b.Key))
	})
	k.Keys = k.Keys[:min(n, len(k.Keys))]
	return k
}
