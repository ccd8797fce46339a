package detectors

import (
	"encoding/binary"
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
	n         uint64      // points learned
	low, high []float64   // of each field so far
	leaves    []halfSpace // of all trees, one after the other

	// Scratch.
	unit  []float32 // the point, with each field's range as the unit
	found []uint32  // for each tree where in leaves the point lies
	memo  memo      // of the point that this is so for
}

// halfSpace is a leaf.
type halfSpace struct {
	mass   uint32 // of the first node on the way here that holds less than enough of the last full window's points, or else of the leaf: these, times the nodes of that size that fill the space
	last   uint16 // points of the last full window
	latest uint16 // points of this window
}

// detector returns one that has learned nothing.
func (h *halvings) detector() *HalfSpaceTrees {
	return &HalfSpaceTrees{
		halvings: h, low: make([]float64, h.fields), high: make([]float64, h.fields), leaves: make([]halfSpace, h.config.Trees<<h.config.Depth),
		unit: make([]float32, h.fields), found: make([]uint32, h.config.Trees), memo: newMemo(h.fields),
	}
}

// Another implements Sharer.
func (d *HalfSpaceTrees) Another() Detector { return d.detector() }

// turn makes the latest points the reference.
func (d *HalfSpaceTrees) turn() {
	for i := range d.leaves {
		l := &d.leaves[i]
		l.last, l.latest = l.latest, 0
	}
	d.weigh()
}

// weigh sets the masses of all leaves.
func (d *HalfSpaceTrees) weigh() {
	for i := range d.found {
		d.weighBelow(i, d.config.Depth, d.config.Window)
	}
}

// weighBelow sets the masses of the leaves below a node, some levels down, in which there are so many points.
func (d *HalfSpaceTrees) weighBelow(node, down, points int) {
	if points < d.enough() || down == 0 {
		mass := uint32(points << (d.config.Depth - down)) //nolint:gosec // at most 65535 << 15
		leaves := d.below(node, down)
		for i := range leaves {
			leaves[i].mass = mass
		}
		return
	}
	left := d.lastIn(2*node, down-1)
	d.weighBelow(2*node, down-1, left)
	d.weighBelow(2*node+1, down-1, points-left)
}

// below are the leaves some levels below a node.
func (d *HalfSpaceTrees) below(node, down int) []halfSpace { return d.leaves[node<<down:][:1<<down] }

// lastIn is the number of points of the last full window below a node.
func (d *HalfSpaceTrees) lastIn(node, down int) (points int) {
	leaves := d.below(node, down)
	for i := range leaves {
		points += int(leaves[i].last)
	}
	return points
}

// Score returns log2 of how many times more points there would be if all lay with this one in the smallest space: 0 to
// depth + log2(2·trees·window).
func (d *HalfSpaceTrees) Score(p Point) (score float64, ok bool) {
	if d.n < uint64(d.config.Window) { //nolint:gosec // positive
		return 0, false
	}
	d.look(p)
	sum := 0
	for _, at := range d.found {
		sum += int(d.leaves[at].mass)
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
		d.unit[j] = 0
		if x, length := clip(x, huge), d.high[j]-d.low[j]; length > 0 {
			d.unit[j] = float32(clip((x-d.low[j])/length, wide))
		}
	}
	d.find(d.unit, d.found)
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
	for _, at := range d.found {
		d.leaves[at].latest++
	}
	d.n++
	if d.n%uint64(d.config.Window) == 0 { //nolint:gosec // positive
		d.turn()
	}
}

// Bytes implements Detector. The trees are not its own.
func (d *HalfSpaceTrees) Bytes() int {
	return sizeOf[HalfSpaceTrees]() + len(d.leaves)*sizeOf[halfSpace]() + 4*len(d.found) + len(d.unit)*(4+3*8)
}

// Shares credits each field with the halvings on the ways to the leaves: a turn counts by how many times fewer reference points
// there are than half, in halvings.
func (d *HalfSpaceTrees) Shares(p Point, shares []float64) {
	clear(shares)
	d.look(p)
	for _, leaf := range d.found {
		points := int(d.leaves[leaf].last)
		for up := range d.config.Depth {
			node := int(leaf) >> up
			both := points + d.lastIn(node^1, up)
			if both >= d.enough() {
				field := d.levels[d.config.Depth-1-up][node/2].field
				shares[field] += max(0, math.Log2(float64(1+both)/float64(1+points))-1)
			}
			points = both
		}
	}
	normalise(shares)
}

// halfSpaceTreesLaw has the quantiles of 37,500 scores of Gaussian noise in 5 fields, with the defaults; the last one, for what noise never
// reaches, is a guess.
var halfSpaceTreesLaw = law{{0, 0}, {1.80, .3}, {2.46, 1}, {3.20, 2}, {3.97, 3}, {5.43, 4}, {22, 12}}

// Decades interpolates in the table of quantiles.
func (d *HalfSpaceTrees) Decades(score float64) float64 { return halfSpaceTreesLaw.decades(score) }

// ScoreAt is the inverse of Decades.
func (d *HalfSpaceTrees) ScoreAt(decades float64) float64 { return halfSpaceTreesLaw.score(decades) }

const halfSpaceTreesVersion = 1

// AppendBinary appends version, points learned, the ranges and of each leaf the points of both windows: with the defaults 10 KB. The
// trees themselves follow from the seed.
func (d *HalfSpaceTrees) AppendBinary(b []byte) ([]byte, error) {
	b = appendCount(append(b, halfSpaceTreesVersion), d.n)
	for j := range d.low {
		b = appendFloat64(appendFloat64(b, d.low[j]), d.high[j])
	}
	for _, l := range d.leaves {
		b = binary.LittleEndian.AppendUint16(b, l.latest)
		b = binary.LittleEndian.AppendUint16(b, l.last)
	}
	return b, nil
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
	window := uint64(d.config.Window) //nolint:gosec // positive
	reference := uint64(0)
	if d.n >= window {
		reference = window
	}
	counted := func(what string, got int, want uint64) {
		if uint64(got) != want { //nolint:gosec // a sum of counts
			r.fail("a tree counts %d points of %s window, want %d", got, what, want)
		}
	}
	for i := range d.found {
		leaves := d.below(i, d.config.Depth)
		now, before := 0, 0
		for j := range leaves {
			l := &leaves[j]
			l.latest, l.last = r.uint16(), r.uint16()
			now, before = now+int(l.latest), before+int(l.last)
		}
		counted("this", now, d.n%window)
		counted("the last", before, reference)
	}
	if reference > 0 {
		d.weigh()
	}
	return r.end()
}
