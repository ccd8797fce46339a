package detectors

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// CutForestConfig configures a CutForest.
type CutForestConfig struct {
	Trees  int    `yaml:"trees" jsonschema:"minimum=1,maximum=256,default=50" jsonschema_description:"Trees whose opinions are averaged."`
	Sample int    `yaml:"sample" jsonschema:"minimum=16,maximum=4096,default=256" jsonschema_description:"Points that each tree remembers."`
	Memory int    `yaml:"memory" jsonschema:"minimum=16,maximum=1000000000,default=2560" jsonschema_description:"Points that a remembered one stays for, on average; at least sample."`
	Seed   uint64 `yaml:"seed" jsonschema:"default=1" jsonschema_description:"Seed of the samples and the cuts."`
}

// New returns a CutForest for points of the given number of fields.
func (c *CutForestConfig) New(fields int) (Detector, error) {
	var errs []error
	check := func(name string, value, low, high int, want string) {
		if value < low || value > high {
			errs = append(errs, &invalid.Value{Name: name, Value: value, Want: want})
		}
	}
	check("trees", c.Trees, 1, 256, "1 to 256")
	check("sample", c.Sample, 16, 4096, "16 to 4096")
	check("memory", c.Memory, c.Sample, 1e9, "sample to 1000000000")
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	f := &CutForest{config: *c, random: rand.NewPCG(c.Seed, 0), trees: make([]cutTree, c.Trees), point: make([]float32, fields)}
	for i := range f.trees {
		f.trees[i] = newCutTree(c.Sample, fields)
	}
	return f, nil
}

// CutForest scores a point by how soon cuts at random would set it apart from the points of a sample, were it among them: a robust
// random cut forest.
//
// A field is cut with a probability in proportion to its range, so that fields need like units. With the window option `last` a point is a
// shingle of a series, and what is found odd is its shape. Guha, Mishra, Roy, Schrijvers (2016), "Robust Random Cut Forest Based Anomaly Detection on
// Streams", ICML, algorithms 1 and 2 of section 3; the score is the expected inverse depth of Amazon's implementation. A sample forgets
// exponentially: Aggarwal (2006), "On Biased Reservoir Sampling in the Presence of Stream Evolution", VLDB, section 2.
type CutForest struct {
	config CutForestConfig
	random *rand.PCG
	n      uint64 // points learned
	trees  []cutTree

	point []float32 // scratch: the point in float32
}

// cutWarmUp is the number of points before the first score: a quarter of the default sample.
const cutWarmUp = 64

// Score returns the expected inverse depth of the point, on average over the trees, in units of that of a balanced tree's leaf; above 0, at most 13.
func (f *CutForest) Score(p Point) (score float64, ok bool) {
	if f.n < cutWarmUp {
		return 0, false
	}
	f.take(p)
	sum := 0.0
	for i := range f.trees {
		sum += f.trees[i].score(f.point, nil)
	}
	return sum / float64(len(f.trees)) * math.Log2(float64(f.size()+1)), true
}

// size is the number of points in each sample.
func (f *CutForest) size() int { return int(min(f.n, uint64(f.config.Sample))) } //nolint:gosec // at most the sample

func (f *CutForest) take(p Point) {
	for i := range f.point {
		f.point[i] = float32(clip(p.X[i], widest)) + 0 // no minus zero, which is no other value
	}
}

// Left implements Detector.
func (f *CutForest) Left() int { return left(cutWarmUp, f.n) }

// Learn gives p a place in each sample that is not full, and in the others with the probability that keeps a point for as long as
// memory says.
func (f *CutForest) Learn(p Point) {
	f.take(p)
	slot := f.size()
	f.n++
	rate := max(1/float64(f.config.Memory), 1/float64(f.n)) * float64(f.config.Sample)
	for i := range f.trees {
		t := &f.trees[i]
		if slot < f.config.Sample {
			t.insert(f, slot)
		} else if uniform(f.random) < rate {
			out := int(f.random.Uint64() % uint64(f.config.Sample)) //nolint:gosec // less than the sample
			t.remove(out)
			t.insert(f, out)
		}
	}
}

// Bytes implements Detector.
func (f *CutForest) Bytes() int {
	t := &f.trees[0]
	tree := sizeOf[cutTree]() + len(t.nodes)*sizeOf[cutNode]() + 4*len(t.bounds) + 2*(len(t.leaf)+len(t.free))
	return sizeOf[CutForest]() + sizeOf[rand.PCG]() + len(f.trees)*tree + 4*len(f.point)
}

// Shares splits the score among the fields: what a cut adds to it is split by how far each field lies outside of the bounds.
func (f *CutForest) Shares(p Point, shares []float64) {
	f.take(p)
	clear(shares)
	for i := range f.trees {
		f.trees[i].score(f.point, shares)
	}
	normalise(shares)
}

// cutForestLaw has the quantiles of 37,500 scores of Gaussian noise in 5 fields, with the defaults; the last one, for what noise never
// reaches, is a guess.
var cutForestLaw = law{{0, 0}, {.69, .3}, {.99, 1}, {1.39, 2}, {1.71, 3}, {2.13, 4}, {13, 12}}

// Decades interpolates in the table of quantiles.
func (f *CutForest) Decades(score float64) float64 { return cutForestLaw.decades(score) }

// ScoreAt is the inverse of Decades.
func (f *CutForest) ScoreAt(decades float64) float64 { return cutForestLaw.score(decades) }

const cutForestVersion = 1

// AppendBinary appends version, points learned, the generator and the trees.
func (f *CutForest) AppendBinary(b []byte) ([]byte, error) {
	b = appendCount(append(b, cutForestVersion), f.n)
	b, err := f.random.AppendBinary(b)
	if err != nil {
		return nil, err
	}
	for i := range f.trees {
		b = f.trees[i].append(b, f.size())
	}
	return b, nil
}

// UnmarshalBinary restores what AppendBinary wrote.
func (f *CutForest) UnmarshalBinary(b []byte) error {
	r := newReader(b, cutForestVersion)
	f.n = r.count()
	r.generator(f.random)
	for i := range f.trees {
		if f.trees[i].read(r, f.size()); r.err != nil {
			break
		}
	}
	return r.end()
}
