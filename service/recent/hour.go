package recent

import "time"

// The last hour is counted in parts, the oldest of which is forgotten as a new one begins.
const (
	parts = 12
	long  = time.Hour / parts
)

// hour counts a stream's incidents by key.
type hour [parts]tally

// part is the number of the part of time that a time is in.
func part(at time.Time) int64 { return at.UnixNano() / int64(long) }

// begins is when a part does.
func begins(part int64) time.Time { return time.Unix(0, part*int64(long)).UTC() }

func (h *hour) add(at time.Time, key string) {
	now := part(at)
	t := &h[now%parts]
	if t.part != now {
		*t = tally{part: now, keys: map[string]*counter{}}
	}
	t.add(at, key)
}

// until sums the parts up that are of the hour which ends at a time.
func (h *hour) until(at time.Time) (incidents int, keys map[string]Key) {
	keys = map[string]Key{}
	var counted []*tally
	for i := range h {
		t := &h[i]
		if age := part(at) - t.part; t.keys == nil || age < 0 || age >= parts {
			continue
		}
		counted = append(counted, t)
		incidents += t.incidents
		for name, c := range t.keys {
			k := keys[name]
			k.Key = name
			k.Incidents += c.n - c.over
			if c.last.After(k.Last) {
				k.Last = c.last
			}
			keys[name] = k
		}
	}
	for _, t := range counted {
		rest := 0 // what a key that is not kept may have had
		if len(t.keys) == Most {
			_, rest = t.rarest()
		}
		for name, k := range keys {
			if c := t.keys[name]; c != nil {
				k.AtMost += c.n
			} else {
				k.AtMost += rest
			}
			keys[name] = k
		}
	}
	for name, k := range keys {
		if k.AtMost == k.Incidents { // they are counted exactly
			k.AtMost = 0
			keys[name] = k
		}
	}
	return incidents, keys
}

// tally counts the incidents of one part of an hour, exactly for up to Most keys. With more of them it keeps those that come most, and
// knows by how much it may overrate each. A key with more than a Most-th of all incidents is always among them.
//
// Metwally, Agrawal and El Abbadi (2005), "Efficient Computation of Frequent and Top-k Elements in Data Streams": Space-Saving.
type tally struct {
	part      int64
	incidents int
	keys      map[string]*counter
}

type counter struct {
	n    int // at most
	over int // of them may be of other keys
	last time.Time
}

func (t *tally) add(at time.Time, key string) {
	t.incidents++
	c := t.keys[key]
	if c == nil {
		c = &counter{}
		if len(t.keys) == Most {
			rarest, least := t.rarest()
			delete(t.keys, rarest)
			c.n, c.over = least, least
		}
		t.keys[key] = c
	}
	c.n++
	c.last = at
}

// rarest is the key with the fewest incidents; of several the one that was heard of longest ago.
func (t *tally) rarest() (key string, n int) {
	var least *counter
	for name, c := range t.keys {
		if least == nil || c.n < least.n || c.n == least.n && (c.last.Before(least.last) || c.last.Equal(least.last) && name < key) {
			key, least = name, c
		}
	}
	return key, least.n
}
