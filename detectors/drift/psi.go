package drift

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

// PSIConfig configures a PSI monitor.
type PSIConfig struct {
	Window int     `yaml:"window" jsonschema:"minimum=50,maximum=10000,default=100" jsonschema_description:"Newest points, whose distribution is held against that of all before them; more find smaller changes, later."`
	Delta  float64 `yaml:"delta" jsonschema:"exclusiveMinimum=0,exclusiveMaximum=1,default=1e-07" jsonschema_description:"Probability that chance alone makes the distributions differ so much when they are compared, which is every 8 points."`
}

// New returns a PSI, or an *invalid.Value for each setting out of range.
func (c *PSIConfig) New() (Monitor, error) {
	var errs []error
	if c.Window < 50 || c.Window > 10_000 {
		errs = append(errs, &invalid.Value{Name: "window", Value: c.Window, Want: "between 50 and 10000"})
	}
	if !(c.Delta > 0 && c.Delta < 1) {
		errs = append(errs, &invalid.Value{Name: "delta", Value: c.Delta, Want: "between 0 and 1, both excluded"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m := &PSI{recent: newest{x: make([]float64, 0, c.Window)}, sorted: make([]float64, c.Window)}
	for i := range m.most {
		m.most[i] = 2 * mathext.GammaIncRegCompInv(float64(i+1)/2, c.Delta)
	}
	return m, nil
}

// PSI holds the distribution of the newest points against that of all before them, since the last change: the share of each in ten bins, whose
// edges are the deciles of the first window. So it finds changes of spread and shape as well as of mean.
//
// The population stability index is Σ (p-q)·ln(p/q) over the bins, the divergence of Jeffreys (1946). Where nothing has changed it is
// (1/n + 1/m)·χ² of one degree less than there are bins: Yurdakul & Naranjo (2020), "Statistical Properties of the Population Stability
// Index", Journal of Risk Model Validation 14(4), section 3; that is the limit here, not the customary 0.25, and as many times as large as
// the variance of the mean bin is by the stream's inertia, see deviation. Each bin counts half a point more than it has, so that none is empty.
//
// A change of mean that alone would be one at four standard errors is told as such, else a change of spread.
type PSI struct {
	most [psiBins - 1]float64 // χ² that chance exceeds with probability delta, of 1, 2, … degrees of freedom

	recent newest
	looks  uint8 // points since the two were last compared
	older  running
	bins   running              // the older points' bins, by number
	edges  [psiBins - 1]float64 // ascending, some alike where many points are
	counts [psiBins]float64     // of the older points in (edge before, edge]
	sorted []float64            // for scratch
}

const psiBins = 10

// Bytes implements Monitor.
func (m *PSI) Bytes() int { return sizeOf[PSI]() + 2*8*cap(m.recent.x) }

// Add takes x in. Values beyond ±1e100 count as these.
func (m *PSI) Add(x float64) (c Change, changed bool) {
	oldest, full := m.recent.add(clamp(x))
	if !full {
		if len(m.recent.x) == cap(m.recent.x) {
			m.cut()
		}
		return Change{}, false
	}
	bin := m.bin(oldest)
	m.older.add(oldest)
	m.bins.add(float64(bin))
	m.counts[bin]++
	if m.looks++; m.looks < lookEvery {
		return Change{}, false
	}
	m.looks = 0
	return m.compare()
}

// cut sets the edges at the deciles of the first points.
func (m *PSI) cut() {
	copy(m.sorted, m.recent.x)
	slices.Sort(m.sorted)
	for i := range m.edges {
		m.edges[i] = m.sorted[(i+1)*len(m.sorted)/psiBins-1]
	}
}

// bin is that of x: the first whose upper edge is not below it.
func (m *PSI) bin(x float64) int {
	i, _ := slices.BinarySearch(m.edges[:], x)
	return i
}

// compare tells a change of distribution, and forgets what was before it.
func (m *PSI) compare() (Change, bool) {
	n := float64(len(m.recent.x))
	if m.older.n < n {
		return Change{}, false
	}
	var counts [psiBins]float64
	for _, x := range m.recent.x {
		counts[m.bin(x)]++
	}
	newer := m.recent.sum(bucket{}, m.older.last, 0, len(m.recent.x))
	index, bins := 0.0, 0
	for i, was := range m.counts {
		if was+counts[i] == 0 {
			continue // between edges that are alike, say
		}
		bins++
		p, q := (was+0.5)/(m.older.n+psiBins/2), (counts[i]+0.5)/(n+psiBins/2)
		index += (p - q) * math.Log(p/q)
	}
	if bins < 2 || index <= m.limit(bins, n) {
		return Change{}, false
	}
	from := m.recent.begin(m.older.bucket)
	rest := m.recent.sum(m.older.bucket, m.older.last, 0, from)
	kept := m.recent.sum(bucket{}, m.recent.point(from), from, len(m.recent.x))
	c := Change{Before: rest.mean, After: kept.mean}
	if !(math.Abs(c.After-c.Before) > 4*difference(rest, kept)) {
		c = Change{Before: m.older.spread(), After: newer.spread(), Spread: true}
	}
	*m = PSI{most: m.most, recent: newest{x: m.recent.x[:0]}, sorted: m.sorted}
	return c, true
}

// limit is the index that chance exceeds with probability delta, for n recent points and some bins.
func (m *PSI) limit(bins int, n float64) float64 {
	inertia := 1.0 // of the variance of a mean
	if m.bins.square > 0 {
		inertia = m.bins.deviation() / m.bins.spread()
	}
	return (1/m.older.n + 1/n) * inertia * inertia * m.most[bins-2]
}

const (
	psiVersion = 1
	psiHead    = 1 + 1 + 2*runningSize + 8*(2*psiBins-1) // version, looks, the older points' sums and their bins', edges and counts
)

// AppendBinary appends the state, 234 bytes and 8 for each recent point, the oldest first.
func (m *PSI) AppendBinary(b []byte) ([]byte, error) {
	b = m.bins.append(m.older.append(append(b, psiVersion, m.looks)))
	b = appendFloats(appendFloats(b, m.edges[:]...), m.counts[:]...)
	return m.recent.append(b), nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *PSI) UnmarshalBinary(b []byte) error {
	if len(b) < psiHead || b[0] != psiVersion || b[1] >= lookEvery {
		return fmt.Errorf("%w: %d bytes are not a psi of version %d", detectors.ErrState, len(b), psiVersion)
	}
	m.looks = b[1]
	ok := readRunning(b[2:], &m.older) && readRunning(b[2+runningSize:], &m.bins)
	at, total := b[2+2*runningSize:], 0.0
	for i := range m.edges {
		ok = floats(at[8*i:], &m.edges[i]) && value(m.edges[i]) && (i == 0 || m.edges[i] >= m.edges[i-1]) && ok
	}
	for i := range m.counts {
		ok = floats(at[8*(psiBins-1+i):], &m.counts[i]) && count(m.counts[i]) && ok
		total += m.counts[i]
	}
	ok = m.recent.read(b[psiHead:]) && ok && total == m.older.n
	if full := len(m.recent.x) == cap(m.recent.x); !full && (m.looks != 0 || m.older != running{} || m.bins != running{} || m.edges != [psiBins - 1]float64{}) {
		ok = false // there are edges, older points and looks only once all recent ones are there
	}
	if !ok {
		return fmt.Errorf("%w: psi is out of range", detectors.ErrState)
	}
	return nil
}
