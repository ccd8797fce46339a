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
		*t = tally{part: now, places: map[string]int{}}
	}
	t.add(at, key)
}

// until sums the parts up that are of the hour which ends at a time.
func (h *hour) until(at time.Time) (incidents int, keys map[string]Key) {
	keys = map[string]Key{}
	var counted []*tally
	for i := range h {
		t := &h[i]
		if age := part(at) - t.part; t.places == nil || age < 0 || age >= parts {
			continue
		}
		counted = append(counted, t)
		incidents += t.incidents
		for _, c := range t.keys {
			k := keys[c.key]
			k.Key = c.key
			k.Incidents += c.n - c.over
			if c.last.After(k.Last) {
				k.Last = c.last
			}
			keys[c.key] = k
		}
	}
	for _, t := range counted {
		rest := 0 // what a key that is not kept may have had
		if len(t.keys) == Most {
			rest = t.keys[t.rarest()].n
		}
		for name, k := range keys {
			if at, kept := t.places[name]; kept {
				k.AtMost += t.keys[at].n
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
	keys      []counter
	places    map[string]int // in keys
}

type counter struct {
	key   string
	n     int // at most
	over  int // of them may be of other keys
	last  time.Time
	heard int // number of its last incident
}

func (t *tally) add(at time.Time, key string) {
	t.incidents++
	place, kept := t.places[key]
	switch {
	case kept:
	case len(t.keys) < Most:
		place = len(t.keys)
		t.keys = append(t.keys, counter{key: key})
	default:
		place = t.rarest()
		delete(t.places, t.keys[place].key)
		n := t.keys[place].n
		t.keys[place] = counter{key: key, n: n, over: n}
	}
	t.places[key] = place
	c := &t.keys[place]
	c.n++
	c.last, c.heard = at, t.incidents
}

// rarest is the place of the key with the fewest incidents; of several that of the one that was heard of longest ago.
func (t *tally) rarest() int {
	rarest := 0
	for i := range t.keys {
		if c, least := &t.keys[i], &t.keys[rarest]; c.n < least.n || c.n == least.n && c.heard < least.heard {
			rarest = i
		}
	}
	return rarest
}
