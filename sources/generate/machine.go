package generate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
)

// sensor is what all machines' sensors of one name have in common.
type sensor struct {
	name        string
	least, most float64 // range of the machines' levels at half load
	gain        float64 // what a percentage point of load adds
	lag         float64 // minutes in which it follows all but 1/e of a change of load
	noise       float64 // standard deviation
	decimals    int
}

// The sensors, in the order in which an event names them.
var sensors = [...]sensor{
	temp:      {name: "temp", least: 55, most: 75, gain: .25, lag: 15, noise: .35, decimals: 4}, // °C
	pressure:  {name: "pressure", least: 4, most: 6, gain: .01, noise: .03, decimals: 4},        // bar
	rpm:       {name: "rpm", least: 1400, most: 2900, gain: 6, lag: 2, noise: 8, decimals: 2},
	vibration: {name: "vibration", least: 1.2, most: 2.6, gain: .01, lag: 2, noise: .04, decimals: 4}, // mm/s
	load:      {name: "load", least: 50, most: 50, gain: 1, noise: .5, decimals: 4},                   // %
}

const (
	temp = iota
	pressure
	rpm
	vibration
	load
)

const (
	wander     = 1.0 // standard deviation of the load's wandering, in percentage points
	wanderKeep = .7  // share of it that is left a minute later
	day        = 24 * 60
)

// machine is the state of one machine.
type machine struct {
	name   []byte
	prefix []byte // of its events, up to the time
	suffix []byte // of its events, from after the last sensor

	mean, swing float64 // of the load over a day, %
	peak        float64 // minute of the day with the highest load
	levels      [len(sensors)]float64

	rng      *rand.Rand
	wandered float64               // off the daily course, %
	followed [len(sensors)]float64 // load as each sensor has taken it in, %
	faults   *schedule
	fault    episode // the current or the next one
}

func newMachine(c FleetConfig, i int) *machine {
	rng := newRand(c.Seed, i, 0)
	uniform := func(least, most float64) float64 { return least + rng.Float64()*(most-least) }
	m := &machine{
		name:  []byte(machineName(i)),
		mean:  uniform(45, 60),
		swing: uniform(4, 7),
		peak:  uniform(13*60, 15*60),
		rng:   rng,
	}
	for s := range sensors {
		m.levels[s] = uniform(sensors[s].least, sensors[s].most)
		m.followed[s] = m.course(c.Start.UTC().Hour()*60 + c.Start.UTC().Minute())
	}
	m.prefix = append(append([]byte(`{"machine":"`), m.name...), `","ts":`...)
	model := [...]string{"KX-110", "KX-220", "KX-340"}[rng.IntN(3)]
	m.suffix = fmt.Appendf(nil, `,"site":"east/hall-%02d","model":"%s","state":"running"}`, rng.IntN(8), model)
	m.faults = (&Fleet{c}).schedule(i)
	m.fault = m.faults.next()
	return m
}

// course is the load that a minute of the day brings, %.
func (m *machine) course(minute int) float64 {
	return m.mean + m.swing*math.Cos(2*math.Pi*(float64(minute)-m.peak)/day)
}

// report appends the event of a point, and moves the machine on by a minute. Points come in order from 0.
func (m *machine) report(b []byte, point, ms int64) []byte {
	if point > m.fault.last {
		m.fault = m.faults.next()
	}
	m.wandered = wanderKeep*m.wandered + wander*math.Sqrt(1-wanderKeep*wanderKeep)*m.rng.NormFloat64()
	now := m.course(int(ms/60_000%day)) + m.wandered

	b = append(b, m.prefix...)
	b = strconv.AppendInt(b, ms, 10)
	for s := range sensors {
		it := &sensors[s]
		m.followed[s] += (now - m.followed[s]) * follow[s]
		level := m.levels[s] + it.gain*(m.followed[s]-50)
		x := m.fault.disturb(point, s, level, it.noise*m.rng.NormFloat64(), sigmas[s])
		b = append(b, names[s]...)
		b = appendFixed(b, max(0, x), it.decimals)
	}
	return append(b, m.suffix...)
}

// What follows from the sensors' table, worked out once.
var (
	names  = eachSensor(func(s sensor) string { return `,"` + s.name + `":` })
	sigmas = eachSensor(func(s sensor) float64 { return math.Hypot(s.noise, s.gain*wander) })
	follow = eachSensor(func(s sensor) float64 {
		if s.lag == 0 {
			return 1
		}
		return -math.Expm1(-1 / s.lag)
	})
)

func eachSensor[T any](f func(sensor) T) (all [len(sensors)]T) {
	for i, s := range sensors {
		all[i] = f(s)
	}
	return all
}

// appendFixed appends x ≥ 0 with a fixed number of decimals, several times as fast as strconv does.
func appendFixed(b []byte, x float64, decimals int) []byte {
	scale := int64(1)
	for range decimals {
		scale *= 10
	}
	n := int64(math.Round(x * float64(scale)))
	b = strconv.AppendInt(b, n/scale, 10)
	b = append(b, '.')
	for n %= scale; scale > 1; n %= scale {
		scale /= 10
		b = append(b, "0123456789"[n/scale])
	}
	return b
}
