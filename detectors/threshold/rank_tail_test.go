package threshold

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gonomaly/gonomaly/detectors"
)

// ranked are streams of decades by a law that begins nearly right, and where it goes wrong.
var ranked = map[string]func(r *rand.Rand) func() float64{
	"right": func(r *rand.Rand) func() float64 { return func() float64 { return r.ExpFloat64() * math.Log10E } },
	"four times as many": func(r *rand.Rand) func() float64 {
		return func() float64 { return r.ExpFloat64()*math.Log10E + math.Log10(4) }
	},
	"a third as many": func(r *rand.Rand) func() float64 {
		return func() float64 { return max(0, r.ExpFloat64()*math.Log10E-math.Log10(3)) }
	},
	"in steps of a quarter": func(r *rand.Rand) func() float64 {
		return func() float64 { return math.Floor(r.ExpFloat64()*math.Log10E*4) / 4 }
	},
	"clumps of five": func(r *rand.Rand) func() float64 { return repeated(r, 5) },
	"clumps of five, ten times as many": func(r *rand.Rand) func() float64 {
		next := repeated(r, 5)
		return func() float64 {
			u := next()
			if u > 1 {
				u++
			}
			return u
		}
	},
}

// repeated tells each number so many times.
func repeated(r *rand.Rand, times int) func() float64 {
	i, u := 0, 0.0
	return func() float64 {
		if i%times == 0 {
			u = r.ExpFloat64() * math.Log10E
		}
		i++
		return u
	}
}

// The false alarms that are asked for are those that come once ten of them have had time to: from half to twice as many, but for what the
// proof that is asked for leaves of a law that is far off, in either direction.
func TestRankedFalseAlarms(t *testing.T) {
	bounds := map[string][2]float64{"a third as many": {0.4, 1}, "clumps of five, ten times as many": {1, 3}}
	for name, law := range ranked {
		n := map[float64]int{2: 0, 3: 0}
		const series, from, to = 4, 10_000, 60_000
		for seed := range uint64(series) {
			next, tail := law(rand.New(rand.NewPCG(seed, 0))), NewRankTail()
			for i := range to {
				u := next()
				for decades := range n {
					if i >= from && tail.Decades(u) >= decades {
						n[decades]++
					}
				}
				tail.Learn(u)
			}
		}
		for decades, n := range n {
			b, ok := bounds[name]
			if !ok {
				b = [2]float64{0.5, 2}
			}
			if got := float64(n) * math.Pow(10, decades) / (series * (to - from)); got < b[0] || got > b[1] {
				t.Errorf("%s, 1 in 10^%v: %.2f times as many, want %v to %v", name, decades, got, b[0], b[1])
			}
		}
	}
}

// One clump in a young series, as an anomaly makes it, hardly moves the limit. As many points one by one are an excess, and do.
func TestClumpsDoNotMute(t *testing.T) {
	limit := func(gap int) float64 {
		r, tail := rand.New(rand.NewPCG(1, 1)), NewRankTail()
		for i := range 4000 {
			u := min(r.ExpFloat64()*math.Log10E, 2.4)
			if i >= 1000 && i < 1000+40*gap && i%gap == 0 {
				u = 4
			}
			tail.Learn(u)
		}
		return tail.At(1e-3)
	}
	if got := limit(1); got > 3.1 {
		t.Errorf("after a clump of 40 the limit is %v, want at most 3.1", got)
	}
	if got := limit(70); got < 3.3 {
		t.Errorf("after 40 points one by one the limit is %v, want at least 3.3", got)
	}
}

// One point of 3.2 decades, by hand. It reaches the rungs from 1 to 3; each then has the three points of doubt, and one more of the
// 3 + p that are expected. Rungs beyond have the three alone.
func TestRankTailByHand(t *testing.T) {
	tail := NewRankTail()
	for range young {
		tail.Learn(9) // is not counted
	}
	tail.Learn(3.2)
	for k, got := range tail.times {
		p := math.Pow(10, -1-float64(k)/2)
		want := 3 / (3 + p)
		if k <= 4 {
			want = 4 / (3 + p)
		}
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("rung %d: %v times as many, want %v", k, got, want)
		}
	}
	if tail.n != 1 || tail.storm != 1 || tail.usual != 0 {
		t.Errorf("%+v, want one point, and a storm of one that met none", tail)
	}
	tail.Learn(3.2) // counts as 1/(1 + 127/128): the storm has faded by one in 128
	if want := 1 + 1/(1+127./128); math.Abs(tail.n-want) > 1e-12 {
		t.Errorf("two points in a row weigh %v, want %v", tail.n, want)
	}
}

// Of 100 points that should have reached a rung 400 did: log10(4) less three standard errors of 1/√(4·103) of e-folds.
func TestLiftByHand(t *testing.T) {
	tail := NewRankTail()
	tail.n, tail.times[4] = 1e5, 4
	tail.times[3] = 4 // as many there, lest the rung below stands higher
	if got, want := tail.lift(4), math.Log10(4)-3*math.Log10E/math.Sqrt(4*103); math.Abs(got-want) > 1e-12 {
		t.Errorf("lift = %v, want %v", got, want)
	}
	if got := tail.Decades(3); math.Abs(got-(3-tail.lift(4))) > 1e-12 {
		t.Errorf("at the rung: %v decades, want %v", got, 3-tail.lift(4))
	}
	if tail.times[4] = 1.2; tail.lift(4) != 0 {
		t.Errorf("lift of what may be chance: %v, want 0", tail.lift(4))
	}
	tail.times[4] = 0.5 // half as many are proven by two standard errors
	if got, want := tail.lift(4), math.Log10(0.5)+2*math.Log10E/math.Sqrt(0.5*103); math.Abs(got-want) > 1e-12 || !(got < 0) {
		t.Errorf("lift of half as many = %v, want %v", got, want)
	}
}

