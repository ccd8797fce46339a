package drift

// run is a sum of what exceeds a slack on one side (Page 1954), and the points since it was zero: those after the change, if there is one.
type run struct {
	sum  float64 // deviations piled up, in standard deviations, ≥ 0
	n    float64 // points since the sum was 0
	mean float64 // of these points, in units of x
}

const (
	maxDeviation = 8   // standard deviations
	runSlack     = 0.5 // standard deviations: half of a change of one, which it finds best (Moustakides 1986)
	fewestKnown  = 30  // points before there are standard deviations
)

func (r *run) add(x, deviation float64) {
	r.sum += deviation
	if r.sum <= 0 {
		*r = run{}
		return
	}
	r.n++
	r.mean += (x - r.mean) / r.n
}

// told is a change to the points of a run or to others, whichever are the likelier. Neither is all there are.
func told(all, newer bucket, r run) Change {
	best, most := Change{}, -1.0
	for _, of := range [...]bucket{newer, {n: r.n, mean: r.mean}} {
		rest := bucket{n: all.n - of.n, mean: all.mean + (all.mean-of.mean)*(of.n/(all.n-of.n))}
		if l := likelihood(rest, of); l > most {
			best, most = Change{Before: rest.mean, After: of.mean}, l
		}
	}
	return best
}

const runSize = 3 * 8 // bytes of its state

func (r run) append(b []byte) []byte { return appendFloats(b, r.sum, r.n, r.mean) }

// readRun reads from the front of b the run of a stream of n points; ok is false where that is out of range.
func readRun(b []byte, to *run, n float64) (ok bool) {
	return floats(b, &to.sum, &to.n, &to.mean) && to.sum >= 0 && count(to.n) && to.n <= n && value(to.mean)
}
