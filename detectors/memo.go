package detectors

// memo remembers the point that was looked at last, so that Learn need not look again after Score. It is no part of a state.
type memo struct {
	x     []float64
	holds bool
}

func newMemo(fields int) memo { return memo{x: make([]float64, fields)} }

// is says whether x is that point, and takes it for that from now on.
func (m *memo) is(x []float64) bool {
	same := m.holds
	for i, v := range x {
		if v != m.x[i] {
			same = false
			m.x[i] = v
		}
	}
	m.holds = true
	return same
}

// forget is called when what was found about the point is no longer true.
func (m *memo) forget() { m.holds = false }
