package drift

import "slices"

// newest are the last points of a stream, as many as cap(x).
type newest struct {
	x  []float64
	at int // of the oldest, once there are as many as there may be
}

// add takes a point in; once there are as many as there may be, it returns the one that makes room.
func (w *newest) add(x float64) (oldest float64, full bool) {
	if len(w.x) < cap(w.x) {
		w.x = append(w.x, x)
		return 0, false
	}
	oldest = w.x[w.at]
	w.x[w.at] = x
	w.at = (w.at + 1) % len(w.x)
	return oldest, true
}

// point returns the i-th, the oldest first.
func (w *newest) point(i int) float64 { return w.x[(w.at+i)%len(w.x)] }

// sum adds the points from one to before another to b, whose newest point is last.
func (w *newest) sum(b bucket, last float64, from, to int) bucket {
	for i := from; i < to; i++ {
		x := w.point(i)
		b = b.merge(bucket{n: 1, mean: x, steps: (x - last) * (x - last)})
		last = x
	}
	return b
}

// begin is where a change of mean probably began: the points from there on differ most from the rest, see likelihood.
func (w *newest) begin(older bucket) int {
	n, all := len(w.x), older.n+float64(len(w.x))
	sum, total := 0.0, older.n*older.mean
	for _, x := range w.x {
		total += x
	}
	most, from := -1.0, 0
	for i := n - 1; i >= 0; i-- {
		sum += w.point(i)
		after := float64(n - i)
		gap := sum/after - (total-sum)/(all-after)
		if gap *= gap * (after * (all - after)); n-i >= fewestNew && gap > most {
			most, from = gap, i
		}
	}
	return from
}

// forget drops those before from.
func (w *newest) forget(from int) {
	slices.Reverse(w.x[:w.at]) // the three put them in order, the oldest first
	slices.Reverse(w.x[w.at:])
	slices.Reverse(w.x)
	w.x, w.at = append(w.x[:0], w.x[from:]...), 0
}

// append and read are the binary state, 8 bytes a point, the oldest first.
func (w *newest) append(b []byte) []byte {
	for i := range w.x {
		b = appendFloats(b, w.point(i))
	}
	return b
}

// read takes all of b; ok is false where b has more points than there may be, or what is no value.
func (w *newest) read(b []byte) (ok bool) {
	n := len(b) / 8
	if len(b)%8 != 0 || n > cap(w.x) {
		return false
	}
	w.x, w.at = w.x[:n], 0
	ok = true
	for i := range w.x {
		ok = floats(b[8*i:], &w.x[i]) && value(w.x[i]) && ok
	}
	return ok
}
