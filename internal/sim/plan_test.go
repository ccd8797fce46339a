//go:build sim

package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/config"
)

// plan is what a seed has chosen.
type plan struct {
	seed       uint64
	stream     config.Stream
	partitions int32
	static     bool // the processes have names that last
	slots      int
	storm      time.Duration // how long records and faults come
	rate       float64       // records a second
	keys       int           // of most records
	faults     []fault
	gentle     string        // the only kind of fault, where it is one that nobody should notice
	history    time.Duration // how long records came before the first process; 0 where it begins with the first record
	step       int           // records that are processed at once, 0 for the usual
	work       time.Duration // that it takes; turns end in the midst of what was polled
}

// Streams read the input in several ways. Alerts are frequent, because each is a chance to lose it; checkpoints are, because each is a
// chance to come back from it.
var streams = []string{
	`decode: {key: key, time: {field: ts, unit: ms}, values: [v, u]}
    detectors: [{kind: ewma, half_life: 10}]
    alert: {false_alarms: 1 per 10 points, cool_down: 5 points}`,
	`decode: {key: key, time: {field: ts, unit: ms}, values: [v, u]}
    window: {every: 200ms, aggregate: [count, mean], lateness: 100ms}
    detectors: [{kind: ewma, half_life: 5}]
    drift: [{kind: page_hinkley, on: scores}]
    alert: {false_alarms: 1 per 10 points, cool_down: 2 points}`,
	`decode: {key: key, time: {field: ts, unit: ms}, values: [v]}
    detectors: [{kind: ewma, half_life: 10}, {kind: metric}]
    drift: [{kind: adwin, on: values}]
    max_series: 3
    idle: 5s
    alert: {false_alarms: 1 per 10 points, cool_down: 1s}`,
}

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0))
	p := plan{
		seed: seed, partitions: 2 + r.Int32N(3), static: r.IntN(2) == 0, slots: 2 + r.IntN(2),
		storm: time.Duration(10+r.IntN(15)) * time.Second, rate: 50 + 150*r.Float64(), keys: 2 + r.IntN(7),
	}
	text := "streams:\n  - name: s\n    topics: [" + input + "]\n    group: g\n    " + pick(r, streams) + "\n"
	if r.IntN(8) == 0 {
		text += "    delivery: at-least-once\n"
	}
	if r.IntN(4) == 0 {
		text += "    group_protocol: consumer\n    commit_every: 500ms\n" // heartbeats come in between, and say what the end of a turn may wait for
	}
	c, err := config.Parse("sim", []byte(text+"checkpoints: {store: memory}\n"), func(string) (string, bool) { return "", false })
	if err != nil {
		panic(err)
	}
	p.stream = c.Streams[0]
	p.faults = schedule(r, p.storm, p.slots)
	p.special(r)
	p.latest()
	if r := rand.New(rand.NewPCG(seed, 2)); p.gentle == "" && r.IntN(2) == 0 {
		p.step = 1 + r.IntN(10)
		p.work = time.Duration(r.Float64() * float64(p.step) / p.rate / 2 * float64(time.Second)) // at most half of the time
	}
	return p
}

// schedule is the plan in words.
func (p plan) schedule() string {
	s := p.stream
	lines := []string{fmt.Sprintf("  %d processes, named: %v, %d partitions, %s, %s, for %v", p.slots, p.static, p.partitions, s.Delivery, s.GroupProtocol, p.storm)}
	if p.step > 0 {
		lines = append(lines, fmt.Sprintf("  %d records at once, which take %v", p.step, p.work))
	}
	if p.history > 0 {
		lines = append(lines, fmt.Sprintf("  from the end of a log of %v, with %v of it learned before", p.history, s.WarmUp))
	}
	for _, f := range p.faults {
		lines = append(lines, "  "+f.String())
	}
	return strings.Join(lines, "\n")
}
