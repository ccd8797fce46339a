package quality

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// nabCopies change the files in ways that leave their anomalies what they are: what a detector loses on them it had fitted to the files.
// Six are chains drawn at random for each file.
func nabCopies() []nabCopy {
	copies := []nabCopy{
		{"clock + 30 min", clock(1800)}, {"clock + 17 min", clock(1020)}, {"clock + 5 h 45 min", clock(5*3600 + 45*60)},
		{"every other row", thin(false)}, {"means of two rows", thin(true)}, {"rows doubled", double},
		{"upside down", flip}, {"noise added", noise}, {"offset", offset}, {"squashed", squash}, {"roots", root}, {"blown up", blow}, {"coarse", coarse},
		{"first 8 % cut", cut}, {"turned by a quarter", turn(.25)}, {"turned by a half", turn(.5)}, {"turned by three quarters", turn(.75)},
		{"reversed", reverse},
	}
	for i := range 6 {
		copies = append(copies, nabCopy{fmt.Sprintf("mix %d", i+1), mix})
	}
	return copies
}

type nabCopy struct {
	name   string
	change nabChange
}

type nabChange func(f *nabFile, r *rand.Rand) *nabFile

// of makes the copy of each file; the same each time.
func (c nabCopy) of(files []*nabFile, seed uint64) []*nabFile {
	changed := make([]*nabFile, len(files))
	for i, f := range files {
		changed[i] = c.change(f, rand.New(rand.NewPCG(seed, uint64(i)))).settle() //nolint:gosec // no secret, and i ≥ 0
	}
	return changed
}

// settle leaves out windows whose middle, where the label is, lies in the probation, and mutes their rows.
func (f *nabFile) settle() *nabFile {
	s := *f
	s.muted, s.windows = slices.Clone(f.muted), nil
	for _, w := range f.windows {
		if (w[0]+w[1])/2 >= nabProbation(len(f.x))+5 {
			s.windows = append(s.windows, w)
			continue
		}
		for i := w[0]; i <= w[1]; i++ {
			s.muted[i] = true
		}
	}
	return &s
}

// part is the file from row first on, without the rows from end on; windows that are not whole are muted.
func (f *nabFile) part(first, end int) *nabFile {
	p := &nabFile{name: f.name, at: f.at[first:end], x: f.x[first:end], muted: slices.Clone(f.muted[first:end])}
	for _, w := range f.windows {
		if w[0] >= first && w[1] < end {
			p.windows = append(p.windows, [2]int{w[0] - first, w[1] - first})
			continue
		}
		for i := max(w[0], first); i <= min(w[1], end-1); i++ {
			p.muted[i-first] = true
		}
	}
	return p
}

func clock(seconds int64) nabChange {
	return func(f *nabFile, _ *rand.Rand) *nabFile {
		c := *f
		c.at = make([]int64, len(f.at))
		for i, t := range f.at {
			c.at[i] = t + seconds
		}
		return &c
	}
}

// thin makes one row of two: the first, or their mean.
func thin(mean bool) nabChange {
	return func(f *nabFile, _ *rand.Rand) *nabFile {
		c := &nabFile{name: f.name}
		for i := 0; i+2 <= len(f.x); i += 2 {
			x := f.x[i]
			if mean {
				x = (x + f.x[i+1]) / 2
			}
			c.at, c.x, c.muted = append(c.at, f.at[i]), append(c.x, x), append(c.muted, f.muted[i])
		}
		for _, w := range f.windows {
			c.windows = append(c.windows, [2]int{w[0] / 2, min(w[1]/2, len(c.x)-1)})
		}
		return c
	}
}

// double puts a row between any two, somewhere between them.
func double(f *nabFile, r *rand.Rand) *nabFile {
	c := &nabFile{name: f.name}
	for i := range f.x {
		j := max(i-1, 0)
		c.at = append(c.at, (f.at[j]+f.at[i])/2, f.at[i])
		c.x = append(c.x, f.x[j]+(f.x[i]-f.x[j])*r.Float64(), f.x[i])
		c.muted = append(c.muted, f.muted[i], f.muted[i])
	}
	for _, w := range f.windows {
		c.windows = append(c.windows, [2]int{2 * w[0], 2*w[1] + 1})
	}
	return c
}

