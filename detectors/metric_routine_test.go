package detectors

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A job that lasts a quarter of an hour each night is told of until it is known, which takes four nights, and seldom after; but it is where it comes
// at another hour, or is much more than it was. Without a routine most nights are told. A state that is stored and restored goes on alike.
func TestMetricNightlyJob(t *testing.T) {
	const another, more = 21, 25
	for _, times := range []float64{3, 6} {
		for seed := range uint64(3) {
			night := func(day int) (hour int, by float64) {
				switch day {
				case another:
					return 4, times
				case more:
					return 2, 4 * times
				}
				return 2, times
			}
			d := newMetric(t)
			told := nights(t, d, seed, night, func(int) {})
			later := 0
			for _, day := range told {
				if day > 3 && day < another {
					later++
				}
			}
			if first := []int{0, 1, 2, 3}; !slices.Equal(told[:min(4, len(told))], first) || later > 4 || !slices.Contains(told, another) || !slices.Contains(told, more) {
				t.Errorf("%v times as much, seed %d: nights %v are told, want the first four, at most four more before %d, that, and %d",
					times, seed, told, another, more)
			}
			restored := newMetric(t)
			nights(t, restored, seed, night, func(i int) {
				if i%1447 == 0 {
					if err := restored.UnmarshalBinary([]byte(state(t, restored))); err != nil {
						t.Fatal(err)
					}
				}
			})
			if state(t, restored) != state(t, d) {
				t.Errorf("%v times as much, seed %d: a state that was restored is another one", times, seed)
			}
			d = newMetric(t)
			if told := nights(t, d, seed, night, func(int) { d.fields[0].routine = routine{} }); len(told) < 14 {
				t.Errorf("%v times as much, seed %d: without a routine %d nights are told: the test tests nothing", times, seed, len(told))
			}
		}
	}
}

// nights plays four weeks of minutes, whose job multiplies them for a quarter of an hour, and returns the days on which it is told. What is held back is
// said to recur.
func nights(t *testing.T, d *Metric, seed uint64, night func(day int) (hour int, by float64), learned func(i int)) (told []int) {
	t.Helper()
	const quiet = 75 // minutes, after which an alert is another one
	r := rand.New(rand.NewPCG(seed, 1))
	last := -quiet - 1
	for i := range 28 * 1440 {
		day, minute := i/1440, i%1440
		x := 20 * (1 + .3*sine(i/5)) * (1 + .06*r.NormFloat64())
		hour, by := night(day)
		job := minute >= 60*hour && minute < 60*hour+15
		if job {
			x *= by
		}
		p := Point{Time: int64(i) * int64(time.Minute), X: []float64{x}}
		score, _ := d.Score(p)
		if score >= metricLimit {
			if job && i-last > quiet {
				told = append(told, day)
			}
			last = i
		}
		if raw := d.fields[0].last.score; raw > score {
			if held, by := d.Held(); held < raw || by != Recurring {
				t.Fatalf("what scores %v and counts as %v would be %v but for %q", raw, score, held, by)
			}
		}
		d.Learn(p)
		learned(i)
	}
	return told
}

// An outage of three days is no routine: all of it is told, and what comes after it.
func TestMetricOutageIsNoRoutine(t *testing.T) {
	for _, step := range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
		d := newMetric(t)
		f := &d.fields[0]
		r := rand.New(rand.NewPCG(1, 1))
		start := time.Date(2026, 8, 31, 0, 0, 0, 0, time.UTC)
		outage := start.AddDate(0, 0, 14)
		end := outage.AddDate(0, 0, 3)
		usual := 0
		for at := start; at.Before(end.AddDate(0, 0, 3)); at = at.Add(step) {
			x := 100 * orders(at, 1) * (1 + .1*r.NormFloat64())
			if !at.Before(outage) && at.Before(end) {
				x = 0
			}
			p := Point{Time: at.UnixNano(), X: []float64{x}}
			d.Score(p)
			if raw := f.last.score; at.After(outage) && raw >= metricLimit+1 && f.score(&f.last) < metricLimit {
				t.Fatalf("every %v: at %v a score of %v counts as %v", step, at, raw, f.score(&f.last))
			}
			d.Learn(p)
			if at.Equal(end) {
				for hour := range dayHours {
					if f.routine.usual(hour) > metricLimit*peakParts {
						usual++
					}
				}
			}
		}
		if usual < 12 {
			t.Errorf("every %v: after three days an outage is usual at %d hours: the test tests nothing", step, usual)
		}
	}
}

