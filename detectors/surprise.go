package detectors

import "math"

// tail keeps the largest of the last horizon numbers, or of fewer, given to it, and tells how surprising a further one is by its rank among them,
// whatever their distribution: for that nothing but ranks counts.
//
// A moving window and not a decay, because the rate at which noise surprises must not grow as the tail fades.
type tail struct {
	top  [kept]float32 // descending
	born [kept]uint16  // row, modulo 2^16
	seen uint16        // numbers seen, at most horizon
	n    uint8
	next uint8 // index of the entry whose age was looked at last
}

// kept is more than the largest rank that is asked for, so that enough remain when old ones leave.
const kept = 40

// beyond bounds, in nats, what a number may gain by lying farther out than the record.
const beyond = 5

// surprise returns -log10 of the share of numbers that x's rank stands for, 0 unless x is positive and among the ranks largest, and
// more where x exceeds the record: there the tail is continued by an exponential with the mean of the excesses over the smallest of
// the ranks largest, taken for at least so much, for up to most nats. At most (ln(horizon+1) + most) / ln 10.
func (t *tail) surprise(x float64, ranks int, least, most float64) float64 {
	rounded := float32(x)
	if int(t.n) < ranks || !(rounded > 0) || rounded < t.top[ranks-1] {
		return 0
	}
	rank := 0 // ties count against x
	for rank < ranks && t.top[rank] >= rounded {
		rank++
	}
	if rank == ranks {
		return 0
	}
	nats := math.Log((float64(t.seen) + 1) / float64(rank+1))
	if rank == 0 {
		nats += min(most, t.excess(x, ranks, least))
	}
	return max(0, nats/math.Ln10)
}

// excess is how far x lies beyond the record, in nats.
func (t *tail) excess(x float64, ranks int, least float64) float64 {
	smallest, mean := float64(t.top[ranks-1]), 0.0
	for _, v := range t.top[:ranks] {
		mean += float64(v) - smallest
	}
	if mean = max(mean/float64(ranks), least); mean <= 0 {
		return math.Inf(1)
	}
	return (x - float64(t.top[0])) / mean
}

// learn takes in x ≥ 0. What is older than window, at most horizon, counts no longer.
func (t *tail) learn(x float32, row uint64, window uint16) {
	now := uint16(row) //nolint:gosec // modulo 2^16 on purpose
	t.age(now, window)
	t.seen = min(t.seen+1, window)
	if t.n == kept && x <= t.top[kept-1] {
		return
	}
	i := min(int(t.n), kept-1)
	t.n = uint8(i + 1) //nolint:gosec // at most kept
	for ; i > 0 && t.top[i-1] < x; i-- {
		t.top[i], t.born[i] = t.top[i-1], t.born[i-1]
	}
	t.top[i], t.born[i] = x, now
}

// age looks at one entry, the next in turn, and drops it when it has left the window.
func (t *tail) age(now, window uint16) {
	if t.n == 0 {
		return
	}
	t.next = (t.next + 1) % t.n
	if i := int(t.next); now-t.born[i] > window {
		copy(t.top[i:t.n-1], t.top[i+1:t.n])
		copy(t.born[i:t.n-1], t.born[i+1:t.n])
		t.n--
	}
}

func (t *tail) append(b []byte) []byte {
	b = append(b, byte(t.seen), byte(t.seen>>8), t.n, t.next) //nolint:gosec // the low byte, then the high one
	for i := range int(t.n) {
		b = appendFloat32(b, t.top[i])
		b = append(b, byte(t.born[i]), byte(t.born[i]>>8)) //nolint:gosec // the low byte, then the high one
	}
	return b
}

func (t *tail) read(r *reader) {
	*t = tail{seen: r.uint16(), n: r.uint8(), next: r.uint8()}
	if t.n > kept || t.next > kept || t.seen > horizon {
		r.fail("%d of %d numbers kept, at number %d, want at most %d of %d", t.n, t.seen, t.next, kept, horizon)
		return
	}
	high := float32(math.MaxFloat32)
	for i := range int(t.n) {
		t.top[i], t.born[i] = r.float32(0, high), r.uint16()
		high = t.top[i]
	}
}
