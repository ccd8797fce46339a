package pipeline

func (w *window) append(b []byte) []byte {
	b = appendInt(b, w.start)
	b = appendInt(b, int64(w.count))
	for i := range w.values {
		a := &w.values[i]
		for _, v := range [...]float64{a.sum, a.min, a.max, a.mean, a.m2, a.increase} {
			b = appendFloat(b, v)
		}
		if a.p50 != nil {
			b = a.p50.append(b)
		}
		if a.p99 != nil {
			b = a.p99.append(b)
		}
	}
	return b
}

func readWindow(r *stateReader, p *plan) *window {
	start := r.int()
	w := newWindow(p.config.Window, start, len(p.config.Decode.Values))
	w.count = int(r.int())
	if r.err == nil && (w.count < 1 || w.start != p.config.Window.startOf(w.start)) {
		r.fail("a window at %d with %d samples", w.start, w.count)
	}
	for i := range w.values {
		a := &w.values[i]
		// Sums of finite values may leave the range of float64; they are clamped only when a point is made of them.
		for _, v := range [...]*float64{&a.sum, &a.min, &a.max, &a.mean, &a.m2, &a.increase} {
			*v = r.number()
		}
		if a.p50 != nil {
			a.p50.read(r)
		}
		if a.p99 != nil {
			a.p99.read(r)
		}
	}
	return w
}

func (q *quantile) append(b []byte) []byte {
	b = appendInt(b, int64(q.n))
	if q.n < exactQuantile {
		for _, x := range q.first[:q.n] {
			b = appendFloat(b, x)
		}
		return b
	}
	for i := range q.at {
		b = appendFloat(appendFloat(b, q.at[i]), q.height[i])
	}
	return b
}

func (q *quantile) read(r *stateReader) {
	q.n = int(r.int())
	switch {
	case q.n < 0:
		r.fail("a quantile of %d values", q.n)
	case q.n < exactQuantile:
		for i := range q.n {
			q.first[i] = r.float()
		}
	default:
		for i := range q.at {
			q.at[i], q.height[i] = r.float(), r.number()
			if i > 0 && !(q.at[i] > q.at[i-1]) {
				r.fail("a quantile's markers stand at %v", q.at)
			}
		}
	}
}
