package pipeline

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// workerVersion changes with the layout of the state; a worker reads its own only, and rebuilds from the log otherwise.
const workerVersion = 1

// AppendBinary appends the whole state: version, position, watermark, and each series in order of its key.
func (w *Worker) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, workerVersion)
	b = appendInt(b, w.position)
	b = appendInt(b, w.watermark)
	b = appendInt(b, int64(len(w.series)))
	var err error
	for _, key := range slices.Sorted(maps.Keys(w.series)) {
		if b, err = w.series[key].append(b); err != nil {
			return nil, fmt.Errorf("state of series %q: %w", key, err)
		}
	}
	return b, nil
}

// UnmarshalBinary restores what a worker of the same configuration wrote. After an error the worker is not to be used.
func (w *Worker) UnmarshalBinary(b []byte) error {
	r := &stateReader{b: b}
	if version := r.take(1); r.err == nil && version[0] != workerVersion {
		return fmt.Errorf("%w: version %d, want %d", errState, version[0], workerVersion)
	}
	w.position = r.int()
	w.watermark = r.int()
	n := r.count(1)
	if r.err == nil && (w.position < -1 || n > w.config.MaxSeries) {
		r.fail("position %d and %d series, want at most %d", w.position, n, w.config.MaxSeries)
	}
	w.series = map[string]*series{}
	last := ""
	for i := 0; i < n && r.err == nil; i++ {
		s := readSeries(r, w.plan)
		if i > 0 && s.key <= last {
			r.fail("series %q after %q", s.key, last)
		}
		last = s.key
		w.series[s.key] = s
	}
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	if r.err != nil {
		return r.err
	}
	w.derive()
	return nil
}

// derive works out what follows from the state: when windows close and incidents become quiet.
func (w *Worker) derive() {
	w.closing, w.disturbed, w.nextQuiet = nil, nil, math.MaxInt64
	coolDown := w.config.Alert.CoolDown
	for _, key := range slices.Sorted(maps.Keys(w.series)) {
		s := w.series[key]
		for _, in := range s.windows {
			w.closeAt(in.start+int64(w.config.Window.Every), s)
		}
		if coolDown.Time == 0 || !s.anomaly.open() && !s.drift.open() {
			continue
		}
		w.disturbed = append(w.disturbed, s)
		for _, i := range [...]*incident{&s.anomaly, &s.drift} {
			if i.open() {
				w.nextQuiet = min(w.nextQuiet, i.quietFrom(coolDown))
			}
		}
	}
}