// rankTails are estimates of all shapes.
func rankTails() map[string]*RankTail {
	out := map[string]*RankTail{"nothing": {}}
	*out["nothing"] = NewRankTail()
	streams := map[string]func(r *rand.Rand) func() float64{}
	for name, law := range ranked {
		streams[name] = law
	}
	for name, u := range map[string]float64{"always 0": 0, "always 1": 1, "always 3": 3, "always 1e9": detectors.MaxScore} {
		streams[name] = func(*rand.Rand) func() float64 { return func() float64 { return u } }
	}
	for name, law := range streams {
		next, tail := law(rand.New(rand.NewPCG(1, 3))), NewRankTail()
		for range 30_000 {
			tail.Learn(next())
		}
		out[name] = &tail
	}
	return out
}

func TestRankedDecadesIncrease(t *testing.T) {
	for name, tail := range rankTails() {
		if got := tail.Decades(0); got != 0 {
			t.Errorf("%s: Decades(0) = %v, want 0", name, got)
		}
		last := 0.0
		for u := 1e-3; u < 1e12; u *= 1.003 {
			d := tail.Decades(u)
			if d < last || d == last && d < maxDecades || d > u+maxRaise {
				t.Fatalf("%s: Decades(%v) = %v after %v", name, u, d, last)
			}
			last = d
		}
	}
}

// At is the least of the decades whose probability is so low.
func TestRankedAtIsTheLeast(t *testing.T) {
	for name, tail := range rankTails() {
		for d := 0.01; d <= 9; d += 0.01 {
			u := tail.At(math.Pow(10, -d))
			if at, below := tail.Decades(u), tail.Decades(u-1e-6); at < d-1e-9 || below >= d {
				t.Errorf("%s: at %v there are %v decades, and below %v, want %v between them", name, u, at, below, d)
			}
		}
	}
}

func TestRankedRestoreContinues(t *testing.T) {
	next, tail := ranked["clumps of five, ten times as many"](rand.New(rand.NewPCG(1, 4))), NewRankTail()
	for i := range 3000 {
		var restored RankTail
		if err := restored.UnmarshalBinary(rankState(t, &tail)); err != nil {
			t.Fatalf("restore after %d points: %v", i, err)
		}
		u := next()
		tail.Learn(u)
		restored.Learn(u)
		if restored != tail {
			t.Fatalf("after %d points the restored law went its own way: %+v, want %+v", i, restored, tail)
		}
	}
	for name, tail := range rankTails() {
		if err := new(RankTail).UnmarshalBinary(rankState(t, tail)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadRankedStateIsAnError(t *testing.T) {
	fresh := NewRankTail()
	good := rankState(t, &fresh)
	bad := [][]byte{nil, good[:len(good)-1], append(rankState(t, &fresh), 0), append([]byte{9}, good[1:]...)}
	for field := range 3 + levels {
		for _, v := range []float64{math.NaN(), math.Inf(1), -1e3, 1e300} {
			b := rankState(t, &fresh)
			binary.LittleEndian.PutUint64(b[1+8*field:], math.Float64bits(v))
			bad = append(bad, b)
		}
	}
	for _, b := range bad {
		tail := NewRankTail()
		if err := tail.UnmarshalBinary(b); !errors.Is(err, detectors.ErrState) || tail != NewRankTail() {
			t.Errorf("UnmarshalBinary(%x): %v, %+v, want ErrState and no change", b, err, tail)
		}
	}
}

func TestRankTailDoesNotAllocate(t *testing.T) {
	next, tail := ranked["right"](rand.New(rand.NewPCG(1, 5))), NewRankTail()
	if n := testing.AllocsPerRun(1000, func() { u := next(); tail.Decades(u); tail.Learn(u); tail.At(1e-4) }); n > 0 {
		t.Errorf("%v allocations a point, want 0", n)
	}
}

// FuzzRankTail: what is taken for a state is saved as the same bytes, and stays one whatever is learned.
func FuzzRankTail(f *testing.F) {
	for _, tail := range rankTails() {
		f.Add(rankState(f, tail), 3.0)
	}
	f.Fuzz(func(t *testing.T, b []byte, u float64) {
		var tail RankTail
		if tail.UnmarshalBinary(b) != nil {
			return
		}
		if again := rankState(t, &tail); string(again) != string(b) {
			t.Fatalf("%x is saved as %x", b, again)
		}
		if !(u >= 0 && u <= detectors.MaxScore) {
			return
		}
		for range 20 {
			if high, low := tail.Decades(u), tail.Decades(u/2); !(low >= 0 && low <= high && high <= maxDecades) {
				t.Fatalf("%v decades are %v, %v are %v of %+v", u, high, u/2, low, tail)
			}
			tail.Learn(u)
			if err := new(RankTail).UnmarshalBinary(rankState(t, &tail)); err != nil {
				t.Fatalf("after Learn(%v): %v", u, err)
			}
		}
	})
}

func BenchmarkRankTail(b *testing.B) {
	next := ranked["right"](rand.New(rand.NewPCG(1, 6)))
	us := make([]float64, 4096)
	for i := range us {
		us[i] = next()
	}
	b.Run("Learn", func(b *testing.B) {
		b.ReportAllocs()
		tail := NewRankTail()
		for i := 0; b.Loop(); i++ {
			tail.Learn(us[i%len(us)])
		}
	})
	b.Run("Decades", func(b *testing.B) {
		b.ReportAllocs()
		tail := NewRankTail()
		for i := 0; b.Loop(); i++ {
			tail.Decades(us[i%len(us)])
		}
	})
}

func rankState(t testing.TB, tail *RankTail) []byte {
	t.Helper()
	b, err := tail.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
