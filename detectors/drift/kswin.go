package drift

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

// KSWINConfig configures a KSWIN monitor.
type KSWINConfig struct {
	Window int     `yaml:"window" jsonschema:"minimum=100,maximum=20000,default=500" jsonschema_description:"Points that are remembered, at least twice as many as newest."`
	Newest int     `yaml:"newest" jsonschema:"minimum=30,maximum=10000,default=100" jsonschema_description:"Newest points of the window, whose distribution is held against that of the others; more find smaller changes, later."`
	Delta  float64 `yaml:"delta" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1,default=0.0001" jsonschema_description:"Probability that chance alone makes the distributions differ so much when they are compared, which is every 8 points."`
}

// New returns a KSWIN, or an *invalid.Value for each setting out of range.
func (c *KSWINConfig) New() (Monitor, error) {
	var errs []error
	if c.Window < 100 || c.Window > 20_000 {
		errs = append(errs, &invalid.Value{Name: "window", Value: c.Window, Want: "between 100 and 20000"})
	}
	if c.Newest < 30 || c.Newest > 10_000 || 2*c.Newest > c.Window {
		errs = append(errs, &invalid.Value{Name: "newest", Value: c.Newest, Want: "between 30 and 10000, and at most half of window"})
	}
	if !(c.Delta > 0 && c.Delta < 1) {
		errs = append(errs, &invalid.Value{Name: "delta", Value: c.Delta, Want: "between 0 and 1, both excluded"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	older := c.Window - c.Newest
	return &KSWIN{
		limit: math.Sqrt(math.Log(2/c.Delta) / 2), recent: newest{x: make([]float64, 0, c.Newest)}, older: newest{x: make([]float64, 0, older)},
		sortedOlder: make(sorted, 0, older), sortedRecent: make(sorted, 0, c.Newest),
	}, nil
}

// KSWIN holds the distribution of the newest points of a window against that of the others, by the largest distance of their
// distribution functions: so it finds any change of distribution, and knows nothing of what is longer ago than the window.
//
// Raab, Heusinger & Schleif (2020), "Reactive Soft Prototype Computing for Concept Drift Streams", Neurocomputing 416, section 3.2. It differs
// from the paper in three ways. The newest points are held against all others of the window and not against a random sample of them, which
// is sharper and needs no randomness. The limit is that of two samples of n and m points, √(ln(2/δ)/2 · (1/n + 1/m)) by the first term of
// Smirnov (1948), "Table for Estimating the Goodness of Fit of Empirical Distributions", Annals of Mathematical Statistics 19(2), and as
// many times as large as the deviation of the mean rank is by the stream's inertia, see deviation. And a change is looked for every 8 points.
//
// A change of mean of more than four standard errors is told as such, else the spread before and after.
type KSWIN struct {
	limit float64 // of the distance, for one point on either side

	recent newest
	since  uint8 // points since the two were last compared
	older  newest
	ranks  running // of the older points among those before them, in [0, 1], since the last change

	// Derived from the state.
	sortedRecent, sortedOlder sorted
}

// Bytes implements Monitor.
func (m *KSWIN) Bytes() int { return sizeOf[KSWIN]() + 2*8*(cap(m.recent.x)+cap(m.older.x)) }

// Add takes x in. Values beyond ±1e100 count as these.
func (m *KSWIN) Add(x float64) (c Change, changed bool) {
	x = clamp(x)
	next, full := m.recent.add(x)
	if full {
		m.sortedRecent = m.sortedRecent.remove(next)
	}
	m.sortedRecent = m.sortedRecent.insert(x)
	if !full {
		return Change{}, false
	}
	m.age(next)
	if m.since++; m.since < lookEvery {
		return Change{}, false
	}
	m.since = 0
	return m.compare()
}

// age takes a point in among the older ones.
func (m *KSWIN) age(x float64) {
	if oldest, full := m.older.add(x); full {
		m.sortedOlder = m.sortedOlder.remove(oldest)
	}
	m.ranks.add(m.sortedOlder.rank(x))
	m.sortedOlder = m.sortedOlder.insert(x)
}

// compare tells a change of distribution, and forgets what was before it.
func (m *KSWIN) compare() (Change, bool) {
	if len(m.older.x) < len(m.recent.x) {
		return Change{}, false
	}
	if distance(m.sortedOlder, m.sortedRecent) <= m.most() {
		return Change{}, false
	}
	n := len(m.recent.x)
	first := m.older.point(0)
	before := m.older.sum(bucket{}, first, 0, len(m.older.x))
	last := m.older.point(len(m.older.x) - 1)
	from := m.recent.begin(before)
	rest := m.recent.sum(before, last, 0, from)
	kept := m.recent.sum(bucket{}, m.recent.point(from), from, n)
	c := Change{Before: rest.mean, After: kept.mean}
	if !(math.Abs(c.After-c.Before) > 4*difference(rest, kept)) {
		newer := m.recent.sum(bucket{}, last, 0, n)
		c, from = Change{Before: before.spread(), After: newer.spread(), Spread: true}, 0
	}
	m.recent.forget(from)
	m.older.x, m.older.at, m.ranks = m.older.x[:0], 0, running{}
	m.sort()
	return c, true
}

// most is the distance that chance exceeds with probability delta.
func (m *KSWIN) most() float64 {
	inertia := 1.0 // of the deviation of a mean
	if m.ranks.square > 0 {
		inertia = m.ranks.deviation() / m.ranks.spread()
	}
	return m.limit * inertia * math.Sqrt(1/float64(len(m.older.x))+1/float64(len(m.recent.x)))
}

// sort derives what follows from the state.
func (m *KSWIN) sort() {
	m.sortedRecent, m.sortedOlder = append(m.sortedRecent[:0], m.recent.x...), append(m.sortedOlder[:0], m.older.x...)
	slices.Sort(m.sortedRecent)
	slices.Sort(m.sortedOlder)
}

// sorted are points, the least first.
type sorted []float64

func (s sorted) insert(x float64) sorted {
	i, _ := slices.BinarySearch(s, x)
	return slices.Insert(s, i, x)
}

// remove takes out x, or a point that is equal to it.
func (s sorted) remove(x float64) sorted {
	i, _ := slices.BinarySearch(s, x)
	return slices.Delete(s, i, i+1)
}

// rank is the share of the points below x, in (0, 1); of those equal to it the half, so that what never varies has a rank that does not.
func (s sorted) rank(x float64) float64 {
	low, equal := slices.BinarySearch(s, x)
	high := low
	if equal {
		high += sort.Search(len(s)-low, func(i int) bool { return s[low+i] > x })
	}
	return (float64(low+high) + 1) / float64(2*len(s)+2)
}

// distance is the largest between the distribution functions of two samples, both ascending, in [0, 1].
func distance(a, b sorted) (largest float64) {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		largest = max(largest, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return largest
}

const (
	kswinVersion = 1
	kswinHead    = 1 + 1 + runningSize + 4 // version, since, ranks, number of recent points
)

// AppendBinary appends the state, 46 bytes and 8 for each point: the recent ones and then those before, the oldest first.
func (m *KSWIN) AppendBinary(b []byte) ([]byte, error) {
	b = m.ranks.append(append(b, kswinVersion, m.since))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.recent.x))) //nolint:gosec // at most 10,000
	return m.older.append(m.recent.append(b)), nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *KSWIN) UnmarshalBinary(b []byte) error {
	if len(b) < kswinHead || b[0] != kswinVersion || b[1] >= lookEvery {
		return fmt.Errorf("%w: %d bytes are not a kswin of version %d", detectors.ErrState, len(b), kswinVersion)
	}
	m.since = b[1]
	n := uint64(binary.LittleEndian.Uint32(b[2+runningSize:]))
	points := b[kswinHead:]
	ok := readRunning(b[2:], &m.ranks) && 8*n <= uint64(len(points))
	ok = ok && m.recent.read(points[:8*n]) && m.older.read(points[8*n:])
	if full := len(m.recent.x) == cap(m.recent.x); ok && !full && (m.since != 0 || len(m.older.x) > 0 || m.ranks != running{}) {
		ok = false // there are older points, or looks, only once all recent ones are there
	}
	if !ok {
		return fmt.Errorf("%w: kswin is out of range", detectors.ErrState)
	}
	m.sort()
	return nil
}
