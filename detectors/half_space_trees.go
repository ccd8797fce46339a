package detectors

import (
	"errors"
	"math"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// HalfSpaceTreesConfig configures HalfSpaceTrees.
type HalfSpaceTreesConfig struct {
	Trees  int    `yaml:"trees" jsonschema:"minimum=1,maximum=256,default=25" jsonschema_description:"Trees whose opinions are added up."`
	Depth  int    `yaml:"depth" jsonschema:"minimum=1,maximum=15,default=8" jsonschema_description:"Halvings from a root to its leaves."`
	Window int    `yaml:"window" jsonschema:"minimum=16,maximum=65535,default=250" jsonschema_description:"Points that are counted, and then are what the next as many are held against."`
	Seed   uint64 `yaml:"seed" jsonschema:"default=1" jsonschema_description:"Seed of the random halvings."`
}

// New returns HalfSpaceTrees for points of the given number of fields.
func (c *HalfSpaceTreesConfig) New(fields int) (Detector, error) {
	var errs []error
	check := func(name string, value, low, high int, want string) {
		if value < low || value > high {
			errs = append(errs, &invalid.Value{Name: name, Value: value, Want: want})
		}
	}
	check("trees", c.Trees, 1, 256, "1 to 256")
	check("depth", c.Depth, 1, 15, "1 to 15")
	check("window", c.Window, 16, math.MaxUint16, "16 to 65535")
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return newHalvings(*c, fields).detector(), nil
}

// HalfSpaceTrees scores a point by how few points of the last full window lie where it does, in trees that halve the space at random
// and without looking at the points.
//
// It is the cheapest of the detectors for points of several fields, and the coarsest. Tan, Ting, Liu (2011), "Fast Anomaly Detection for Streaming
// Data", IJCAI, algorithms 1 to 3. They take the fields' ranges for known; here a point is placed by the ranges so far, which its own
// values stretch when it is learned.
type HalfSpaceTrees struct {
	*halvings
	n         uint64    // points learned
	low, high []float64 // of each field so far

	// The leaves of all trees, one after the other: in half of the memory where the numbers have room in that.
	small []uint32
	large []uint64

	// Scratch.
	x     []halving // the point, with each field's range as the unit, as find takes it
	found []uint32  // for each tree which of the leaves the point lies in
	memo  memo      // of the point that this is so for
}

// detector returns one that has learned nothing.
func (h *halvings) detector() *HalfSpaceTrees {
	d := &HalfSpaceTrees{halvings: h, x: make([]halving, h.fields), found: make([]uint32, h.config.Trees)}
	numbers := make([]float64, 3*h.fields) // side by side, for a point needs them all
	d.low, d.high, d.memo.x = numbers[:h.fields], numbers[h.fields:2*h.fields], numbers[2*h.fields:]
	if leaves := h.config.Trees << h.config.Depth; h.config.small() {
		d.small = make([]uint32, leaves)
	} else {
		d.large = make([]uint64, leaves)
	}
	return d
}

// Another implements Sharer.
func (d *HalfSpaceTrees) Another() Detector { return d.detector() }

// Score returns log2 of how many times more points there would be if all lay with this one in the smallest space: 0 to
// depth + log2(2·trees·window).
func (d *HalfSpaceTrees) Score(p Point) (score float64, ok bool) {
	if d.n < uint64(d.config.Window) { //nolint:gosec // positive
		return 0, false
	}
	d.look(p)
	sum := 0
	if d.small != nil {
		sum = masses(d.small, d.found)
	} else {
		sum = masses(d.large, d.found)
	}
	most := d.config.Trees * d.config.Window << d.config.Depth
	return math.Log2((float64(most) + 0.5) / (float64(sum) + 0.5)), true
}

// look finds p's leaves.
func (d *HalfSpaceTrees) look(p Point) {
	if d.memo.is(p.X) {
		return
	}
	for j, x := range p.X {
		unit := 0.0
		if x, length := clip(x, huge), d.high[j]-d.low[j]; length > 0 {
			unit = clip((x-d.low[j])/length, wide)
		}
		d.x[j] = below(float32(unit))
	}
	d.find(d.x, d.found)
}

// Left implements Detector.
func (d *HalfSpaceTrees) Left() int { return left(uint64(d.config.Window), d.n) } //nolint:gosec // positive

// Learn counts p, where the ranges place it that it has stretched.
func (d *HalfSpaceTrees) Learn(p Point) {
	for j, x := range p.X {
		x = clip(x, huge)
		if d.n == 0 {
			d.low[j], d.high[j] = x, x
		}
		if x < d.low[j] || x > d.high[j] {
			d.low[j], d.high[j] = min(d.low[j], x), max(d.high[j], x)
			d.memo.forget()
		}
	}
	d.look(p)
	d.memo.forget() // the next point may end the window
	d.n++
	ends := d.n%uint64(d.config.Window) == 0 //nolint:gosec // positive
	if d.small != nil {
		learnIn(d.small, d.found, ends, d.halvings)
	} else {
		learnIn(d.large, d.found, ends, d.halvings)
	}
}

// Bytes implements Detector. The trees are not its own.
func (d *HalfSpaceTrees) Bytes() int {
	return sizeOf[HalfSpaceTrees]() + 4*(len(d.small)+2*len(d.large)+len(d.found)) + 8*4*d.fields
}

// Shares credits each field with the halvings on the ways to the leaves: a turn counts by how many times fewer reference points
// there are than half, in halvings.
func (d *HalfSpaceTrees) Shares(p Point, shares []float64) {
	clear(shares)
	d.look(p)
	for _, leaf := range d.found {
		points := d.last(int(leaf), 0)
		for up := range d.config.Depth {
			both := points + d.last(int(leaf)>>up^1, up)
			if both >= d.enough() {
				shares[d.fieldAbove(int(leaf), up)] += max(0, math.Log2(float64(1+both)/float64(1+points))-1)
			}
			points = both
		}
	}
	normalise(shares)
}

// last is the number of points of the last full window below a node so many levels above the leaves.
func (d *HalfSpaceTrees) last(node, up int) (last int) {
	if d.small != nil {
		_, last = pointsIn(d.small[node<<up:][:1<<up])
	} else {
		_, last = pointsIn(d.large[node<<up:][:1<<up])
	}
	return last
}

// halfSpaceTreesLaw has the quantiles of 37,500 scores of Gaussian noise in 5 fields, with the defaults; the last one, for what noise never
// reaches, is a guess.
var halfSpaceTreesLaw = law{{0, 0}, {1.80, .3}, {2.46, 1}, {3.20, 2}, {3.97, 3}, {5.43, 4}, {22, 12}}

// Decades interpolates in the table of quantiles.
func (d *HalfSpaceTrees) Decades(score float64) float64 { return halfSpaceTreesLaw.decades(score) }

// ScoreAt is the inverse of Decades.
func (d *HalfSpaceTrees) ScoreAt(decades float64) float64 { return halfSpaceTreesLaw.score(decades) }

const halfSpaceTreesVersion = 1

// AppendBinary appends version, points learned, the ranges and of each leaf the points of both windows: with the defaults 26 KB. The
// trees themselves follow from the seed.
func (d *HalfSpaceTrees) AppendBinary(b []byte) ([]byte, error) {
	b = appendCount(append(b, halfSpaceTreesVersion), d.n)
	for j := range d.low {
		b = appendFloat64(appendFloat64(b, d.low[j]), d.high[j])
	}
	if d.small != nil {
		return appendPoints(b, d.small), nil
	}
	return appendPoints(b, d.large), nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (d *HalfSpaceTrees) UnmarshalBinary(b []byte) error {
	d.memo.forget()
	r := newReader(b, halfSpaceTreesVersion)
	d.n = r.count()
	for j := range d.low {
		d.low[j] = r.float64(-huge, huge)
		d.high[j] = r.float64(d.low[j], huge)
	}
	if d.small != nil {
		readPoints(r, d.small, d.n, d.halvings)
	} else {
		readPoints(r, d.large, d.n, d.halvings)
	}
	return r.end()
}
