package detectors

import "math"

// memory remembers a few values that span those seen, and tells how far a new one is from the nearest of them: its novelty.
//
// It thins itself out: when it is full, the closest two become one. A value is forgotten when it was not near any newer one for a
// horizon, or earlier where values are said to have a life: then each visit buys them so many points.
type memory struct {
	value  [remembered]float32 // ascending
	least  float32             // where all are there no two are closer; 0 where that is not known; no part of the state
	used   [remembered]uint16  // last row that came near, modulo 2^16
	visits [remembered]uint8   // saturates; beyond horizon/life visits are not told apart
	n      uint8
	next   uint8 // index of the entry whose age was looked at last
}

const (
	remembered = 32
	// horizon is the number of rows after which all is forgotten. Ages fit into 16 bits, as each entry is looked at every 32 rows.
	horizon = 20_000
)

// place returns the index of the first value that is at least x.
func (m *memory) place(x float64) int {
	base := 0
	for n := int(m.n); n > 0; {
		half := (n + 1) / 2
		if float64(m.value[base+half-1]) < x {
			base += half
		}
		n -= half
	}
	return base
}

// nearest returns the distance from x, whose place is at, to the nearest remembered value, and that value's index; infinite and -1 when
// there is none. Where two are as near it is the greater one.
func (m *memory) nearest(at int, x float64) (distance float64, index int) {
	distance, index = math.Inf(1), -1
	if at < int(m.n) {
		distance, index = float64(m.value[at])-x, at
	}
	if at > 0 {
		if below := x - float64(m.value[at-1]); below < distance {
			distance, index = below, at-1
		}
	}
	return distance, index
}

// learn takes in x, whose place is at: a value within floor of a remembered one is a visit to that. What was used longer ago than window, at most
// horizon, is forgotten. A life of 0 is none, else rows per visit.
func (m *memory) learn(at int, x, floor float64, row uint64, window uint16, life int) {
	now := uint16(row) //nolint:gosec // modulo 2^16 on purpose
	if distance, i := m.nearest(at, x); i >= 0 && distance <= floor {
		m.used[i] = now
		m.visits[i] = saturate(m.visits[i], 1)
	} else {
		m.insert(at, float32(x), now)
	}
	m.age(now, window, life)
}

// insert puts x into its place i. Where there is no room, the closest two of all values become one, x among them: that whose other neighbour is
// farther stays, an end always does. It inherits the visits of both, and the later use.
func (m *memory) insert(i int, x float32, now uint16) {
	if m.n == remembered {
		low := m.closest(i, x)
		gone, kept := low, low+1
		if low == 0 || low+1 < remembered && m.gap(low+1, i, x) < m.gap(low-1, i, x) {
			gone, kept = kept, gone
		}
		if gone == i || kept == i { // the other one is number low without x
			if kept == i {
				m.value[low] = x
			}
			m.used[low], m.visits[low] = now, saturate(m.visits[low], 1)
			return
		}
		if i < low {
			gone, kept = gone-1, kept-1
		} else {
			i--
		}
		if now-m.used[gone] < now-m.used[kept] {
			m.used[kept] = m.used[gone]
		}
		m.visits[kept] = saturate(m.visits[kept], m.visits[gone])
		m.forget(gone)
	} else {
		m.least = 0
	}
	n := int(m.n)
	copy(m.value[i+1:n+1], m.value[i:n])
	copy(m.used[i+1:n+1], m.used[i:n])
	copy(m.visits[i+1:n+1], m.visits[i:n])
	m.value[i], m.used[i], m.visits[i] = x, now, 1
	m.n++
}

// closest returns the number of the lower of the closest two values, counted with x among them at its place i. Mostly that is x or the one below
// it: as there was no room before, the others lie about as far apart as can be.
func (m *memory) closest(i int, x float32) (low int) {
	below, above := float32(math.Inf(1)), float32(math.Inf(1))
	if i > 0 {
		below = m.gap(i-1, i, x)
	}
	if i < remembered {
		above = m.gap(i, i, x)
	}
	if min(below, above) < m.least {
		if below <= above {
			return i - 1
		}
		return i
	}
	least, next := float32(math.Inf(1)), float32(math.Inf(1))
	for j := range remembered {
		if gap := m.gap(j, i, x); gap < least {
			least, next, low = gap, least, j
		} else if gap < next {
			next = gap
		}
	}
	m.least = next
	return low
}

// gap is how far value number j is from the next, counted with x among them at its place i.
func (m *memory) gap(j, i int, x float32) float32 {
	switch {
	case j == i:
		return m.value[i] - x
	case j+1 == i:
		return x - m.value[j]
	case j > i:
		j--
	}
	return m.value[j+1] - m.value[j]
}

// age looks at one entry, the next in turn, and forgets it where its time is over. The last two stay.
func (m *memory) age(now, window uint16, life int) {
	if m.n <= 2 {
		for i := range m.n {
			m.used[i] = now - min(now-m.used[i], horizon+1) // older is as old, lest the row comes round
		}
		return
	}
	m.next = (m.next + 1) % m.n
	limit := int(window)
	if life > 0 {
		limit = min(limit, life*int(m.visits[m.next]))
	}
	if int(now-m.used[m.next]) > limit {
		m.forget(int(m.next))
	}
}

// move makes zero of x.
func (m *memory) move(x float32) {
	for i := range m.n {
		m.value[i] -= x
	}
}

func (m *memory) forget(i int) {
	n := int(m.n)
	copy(m.value[i:n-1], m.value[i+1:n])
	copy(m.used[i:n-1], m.used[i+1:n])
	copy(m.visits[i:n-1], m.visits[i+1:n])
	m.n--
}

func (m *memory) append(b []byte) []byte {
	b = append(b, m.n, m.next)
	for i := range int(m.n) {
		b = appendFloat32(b, m.value[i])
		b = append(b, byte(m.used[i]), byte(m.used[i]>>8), m.visits[i]) //nolint:gosec // the low byte, then the high one
	}
	return b
}

func (m *memory) read(r *reader) {
	*m = memory{n: r.uint8(), next: r.uint8()}
	if m.n > remembered || m.next > remembered {
		r.fail("%d remembered values, at number %d, want at most %d", m.n, m.next, remembered)
		return
	}
	low := float32(-wide)
	for i := range int(m.n) {
		m.value[i], m.used[i], m.visits[i] = r.float32(low, wide), r.uint16(), r.uint8()
		low = m.value[i]
	}
}

func saturate(a, b uint8) uint8 {
	if sum := a + b; sum >= a {
		return sum
	}
	return math.MaxUint8
}