// What three of five days have brought at an hour is usual there, weekends apart; not where more than a quarter of the hours have.
func TestRoutine(t *testing.T) {
	week := [routineDays]uint8{1, 1, 51, 41, 61} // nothing at the weekend, then scores of 10, 8 and 12
	for _, c := range []struct {
		name         string
		known, alike int // hours
		days         [routineDays]uint8
		score, want  float64
	}{
		{"usual", 24, 1, week, 8, 2},
		{"more than usual", 24, 1, week, 15, 9},
		{"ordinary", 24, 1, week, 1.5, 1.5},
		{"six hours", 24, 6, week, 15, 9},
		{"seven hours", 24, 7, week, 15, 15},
		{"two days", 24, 1, [routineDays]uint8{1, 51, 1, 1, 61}, 15, 15},
		{"one of four hours", 4, 1, week, 15, 9},
		{"one of three", 3, 1, week, 15, 15},
		{"a point a day", 1, 1, week, 15, 15},
	} {
		var r routine
		for hour := range c.known {
			r.peaks[hour] = [routineDays]uint8{1, 1, 1, 1, 1}
			if hour < c.alike {
				r.peaks[hour] = c.days
			}
		}
		if got := r.above(0, c.score); !near(got, c.want, 1e-12) {
			t.Errorf("%s: %v counts as %v, want %v", c.name, c.score, got, c.want)
		}
	}
}

// A day more is learned of an hour when another comes: not of the first, nor of an hour that comes twice because clocks go back, nor of one whose
// points come late.
func TestRoutineLearns(t *testing.T) {
	for _, c := range []struct {
		name  string
		hours []int
		want  [routineDays]uint8 // of hour 2, whose scores are 1, 2, 3 …
	}{
		{"first day", []int{2, 3}, [routineDays]uint8{}},
		{"then two more", []int{2, 3, 4, 2, 2, 5, 2, 3}, [routineDays]uint8{21, 16}},
		{"one that goes on", []int{2, 3, 4, 2, 2}, [routineDays]uint8{}},
		{"late points", []int{2, 3, 4, 2, 3, 2, 3, 2, 3}, [routineDays]uint8{11}},
		{"midnight", []int{2, 3, 23, 0, 23, 0, 2, 3}, [routineDays]uint8{11}},
		{"no other hour", []int{2, 2, 2, 2, 2}, [routineDays]uint8{}},
	} {
		var r routine
		known, score := [dayHours]bool{}, 0.0
		for _, hour := range c.hours {
			s := 0.0
			if hour == 2 {
				score++
				s = score
			}
			r.learn(hour, known[hour], s)
			known[hour] = true
		}
		if r.peaks[2] != c.want {
			t.Errorf("%s: %v, want %v", c.name, r.peaks[2], c.want)
		}
	}
}

// What was written before there was a routine is read, and goes on.
func TestMetricWithoutRoutine(t *testing.T) {
	d := newMetric(t)
	play(d, time.Hour, daily(20, 1)) // of the first day nothing is counted
	f := &d.fields[0]
	whole, added := []byte(state(t, d)), f.routine.append(nil)
	at := bytes.LastIndex(whole, added)
	old := slices.Concat([]byte{withoutRoutine}, whole[1:at], whole[at+len(added):])
	e := newMetric(t)
	if err := e.UnmarshalBinary(old); err != nil {
		t.Fatal(err)
	}
	e.fields[0].routine.hour = f.routine.hour // which it did not tell
	if state(t, e) != string(whole) {
		t.Error("a state of the version before is another one")
	}
}
