package drift

import (
	"errors"
	"fmt"
	"math"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

// STEPDConfig configures a STEPD monitor.
type STEPDConfig struct {
	Window int     `yaml:"window" jsonschema:"minimum=16,maximum=10000,default=100" jsonschema_description:"Newest points, that are held against all before them; more find smaller changes, later."`
	Limit  float64 `yaml:"limit" jsonschema:"minimum=1,maximum=100,default=4" jsonschema_description:"Difference of the two means that is a change, in its own standard deviations."`
}

// New returns a STEPD, or an *invalid.Value for each setting out of range.
func (c *STEPDConfig) New() (Monitor, error) {
	var errs []error
	if c.Window < 16 || c.Window > 10_000 {
		errs = append(errs, &invalid.Value{Name: "window", Value: c.Window, Want: "between 16 and 10000"})
	}
	if !(c.Limit >= 1 && c.Limit <= 100) {
		errs = append(errs, &invalid.Value{Name: "limit", Value: c.Limit, Want: "between 1 and 100"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &STEPD{limit: c.Limit, recent: newest{x: make([]float64, 0, c.Window)}}, nil
}

// STEPD holds the mean of the newest points against that of all before them, since the last change.
//
// Nishida & Yamauchi (2007), "Detecting Concept Drift Using Statistical Testing", Discovery Science, section 3, which compares two
// proportions of right answers. Here means of any numbers are compared, either way, see difference. A change is looked for every 8 points, and is told as of the newest points that differ most from the rest.
type STEPD struct {
	limit float64 // standard deviations of the difference

	older  running
	recent newest
	since  uint8 // points since a change was last looked for
}

const (
	lookEvery = 8 // points
	fewestNew = 8 // points that a change is told of
)

// Bytes implements Monitor.
func (m *STEPD) Bytes() int { return sizeOf[STEPD]() + 8*cap(m.recent.x) }

// Add takes x in. Values beyond ±1e100 count as these.
func (m *STEPD) Add(x float64) (c Change, changed bool) {
	oldest, full := m.recent.add(clamp(x))
	if !full {
		return Change{}, false
	}
	m.older.add(oldest)
	if m.since++; m.since < lookEvery {
		return Change{}, false
	}
	m.since = 0
	return m.compare()
}

// compare tells a change of mean, and forgets what was before it.
func (m *STEPD) compare() (Change, bool) {
	n := len(m.recent.x)
	if m.older.n < float64(n) {
		return Change{}, false
	}
	newer := m.recent.sum(bucket{}, m.older.last, 0, n)
	if gap := math.Abs(newer.mean - m.older.mean); !(gap > m.limit*within(m.older.bucket, newer)*math.Sqrt(1/m.older.n+1/newer.n)) {
		return Change{}, false
	}
	from := m.recent.begin(m.older.bucket)
	rest := m.recent.sum(m.older.bucket, m.older.last, 0, from)
	kept := m.recent.sum(bucket{}, m.recent.point(from), from, n)
	if !(math.Abs(kept.mean-rest.mean) > m.limit*difference(rest, kept)) {
		return Change{}, false // of an outlier, say
	}
	m.recent.forget(from)
	m.older = running{}
	return Change{Before: rest.mean, After: kept.mean}, true
}

const (
	stepdVersion = 1
	stepdHead    = 1 + 1 + runningSize // version, since, the older points' sums
)

// AppendBinary appends the state, 42 bytes and 8 for each recent point, the oldest first.
func (m *STEPD) AppendBinary(b []byte) ([]byte, error) {
	return m.recent.append(m.older.append(append(b, stepdVersion, m.since))), nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *STEPD) UnmarshalBinary(b []byte) error {
	if len(b) < stepdHead || b[0] != stepdVersion || b[1] >= lookEvery {
		return fmt.Errorf("%w: %d bytes are not a stepd of version %d", detectors.ErrState, len(b), stepdVersion)
	}
	m.since = b[1]
	ok := readRunning(b[2:], &m.older) && m.recent.read(b[stepdHead:])
	if full := len(m.recent.x) == cap(m.recent.x); !full && (m.since != 0 || m.older != running{}) {
		ok = false // there are older points, or looks, only once all recent ones are there
	}
	if !ok {
		return fmt.Errorf("%w: stepd is out of range", detectors.ErrState)
	}
	return nil
}
