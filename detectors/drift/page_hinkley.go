package drift

import (
	"errors"
	"fmt"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/internal/invalid"
)

// PageHinkleyConfig configures a PageHinkley monitor. Its units are standard deviations of the stream, so that one setting suits any
// scale.
type PageHinkleyConfig struct {
	Delta  float64 `yaml:"delta" jsonschema:"minimum=0,maximum=5,default=0.5" jsonschema_description:"Change of mean that is tolerated, in standard deviations; half of the change to be found is best."`
	Lambda float64 `yaml:"lambda" jsonschema:"minimum=1,default=20" jsonschema_description:"Accumulated deviation that is a change, in standard deviations; higher means fewer false alarms and later true ones."`
	WarmUp int     `yaml:"warm_up" jsonschema:"minimum=2,default=50" jsonschema_description:"Points from which mean and deviation are learned before changes are looked for."`
}

// New returns a PageHinkley, or an *invalid.Value for each setting out of range.
func (c *PageHinkleyConfig) New() (Monitor, error) {
	var errs []error
	if !(c.Delta >= 0 && c.Delta <= 5) {
		errs = append(errs, &invalid.Value{Name: "delta", Value: c.Delta, Want: "between 0 and 5"})
	}
	if !(c.Lambda >= 1 && c.Lambda <= maxValue) {
		errs = append(errs, &invalid.Value{Name: "lambda", Value: c.Lambda, Want: "≥ 1"})
	}
	if c.WarmUp < 2 {
		errs = append(errs, &invalid.Value{Name: "warm_up", Value: c.WarmUp, Want: "≥ 2"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &PageHinkley{delta: c.Delta, lambda: c.Lambda, warmUp: float64(c.WarmUp)}, nil
}

// PageHinkley finds a change of mean, up or down, by the deviations from the mean so far that pile up on one side.
//
// The test is that of Page (1954), "Continuous Inspection Schemes", Biometrika 41, in the form of Mouss et al. (2004), "Test of
// Page-Hinckley, an Approach for Fault Detection in an Agro-Alimentary Production System", 5th Asian Control Conference: with m_T the
// sum of x_t - mean_t - delta up to T, there is a change once m_T exceeds its own minimum by lambda. It is kept here as its excess over
// that minimum, max(0, sum + x - mean - delta). Deviations count in running standard deviations, those of independent points, see
// deviation, and at most maxDeviation, so that a lone outlier is no change.
//
// The state is 88 bytes.
type PageHinkley struct {
	delta, lambda float64 // standard deviations
	warmUp        float64 // points

	running  // since the last change
	up, down run
}

// Bytes implements Monitor.
func (m *PageHinkley) Bytes() int { return sizeOf[PageHinkley]() }

// Add takes x in. Values beyond ±1e100 count as these.
func (m *PageHinkley) Add(x float64) (c Change, changed bool) {
	x = clamp(x)
	if m.n >= m.warmUp {
		z := m.standard(x)
		for _, side := range [...]struct {
			*run
			z float64
		}{{&m.up, z}, {&m.down, -z}} {
			if side.add(x, side.z-m.delta); side.sum > m.lambda {
				c = m.change(*side.run, x)
				*m = PageHinkley{delta: m.delta, lambda: m.lambda, warmUp: m.warmUp}
				return c, true
			}
		}
	}
	// Not by running.add, which rounds otherwise: a saved state goes on as it always did.
	if m.n > 0 {
		m.steps += (x - m.last) * (x - m.last)
	}
	m.last = x
	m.n++
	d := x - m.mean
	m.mean += d / m.n
	m.square += d * (x - m.mean)
	return Change{}, false
}

// change takes the run's points, all but x itself, out of the mean. There are others: a run begins after the warm-up.
func (m *PageHinkley) change(r run, x float64) Change {
	rest := m.n - (r.n - 1)
	return Change{Before: m.mean + ((m.mean-r.mean)*(r.n-1)+(x-r.mean))/rest, After: r.mean}
}

const (
	pageHinkleyVersion = 1
	pageHinkleySize    = 1 + runningSize + 2*runSize
)

// AppendBinary appends the state, 89 bytes.
func (m *PageHinkley) AppendBinary(b []byte) ([]byte, error) {
	return m.down.append(m.up.append(m.append(append(b, pageHinkleyVersion)))), nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (m *PageHinkley) UnmarshalBinary(b []byte) error {
	if len(b) != pageHinkleySize || b[0] != pageHinkleyVersion {
		return fmt.Errorf("%w: page_hinkley needs %d bytes of version %d", detectors.ErrState, pageHinkleySize, pageHinkleyVersion)
	}
	ok := readRunning(b[1:], &m.running) && readRun(b[1+runningSize:], &m.up, m.n) && readRun(b[1+runningSize+runSize:], &m.down, m.n)
	if !ok || m.up.sum > m.lambda || m.down.sum > m.lambda {
		return fmt.Errorf("%w: page_hinkley is out of range", detectors.ErrState)
	}
	return nil
}
