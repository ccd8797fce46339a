package detectors

import "math"

// excursions keeps the largest runs of a surprise above one decade in the last horizon points, one entry a run, and tells how often
// one as large as a further number comes.
type excursions struct {
	calm  uint8                   // points not above one decade that end a run; 0: each point is a run
	top   [excursionsKept]float32 // greatest decades of each run, descending
	born  [excursionsKept]uint16  // point of its greatest, modulo 2^16
	n     uint8
	run   int8  // index of the entry of the run that goes on, -1 for none
	quiet uint8 // points since the last above one decade, at most calm
	age   uint8 // points since the run began, at most longestRun
}

// excursionsKept is enough for the rank to tell one point in a thousand from a common one: horizon/(kept+1) is less.
const excursionsKept = 24

// longestRun points are a run, and what comes after them is another: what is above one decade all the time is nothing rare.
const longestRun = 200

func newExcursions(calm uint8) excursions { return excursions{calm: calm, run: -1, quiet: calm} }

// surprise returns -log10 of the share of points at which a run as large as decades begins, among the last n; beyond the largest, on an
// exponential tail with the mean of the excesses over one decade, which begins as that of the nominal law, worth four runs.
func (e *excursions) surprise(decades, n float64) float64 {
	above, excess := 0, 4*math.Log10E
	for _, top := range e.top[:e.n] {
		if float64(top) >= decades {
			above++
		}
		excess += float64(top) - 1
	}
	s := math.Log10(n / float64(above+1))
	if above == 0 && e.n > 0 {
		s += (decades - float64(e.top[0])) / (excess / float64(e.n+4)) * math.Log10E
	}
	return s
}

// rank is a more careful surprise, for decades without a law: one more run is counted than there was, and beyond the largest the tail is
// Pareto's with index 1.
func (e *excursions) rank(decades, n float64) float64 {
	above := 0
	for above < int(e.n) && float64(e.top[above]) >= decades {
		above++
	}
	s := math.Log10(n / float64(above+2))
	if above == 0 {
		s += math.Log10(decades / max(1, float64(e.top[0])))
	}
	return s
}

// nearMiss is the rank down to which what is less than rare is told of.
const nearMiss = 4

// among says whether decades are among the few largest, or would be.
func (e *excursions) among(decades float64) bool {
	return e.n < nearMiss || decades >= float64(e.top[nearMiss-1])
}

// learn takes in the decades of a point.
func (e *excursions) learn(decades float64, point uint64) {
	now := uint16(point) //nolint:gosec // modulo 2^16 on purpose
	if e.n > 0 {
		if i := int(point % uint64(e.n)); now-e.born[i] > horizon { //nolint:gosec // less than excursionsKept
			e.remove(i)
		}
	}
	e.age = min(e.age+1, longestRun)
	if !(decades > 1) {
		e.quiet = min(e.quiet+1, e.calm)
		return
	}
	if e.quiet == e.calm || e.age == longestRun {
		e.run, e.age = -1, 0
	}
	e.quiet = 0
	size := float32(min(decades, MaxScore))
	if e.run >= 0 {
		if size <= e.top[e.run] {
			return
		}
		e.remove(int(e.run))
	}
	if e.n == excursionsKept {
		if size <= e.top[e.n-1] {
			return
		}
		e.n--
	}
	i := int(e.n)
	for ; i > 0 && e.top[i-1] < size; i-- {
		e.top[i], e.born[i] = e.top[i-1], e.born[i-1]
	}
	e.top[i], e.born[i], e.run = size, now, int8(i) //nolint:gosec // less than excursionsKept
	e.n++
}

func (e *excursions) remove(i int) {
	copy(e.top[i:e.n-1], e.top[i+1:e.n])
	copy(e.born[i:e.n-1], e.born[i+1:e.n])
	e.n--
	switch {
	case int(e.run) == i:
		e.run = -1
	case int(e.run) > i:
		e.run--
	}
}

func (e *excursions) append(b []byte) []byte {
	b = append(b, e.n, byte(e.run), e.quiet, e.age) //nolint:gosec // the same bits
	for i := range e.n {
		b = appendFloat32(b, e.top[i])
		b = append(b, byte(e.born[i]), byte(e.born[i]>>8)) //nolint:gosec // the low byte, then the high one
	}
	return b
}

// read restores what append wrote.
func (e *excursions) read(r *reader) {
	*e = excursions{calm: e.calm, n: r.uint8(), run: int8(r.uint8()), quiet: r.uint8(), age: r.uint8()} //nolint:gosec // the same bits
	if e.n > excursionsKept || e.run < -1 || e.run >= int8(e.n) || e.quiet > e.calm || e.age > longestRun {
		r.fail("%d excursions, at number %d, want at most %d", e.n, e.run, excursionsKept)
		return
	}
	high := float32(MaxScore)
	for i := range e.n {
		e.top[i], e.born[i] = r.float32(1, high), r.uint16()
		high = e.top[i]
	}
}