// values changes each value, given how many standard deviations it lies from the median.
func values(change func(x, z, sd float64, r *rand.Rand) float64) nabChange {
	return func(f *nabFile, r *rand.Rand) *nabFile {
		c := *f
		c.x = slices.Clone(f.x)
		slices.Sort(c.x)
		median, mean, square := c.x[len(c.x)/2], 0.0, 0.0
		for i, x := range f.x {
			d := x - mean
			mean += d / float64(i+1)
			square += d * (x - mean)
		}
		sd := math.Sqrt(square/float64(len(f.x))) + 1e-12
		for i, x := range f.x {
			c.x[i] = change(x, (x-median)/sd, sd, r)
		}
		return &c
	}
}

var (
	flip   = values(func(x, _, _ float64, _ *rand.Rand) float64 { return -x })
	noise  = values(func(x, _, sd float64, r *rand.Rand) float64 { return x + .1*sd*r.NormFloat64() })
	offset = values(func(x, _, sd float64, _ *rand.Rand) float64 { return 37 * (x + 50*sd) })
	squash = values(func(_, z, _ float64, _ *rand.Rand) float64 { return math.Asinh(3 * z) })
	root   = values(func(x, _, _ float64, _ *rand.Rand) float64 { return math.Copysign(math.Sqrt(math.Abs(x)), x) })
	blow   = values(func(_, z, _ float64, _ *rand.Rand) float64 { return z * (1 + math.Abs(z)/2) })
	coarse = values(func(x, _, sd float64, _ *rand.Rand) float64 { return math.Round(x/(sd/4)) * sd / 4 })
)

func cut(f *nabFile, _ *rand.Rand) *nabFile { return f.part(int(.08*float64(len(f.x))), len(f.x)) }

// turn begins with a later row and appends what was before it; time goes on, in phase with the day where the rows' distance allows. The
// first rows after the seam are muted.
func turn(share float64) nabChange {
	return func(f *nabFile, _ *rand.Rand) *nabFile {
		const day = 86400
		n := len(f.x)
		gaps := make([]int64, n-1)
		for i := range gaps {
			gaps[i] = f.at[i+1] - f.at[i]
		}
		slices.Sort(gaps)
		step := max(1, gaps[len(gaps)/2])
		first := int(share * float64(n))
		if rows := int(day / step); rows > 1 && first > rows {
			first -= first % rows
		}
		for _, w := range f.windows { // not inside a window
			if first >= w[0] && first <= w[1] {
				first = min(w[1]+1, n-1)
			}
		}
		c, rest := f.part(first, n), f.part(0, first)
		seam := len(c.x)
		later := f.at[n-1] + step - f.at[0]
		later += (day - later%day) % day
		c.x = slices.Concat(c.x, rest.x)
		c.at = slices.Concat(c.at, clock(later)(rest, nil).at)
		c.muted = slices.Concat(c.muted, rest.muted)
		for i := seam; i < min(n, seam+n/50); i++ {
			c.muted[i] = true
		}
		for _, w := range rest.windows {
			c.windows = append(c.windows, [2]int{w[0] + seam, w[1] + seam})
		}
		return c
	}
}

func reverse(f *nabFile, _ *rand.Rand) *nabFile {
	n := len(f.x)
	c := &nabFile{name: f.name, x: slices.Clone(f.x), muted: slices.Clone(f.muted)}
	slices.Reverse(c.x)
	slices.Reverse(c.muted)
	for i := range n {
		c.at = append(c.at, f.at[0]+f.at[n-1]-f.at[n-1-i])
	}
	for _, w := range slices.Backward(f.windows) {
		c.windows = append(c.windows, [2]int{n - 1 - w[1], n - 1 - w[0]})
	}
	return c
}

// mix draws a chain of the above.
func mix(f *nabFile, r *rand.Rand) *nabFile {
	sometimes := func(p float64, changes ...nabChange) {
		if r.Float64() < p {
			f = changes[r.IntN(len(changes))](f, r).settle()
		}
	}
	sometimes(.6, turn(.25), turn(.5), turn(.75), reverse, cut)
	sometimes(.3, thin(false), thin(true), double)
	sometimes(.4, flip)
	sometimes(.5, squash, root, blow, noise, coarse, offset)
	return clock(r.Int64N(7*86400))(f, r)
}
