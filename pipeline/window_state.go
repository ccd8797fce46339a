package pipeline

func (w *window) append(b []byte) []byte {
	b = appendInt(b, w.start)
	b = appendInt(b, int64(w.count))
	b = appendFloats(b, w.samples) // none says that they are gathered
	for i := range w.values {
		a := &w.values[i]
		for _, v := range [...]float64{a.sum, a.min, a.max, a.mean, a.m2} {
			b = appendFloat(b, v)
		}
	}
	for i := range w.quantiles {
		q := &w.quantiles[i]
		for j := range q.at {
			b = appendFloat(appendFloat(b, q.at[j]), q.height[j])
		}
	}
	for _, x := range w.increase {
		b = appendFloat(b, x)
	}
	return b
}

func readWindow(r *stateReader, p *plan) *window {
	values, c := len(p.config.Decode.Values), p.config.Window
	w := newWindow(c, r.int(), values)
	w.count = int(r.int())
	if r.err == nil && (w.count < 1 || w.start != c.startOf(w.start)) {
		r.fail("a window at %d with %d samples", w.start, w.count)
	}
	if r.version < rows {
		w.readGathered(r, values, c)
		return w
	}
	w.samples = readFloats(r)
	switch n := len(w.samples); {
	case n > 0 && (w.count >= small || n != w.count*values):
		r.fail("a window with %d samples that has %d values of them, want %d each", w.count, n, values)
	case n == 0:
		w.values = make([]aggregate, values)
		for i := range w.values {
			w.values[i].read(r)
		}
		for range values {
			for _, p := range c.quantiles() {
				q := quantile{p: p, n: w.count}
				q.read(r)
				w.quantiles = append(w.quantiles, q)
			}
		}
	}
	for i := range w.increase {
		w.increase[i] = r.number()
	}
	return w
}

// read reads sums of finite values. They may leave the range of float64, and are clamped only when a point is made of them.
func (a *aggregate) read(r *stateReader) {
	for _, v := range [...]*float64{&a.sum, &a.min, &a.max, &a.mean, &a.m2} {
		*v = r.number()
	}
}

func (q *quantile) read(r *stateReader) {
	for i := range q.at {
		q.at[i], q.height[i] = r.float(), r.number()
		if i > 0 && !(q.at[i] > q.at[i-1]) {
			r.fail("a quantile's markers stand at %v", q.at)
		}
	}
}

// readGathered reads what the version before wrote, which gathered the samples of all windows. Quantiles had the first of them as they are,
// and so a small window has its samples back, if it has quantiles.
func (w *window) readGathered(r *stateReader, values int, c *WindowConfig) {
	ps := c.quantiles()
	w.values = make([]aggregate, values)
	isSmall := len(ps) > 0 && w.count < small
	if isSmall && r.err == nil {
		w.samples = make([]float64, w.count*values)
	}
	for i := range w.values {
		w.values[i].read(r)
		if increase := r.number(); w.increase != nil {
			w.increase[i] = increase
		}
		for _, p := range ps {
			q := quantile{p: p, n: int(r.int())}
			switch {
			case q.n != w.count:
				r.fail("a quantile of %d values in a window with %d samples", q.n, w.count)
			case isSmall:
				for n := range w.count {
					w.samples[n*values+i] = r.float()
				}
			default:
				q.read(r)
				w.quantiles = append(w.quantiles, q)
			}
			if r.err != nil {
				return
			}
		}
	}
	if isSmall {
		w.values = w.values[:0]
	}
}
