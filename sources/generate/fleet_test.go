package generate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// report is an event as its reader sees it.
type report struct {
	Machine                              string
	TS                                   int64
	Temp, Pressure, RPM, Vibration, Load float64
}

func (r report) values() [len(sensors)]float64 {
	return [...]float64{temp: r.Temp, pressure: r.Pressure, rpm: r.RPM, vibration: r.Vibration, load: r.Load}
}

func newFleet(t testing.TB, c FleetConfig) *Fleet {
	t.Helper()
	f, err := NewFleet(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// take copies the first n events.
func take(events iter.Seq[Event], n int) []Event {
	var all []Event
	for e := range events {
		if len(all) == n {
			break
		}
		e.Key, e.Value = slices.Clone(e.Key), slices.Clone(e.Value)
		all = append(all, e)
	}
	return all
}

func TestFleetEvents(t *testing.T) {
	start := time.Date(2026, 3, 1, 6, 30, 0, 0, time.UTC)
	f := newFleet(t, FleetConfig{Seed: 1, Machines: 4300, Start: start})
	size, last := 0, int64(0)
	for i, e := range take(f.Events(), 2*4300) {
		var r report
		if err := json.Unmarshal(e.Value, &r); err != nil {
			t.Fatalf("%s: %v", e.Value, err)
		}
		if want := fmt.Sprintf("machine-%06d", i%4300); r.Machine != want || string(e.Key) != want {
			t.Fatalf("event %d is of %s, key %s, want %s", i, r.Machine, e.Key, want)
		}
		at := time.UnixMilli(r.TS).UTC()
		if minute := start.Add(time.Duration(i/4300) * time.Minute); at.Truncate(time.Minute) != minute || at.UnixNano() != e.Time || e.Time < last {
			t.Fatalf("event %d is of %v and %d after %d, want within the minute from %v", i, at, e.Time, last, minute)
		}
		last = e.Time
		size += len(e.Value)
	}
	if mean := float64(size) / (2 * 4300); math.Abs(mean-186) > 4 {
		t.Errorf("%.1f bytes an event, want about 186", mean)
	}
}

func TestFleetIsAFunctionOfItsSeed(t *testing.T) {
	text := func(seed uint64) string {
		var b strings.Builder
		for e := range newFleet(t, FleetConfig{Seed: seed, Machines: 3, Anomalies: 50}).Events() {
			if b.Write(e.Value); b.Len() > 200_000 {
				return b.String()
			}
		}
		return ""
	}
	if text(1) != text(1) {
		t.Error("one seed gives two sequences")
	}
	if text(1) == text(2) {
		t.Error("two seeds give one sequence")
	}
}

// What Injections tells, Events does; nothing comes in the warm-up, nothing overlaps, and the rate is as asked for.
func TestFleetInjections(t *testing.T) {
	const machines, points, warmUp, rate = 20, 6000, 500, 20
	f := newFleet(t, FleetConfig{Seed: 7, Machines: machines, Anomalies: rate, WarmUp: warmUp})
	const events = machines*points + 7 // the last minute is not complete
	want := f.Injections(events)
	var got []Injection
	for _, e := range take(f.Events(), events) {
		if e.Injection != nil {
			if string(e.Key) != e.Injection.Machine || e.Injection.Start.UnixNano() != e.Time {
				t.Fatalf("%+v begins with an event of %s at %d", *e.Injection, e.Key, e.Time)
			}
			got = append(got, *e.Injection)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("Events injects %d anomalies, Injections tells %d", len(got), len(want))
	}
	// Poisson would stray by the root of the number; the cool-down makes it stray less.
	if expected := float64(rate) * machines * (points - warmUp) / 1e4; math.Abs(float64(len(got))-expected) > 3*math.Sqrt(expected) {
		t.Errorf("%d injections, want about %.0f", len(got), expected)
	}
	kinds, free := map[Kind]int{}, map[string]time.Time{}
	for _, in := range got {
		kinds[in.Kind]++
		from, ok := free[in.Machine]
		if !ok {
			from = f.c.Start.Add(warmUp * time.Minute)
		}
		if in.Start.Before(from) || in.End.Before(in.Start) {
			t.Errorf("%+v, want none before %v", in, from)
		}
		free[in.Machine] = in.End.Add(coolDown * time.Minute)
	}
	if len(kinds) != len(disturbances) {
		t.Errorf("kinds %v, want all %d", kinds, len(disturbances))
	}
	if n := newFleet(t, FleetConfig{Seed: 7, Machines: 2}).Injections(1e6); len(n) > 0 {
		t.Errorf("%d injections where none are asked for", len(n))
	}
}

// An injection stands out: within five points its field is 6 standard deviations or more off the same event of an undisturbed fleet, a
// stuck sensor shows nothing but 0, and an ordinary point is that of the undisturbed fleet.
func TestFleetInjectionsStandOut(t *testing.T) {
	const machines, events = 10, 10 * 4000
	sick := newFleet(t, FleetConfig{Seed: 3, Machines: machines, Anomalies: 40, WarmUp: 100})
	well := newFleet(t, FleetConfig{Seed: 3, Machines: machines})
	all := sick.Injections(events)
	a, b := take(sick.Events(), events), take(well.Events(), events)
	seen := make([]float64, len(all)) // standard deviations within the first five points
	for i := range a {
		x, y := parse(t, a[i]), parse(t, b[i])
		disturbed := false
		for j, in := range all {
			at := time.Unix(0, a[i].Time)
			if in.Machine != x.Machine || at.Before(in.Start) || at.After(in.End) {
				continue
			}
			disturbed = true
			s := slices.IndexFunc(sensors[:], func(s sensor) bool { return s.name == in.Field })
			if in.Kind == Stuck && x.values()[s] != 0 {
				t.Errorf("%+v shows %v", in, x.values()[s])
			}
			if at.Before(in.Start.Add(5 * time.Minute)) {
				seen[j] = max(seen[j], math.Abs(x.values()[s]-y.values()[s])/sigmas[s])
			}
		}
		if !disturbed && x != y {
			t.Fatalf("undisturbed event %s, want %s", a[i].Value, b[i].Value)
		}
	}
	weak := 0
	for j, in := range all {
		if seen[j] < 6 {
			weak++
			t.Logf("%+v is off by %.1f standard deviations", in, seen[j])
		}
	}
	if limit := len(all) / 50; weak > limit {
		t.Errorf("%d of %d injections are weak, want %d at most", weak, len(all), limit)
	}
}

// The sensors follow the load, hot by day and cool by night; their noise is what the table says.
func TestFleetIsRealistic(t *testing.T) {
	f := newFleet(t, FleetConfig{Seed: 5, Machines: 1})
	var xs [len(sensors)][]float64
	for _, e := range take(f.Events(), 3*day) {
		for s, x := range parse(t, e).values() {
			xs[s] = append(xs[s], x)
		}
	}
	for s := range sensors {
		if s == load {
			continue
		}
		// Smoothed over an hour, so that noise is left out of it.
		if r := correlation(smooth(xs[s], 60), smooth(xs[load], 60)); r < .8 {
			t.Errorf("%s follows load with a correlation of %.2f, want > 0.8", sensors[s].name, r)
		}
		steps := 0.0
		for i := 1; i < len(xs[s]); i++ {
			steps += math.Pow(xs[s][i]-xs[s][i-1], 2) / 2
		}
		if sd := math.Sqrt(steps / float64(len(xs[s])-1)); sd < .9*sensors[s].noise || sd > 1.2*sigmas[s] {
			t.Errorf("%s moves by %.3f a minute, want about %.3f", sensors[s].name, sd, sensors[s].noise)
		}
	}
}

func TestFleetConfigIsChecked(t *testing.T) {
	_, err := NewFleet(FleetConfig{Machines: 0, Anomalies: math.NaN(), WarmUp: -1})
	want := "machines is 0, want between 1 and 10000000\nanomalies is NaN, want between 0 and 100 per 10000 points\nwarm_up is -1, want ≥ 0"
	if err == nil || err.Error() != want {
		t.Errorf("NewFleet: %v, want %s", err, want)
	}
}

func TestAppendFixed(t *testing.T) {
	for _, c := range []struct {
		x        float64
		decimals int
	}{{0, 4}, {0.00004, 4}, {0.00006, 4}, {9.99996, 4}, {71.0305, 4}, {2981.4249, 2}, {123456.789, 2}} {
		if got, want := string(appendFixed(nil, c.x, c.decimals)), strconv.FormatFloat(c.x, 'f', c.decimals, 64); got != want {
			t.Errorf("appendFixed(%v, %d) = %s, want %s", c.x, c.decimals, got, want)
		}
	}
}

func BenchmarkFleet(b *testing.B) {
	f := newFleet(b, FleetConfig{Seed: 1, Machines: 1000, Anomalies: 10})
	b.ReportAllocs()
	n := 0
	for range f.Events() {
		if n++; n > b.N {
			break
		}
	}
}

func parse(t *testing.T, e Event) (r report) {
	t.Helper()
	if err := json.Unmarshal(e.Value, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func smooth(xs []float64, n int) []float64 {
	var means []float64
	for chunk := range slices.Chunk(xs, n) {
		sum := 0.0
		for _, x := range chunk {
			sum += x
		}
		means = append(means, sum/float64(len(chunk)))
	}
	return means
}

func correlation(a, b []float64) float64 {
	n, ma, mb := float64(len(a)), 0.0, 0.0
	for i := range a {
		ma, mb = ma+a[i]/n, mb+b[i]/n
	}
	ab, aa, bb := 0.0, 0.0, 0.0
	for i := range a {
		ab, aa, bb = ab+(a[i]-ma)*(b[i]-mb), aa+(a[i]-ma)*(a[i]-ma), bb+(b[i]-mb)*(b[i]-mb)
	}
	return ab / math.Sqrt(cmp.Or(aa*bb, 1))
}
