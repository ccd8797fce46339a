package pipeline

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/drift"
	"github.com/gonomaly/gonomaly/internal/invalid"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// plan is a stream's configuration, checked and worked out: what all its workers share and none changes.
type plan struct {
	stream      string
	hash        string
	hashes      string
	config      Config
	fields      []string   // of a point
	parts       []partName // of a series
	commonParts []partName // of all of a partition's series together
	names       []string   // of each detector, as a part

	models   []detectors.Detector // one of each detector, which learns nothing: what can be shared is shared with it
	weights  []float64            // of each detector, where several are combined
	columns  [][]int              // of each detector: which fields it sees; nil for all of them
	ceilings []ceiling            // of each detector's law
	holds    bool                 // a detector may hold a point back
	rate     float64              // of false alarms, per point; see Worker.rateOf
	valid    []bounds             // of each field that has a valid range
	needRate bool                 // samples before the last are needed for counters
	doubtful int64                // event times below it may be read in a wrong unit

	seriesBytes int64 // about what a series holds, its key apart
	capacity    int   // most series that there is room for
}

func newPlan(stream string, c Config) (*plan, error) {
	p := &plan{stream: stream, hash: c.Hash(), hashes: c.Hashes(), config: c, fields: []string(c.Decode.Values)}
	var errs []error
	if _, err := decode.New(c.Decode); err != nil {
		errs = append(errs, prefixed("decode", err))
	}
	if c.Window != nil {
		if err := c.Window.check(); err != nil {
			return nil, errors.Join(append(errs, err)...) // the fields below depend on it
		}
		p.fields = c.Window.fields(p.fields)
		p.needRate = slices.Contains(c.Window.Aggregate, aggRate)
	}
	if c.Decode.Time.Unit != "" {
		p.doubtful = decode.Doubtful
	}
	forecasts, wrong := p.makeModels()
	errs = append(errs, wrong...)
	errs = append(errs, checkDrift(c.Drift)...)
	errs = append(errs, checkDirection(c.Alert, forecasts || len(errs) > 0)...) // a detector that cannot be made might expect a value
	errs = append(errs, p.checkLimits(c.Alert)...)
	errs = append(errs, checkIncidents(c.Alert)...)
	if c.MaxSeries < 1 {
		errs = append(errs, &invalid.Value{Name: "max_series", Value: c.MaxSeries, Want: "≥ 1"})
	}
	if least := c.leastIdle(); c.Idle != 0 && c.Idle < least {
		errs = append(errs, &invalid.Value{Name: "idle", Value: c.Idle, Want: fmt.Sprintf("0s, or %v or more: the cool-down, a window with its lateness, and the silence that is told, with an eighth", least)})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for i := range c.Detectors {
		p.ceilings = append(p.ceilings, newCeiling(p.newDetector(i)))
	}
	p.nameParts()
	if p.rate = unpaced; c.Alert.FalseAlarms.Every == 0 {
		p.rate = c.Alert.FalseAlarms.Alarms / c.Alert.FalseAlarms.Points
	}
	p.seriesBytes = p.measure()
	if least := p.seriesBytes + 2*maxKey; c.MaxBytes < least {
		return nil, &invalid.Value{Name: "max_bytes", Value: c.MaxBytes, Want: fmt.Sprintf("%d or more, which one series may come to", least)}
	}
	p.capacity = int(min(int64(c.MaxSeries), c.MaxBytes/p.seriesBytes))
	return p, nil
}

// makeModels makes one of each detector, and says whether any of them expects a value.
func (p *plan) makeModels() (forecasts bool, errs []error) {
	if len(p.config.Detectors) == 0 {
		errs = append(errs, &invalid.Value{Name: "detectors", Value: "empty", Want: "at least one"})
	}
	for i, d := range p.config.Detectors {
		at := fmt.Sprintf("detectors[%d]", i)
		columns, err := p.columnsOf(d.Values)
		if err != nil {
			errs = append(errs, prefixed(at, err))
		}
		p.columns = append(p.columns, columns)
		if !(d.Vote > 0 && d.Vote <= maxVote) {
			errs = append(errs, &invalid.Value{Name: at + ".vote", Value: float64(d.Vote), Want: fmt.Sprintf("above 0, at most %v", int(maxVote))})
		}
		p.weights = append(p.weights, float64(d.Vote))
		if d.Scope != "" && d.Scope != OfKey && d.Scope != OfPartition {
			errs = append(errs, &invalid.Value{Name: at + ".scope", Value: d.Scope, Want: "key or partition"})
		}
		made, err := d.Params.New(p.width(i))
		if err != nil {
			errs = append(errs, prefixed(at, err))
		}
		p.models = append(p.models, made)
		_, ok := made.(detectors.Forecaster)
		forecasts = forecasts || ok
		_, ok = made.(detectors.Restrained)
		p.holds = p.holds || ok
	}
	return forecasts, errs
}

func checkDrift(monitors []DriftConfig) (errs []error) {
	for i, d := range monitors {
		at := fmt.Sprintf("drift[%d]", i)
		if _, err := d.Params.New(); err != nil {
			errs = append(errs, prefixed(at, err))
		}
		if d.On != onValues && d.On != onScores {
			errs = append(errs, &invalid.Value{Name: at + ".on", Value: d.On, Want: "values or scores"})
		}
		if !d.Direction.known() {
			errs = append(errs, &invalid.Value{Name: at + ".direction", Value: d.Direction, Want: "both, up or down"})
		}
	}
	return errs
}

// checkDirection checks what of a wants a detector that expects a value.
func checkDirection(a AlertConfig, forecasts bool) (errs []error) {
	switch {
	case !a.Direction.known():
		errs = append(errs, &invalid.Value{Name: "alert.direction", Value: a.Direction, Want: "both, up or down"})
	case a.Direction != Both && !forecasts:
		errs = append(errs, &invalid.Value{Name: "alert.direction", Value: a.Direction, Want: "both: none of the detectors expects a value"})
	case a.MinDeviation != Deviation{} && !forecasts:
		errs = append(errs, &invalid.Value{Name: "alert.min_deviation", Value: "set", Want: "none: none of the detectors expects a value"})
	}
	return errs
}

// checkIncidents checks how often incidents are to open by mistake, when they are told again, and when they are over.
func checkIncidents(a AlertConfig) (errs []error) {
	if r := a.FalseAlarms; !(r.Alarms > 0 && (r.Points >= 10*r.Alarms || r.Every > 0)) {
		errs = append(errs, &invalid.Value{Name: "alert.false_alarms", Value: r, Want: "at most 1 per 10 points"})
	}
	if s := a.CoolDown; (s.Time > 0) == (s.Points > 0) {
		errs = append(errs, &invalid.Value{Name: "alert.cool_down", Value: s, Want: "a time or a number of points"})
	}
	if s := a.Silence; s < 0 || s > 0 && s < time.Second {
		errs = append(errs, &invalid.Value{Name: "alert.silence", Value: s, Want: "0s, or 1s or more"})
	}
	if !(a.Escalate >= 1) {
		errs = append(errs, &invalid.Value{Name: "alert.escalate", Value: a.Escalate, Want: "≥ 1"})
	}
	return errs
}

// maxVote keeps a detector's vote within what a sum of them can tell apart.
const maxVote = 1e6

// leastIdle is how long a silent series has something under way: an incident that its cool-down ends, a window that is open.
func (c *Config) leastIdle() time.Duration {
	least := max(c.Alert.CoolDown.Time, c.Alert.Silence+c.Alert.Silence/silenceLooks)
	if c.Window != nil {
		least = max(least, c.Window.Every+c.Window.Lateness)
	}
	return least
}

// beside is what the table holds for each series besides its columns, in bytes: 14 of the index by hash, which is filled to two thirds; a seat of 12, with
// room for more; some 8 before its key and after it; and 4 where it is said to have changed.
const beside = 40

// measure is about what a series holds in memory, its key apart: itself, its parts, and as many windows as are open at a time.
func (p *plan) measure() int64 {
	s := newBody(p, newCommon(p))
	bytes := sizeOf[slot]() + beside
	if p.isCompact() {
		d, _ := s.detectors[0].Detector.(detectors.Compact)
		return bytes + int64(d.Words())*sizeOf[float64]()
	}
	if p.isBare() {
		return bytes
	}
	bytes += sizeOf[*body]() + sizeOf[body]()
	if !p.plain() {
		bytes += sizeOf[extras]()
	}
	bytes += int64(len(s.carried)) * sizeOf[float64]()
	for i := range s.detectors {
		bytes += sizeOf[watched]()
		if s.detectors[i].common {
			continue
		}
		bytes += int64(s.detectors[i].law.Bytes())
		if d := s.detectors[i].Detector; d != nil { // nil where the configuration's reader has refused its kind
			bytes += int64(d.Bytes())
		}
	}
	for _, m := range s.monitors {
		if m != nil {
			bytes += int64(m.Bytes())
		}
	}
	if c := p.config.Window; c != nil && c.Every > 0 {
		open := 1 + int64((c.Lateness+c.Every-1)/c.Every)
		each := small*sizeOf[float64]() + sizeOf[aggregate]() + int64(len(c.quantiles()))*sizeOf[quantile]()
		one := sizeOf[window]() + int64(len(p.config.Decode.Values))*each
		bytes += open * one
	} else if c != nil {
		bytes += 8 * int64(c.Last*len(p.config.Decode.Values))
	}
	return bytes
}

// SeriesBytes is about what a series holds in memory, its key apart.
func (c *Config) SeriesBytes() (int64, error) {
	p, err := newPlan("", *c)
	if err != nil {
		return 0, err
	}
	return p.seriesBytes, nil
}

// Check says everything that is wrong with c, as *invalid.Value errors, joined.
func (c *Config) Check() error {
	_, err := newPlan("", *c)
	return err
}

// sizeOf is the size of a T in memory, without what it points to.
func sizeOf[T any]() int64 { return int64(reflect.TypeFor[T]().Size()) } //nolint:gosec // of a type of ours

// columnsOf finds the fields that values name: a field itself, or all that a window makes of a value.
func (p *plan) columnsOf(values []string) ([]int, error) {
	if len(values) == 0 {
		return nil, nil
	}
	var columns []int
	for i, v := range values {
		found := false
		for j, f := range p.fields {
			if f == v || strings.HasPrefix(f, v+".") && slices.Contains(p.config.Decode.Values, v) || strings.HasPrefix(f, v+"[") {
				columns = append(columns, j)
				found = true
			}
		}
		if !found {
			return nil, &invalid.Value{Name: fmt.Sprintf("values[%d]", i), Value: v, Want: "one of " + joined(p.fields)}
		}
	}
	slices.Sort(columns)
	columns = slices.Compact(columns)
	if len(columns) == len(p.fields) {
		return nil, nil
	}
	return columns, nil
}

func joined(names []string) string { return strings.Join(names, ", ") }

// width is the number of fields that detector i sees.
func (p *plan) width(i int) int {
	if p.columns[i] == nil {
		return len(p.fields)
	}
	return len(p.columns[i])
}

// field is the point's field that detector i calls j.
func (p *plan) field(i, j int) int {
	if p.columns[i] == nil {
		return j
	}
	return p.columns[i][j]
}

func (p *plan) newDetector(i int) detectors.Detector {
	if s, ok := p.models[i].(detectors.Sharer); ok {
		return s.Another()
	}
	d, err := p.config.Detectors[i].Params.New(p.width(i))
	if err != nil {
		panic("a detector's settings that newPlan let through: " + err.Error())
	}
	return d
}

func (p *plan) newMonitor(i int) drift.Monitor {
	m, err := p.config.Drift[i].Params.New()
	if err != nil {
		panic("a monitor's settings that newPlan let through: " + err.Error())
	}
	return m
}

const (
	onValues = "values"
	onScores = "scores"
)

// prefixed puts path before the names of every *invalid.Value in err.
func prefixed(path string, err error) error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var errs []error
		for _, e := range joined.Unwrap() {
			errs = append(errs, prefixed(path, e))
		}
		return errors.Join(errs...)
	}
	var v *invalid.Value
	if errors.As(err, &v) {
		return &invalid.Value{Name: path + "." + v.Name, Value: v.Value, Want: v.Want}
	}
	return fmt.Errorf("%s: %w", path, err)
}
