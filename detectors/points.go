package detectors

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// PointsConfig configures a Points.
type PointsConfig struct {
	Memory  int    `yaml:"memory" jsonschema:"minimum=256,maximum=1000000000,default=5000" jsonschema_description:"Points that a remembered one stays for, on average."`
	Lasting int    `yaml:"lasting" jsonschema:"minimum=64,maximum=1000000000,default=2000" jsonschema_description:"Odd points in a row after which they are taken for the new normal."`
	Seed    uint64 `yaml:"seed" jsonschema:"default=1" jsonschema_description:"Seed of what is remembered."`
}

// mostFields bounds the cost of a point, which grows with the square of the fields.
const mostFields = 256

// New returns a Points for points of the given number of fields.
func (c *PointsConfig) New(fields int) (Detector, error) {
	var errs []error
	if c.Memory < remembers || c.Memory > 1e9 {
		errs = append(errs, &invalid.Value{Name: "memory", Value: c.Memory, Want: "256 to 1000000000"})
	}
	if c.Lasting < 64 || c.Lasting > 1e9 {
		errs = append(errs, &invalid.Value{Name: "lasting", Value: c.Lasting, Want: "64 to 1000000000"})
	}
	if fields > mostFields {
		errs = append(errs, &invalid.Value{Name: "values", Value: fields, Want: "at most 256 of them"})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	d := &Points{
		config: *c, random: rand.NewPCG(c.Seed, 0),
		rows:   newRows(fields),
		shifts: shifts{fields: make([]shift, fields), raw: make([]float64, fields), decades: make([]float64, fields), past: newExcursions(runsEnd)},
		past:   newExcursions(runsEnd),
		point:  make([]float64, fields), memo: newMemo(fields),
	}
	for j := range d.shifts.fields {
		d.shifts.fields[j] = shift{streak: newStreak(), past: newExcursions(runsEnd)}
	}
	return d, nil
}

// Points scores a point by how odd it is as a row, whatever its neighbours in time, and by how far its fields have just left their
// levels, or for how long they are stuck: in decades, the larger of the two.
//
// As a row it is seen in four views: the nearest of the remembered points, in many small samples, also as a multiple of how far those lie from
// each other; the tails of the fields; the gaps between their common values; their covariance. What is odder than three deviations is not learned,
// so that a burst of alike anomalies stays odd, until it has lasted. A change of level counts by Student's law with degrees of freedom from the
// field's own correlation time.
// Both are held against their own past, by the rank among the largest of the last 20,000 points, and what either claims against that of both: two that
// are right once in a thousand points each are wrong together.
//
// Small samples: Ting, Washio, Wells, Aryal (2017), "Defying the Gravity of Learning Curve: A Characteristic of Nearest Neighbour Anomaly
// Detectors", Machine Learning 106, section 3. Tails summed over fields: Li, Zhao, Botta, Ionescu, Hu (2020), "COPOD: Copula-Based Outlier Detection",
// ICDM. The degrees of freedom: Bartlett (1935), "Some Aspects of the Time-Correlation Problem", JRSS 98(3). The guard, and how the views are
// put together, are our own.
type Points struct {
	config PointsConfig
	random *rand.PCG
	rows   rows
	shifts shifts
	past   excursions // of what either of them claims

	// Scratch.
	point []float64 // the point's values, bounded
	memo  memo      // of the point that seen is about
	seen  sight
}

// sight is what a Points makes of a point.
type sight struct {
	row   glance
	level float64 // decades by which the fields have left their levels
	odder float64 // the row's, or the level's where it can be claimed to be rare, see leastClaim
	score float64 // the same, held against the past of both
}

// unclaimed is what a point is worth at least that one part claims, but the past of both knows to be common: more than nearly all that neither does.
const unclaimed = 2.9

// shifted says that a change of level counts.
func (s *sight) shifted() bool { return s.level >= leastClaim }

// Score returns decades, 0 to MaxScore.
func (d *Points) Score(p Point) (score float64, ok bool) {
	s := d.look(p)
	return s.score, d.rows.n >= untotalled
}

// Left implements Detector.
func (d *Points) Left() int { return left(untotalled, d.rows.n) }

// look judges p, or remembers that it has: Learn needs what Score found.
func (d *Points) look(p Point) *sight {
	if d.memo.is(p.X) {
		return &d.seen
	}
	for j, x := range p.X {
		d.point[j] = clip(x, widest)
		d.rows.x[j] = float32(d.point[j])
	}
	s := &d.seen
	*s = sight{row: d.rows.look(d.point), level: d.shifts.look(d.point)}
	s.odder = min(s.row.calm, MaxScore)
	if s.shifted() {
		s.odder = min(max(s.odder, s.level), MaxScore)
	}
	if s.score = s.odder; s.claims() {
		s.score = min(s.odder, max(d.past.surprise(s.odder, max(float64(min(d.shifts.n, horizon)), 2*youngStream)), unclaimed))
	}
	return s
}

// claims says that a part has it that the point is rare.
func (s *sight) claims() bool { return s.odder >= leastClaim }

// harmonicMean combines p-values that may depend on each other, all in decades, by their harmonic mean: Wilson (2019), "The Harmonic
// Mean p-Value for Combining Dependent Tests", PNAS 116(4). Where the least of them is not rare enough to count it stands for all.
func harmonicMean(decades []float64) float64 {
	most := slices.Max(decades)
	if most < leastClaim {
		return 0
	}
	sum := 0.0
	for _, s := range decades {
		if s > most-decadesThatMatter {
			sum += math.Pow(10, s-most)
		}
	}
	return most + math.Log10(sum/float64(len(decades)))
}

const decadesThatMatter = 3 // below the most: a thousandth of it

// Learn takes p in.
func (d *Points) Learn(p Point) {
	s := d.look(p)
	d.rows.learn(d.point, &s.row, &d.config, d.random)
	claimed := 0.0
	if s.claims() {
		claimed = s.odder
	}
	d.past.learn(claimed, d.shifts.n)
	d.shifts.learn(d.point)
	d.memo.forget()
}

// Bytes implements Detector.
func (d *Points) Bytes() int {
	return sizeOf[Points]() + sizeOf[rand.PCG]() + d.rows.bytes() + d.shifts.bytes() + 2*8*len(d.point)
}

// Ranked says that both parts are held against their own past.
func (d *Points) Ranked() {}

// Decades is the score itself.
func (d *Points) Decades(score float64) float64 { return min(max(score, 0), MaxScore) }

// ScoreAt is its inverse.
func (d *Points) ScoreAt(decades float64) float64 { return min(max(decades, 0), MaxScore) }

const pointsVersion = 5

// AppendBinary appends version, the generator, the rows, the shifts and the past of both: with 8 fields 11 KB.
func (d *Points) AppendBinary(b []byte) ([]byte, error) {
	b, err := d.random.AppendBinary(append(b, pointsVersion))
	if err != nil {
		return nil, err
	}
	return d.past.append(d.shifts.append(d.rows.append(b))), nil
}

// UnmarshalBinary restores what AppendBinary wrote, or did in version 4.
func (d *Points) UnmarshalBinary(b []byte) error {
	d.memo.forget()
	version := byte(pointsVersion)
	if len(b) > 0 && b[0] == pointsVersion-1 {
		version = b[0]
	}
	r := newReader(b, version)
	r.generator(d.random)
	d.rows.read(r, version == pointsVersion)
	d.shifts.read(r, version == pointsVersion)
	d.past.read(r)
	return r.end()
}
