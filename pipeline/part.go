package pipeline

import (
	"encoding"
	"fmt"
	"slices"
	"strings"

	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// part is a component of a series that learns. A state says which parts it has, by names that are made of their settings: so each of them
// goes on under another configuration, if that has it as well, whatever became of the others.
type part interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// partName names a part in a state, and, where it is one that somebody has configured, in words.
type partName struct{ name, words string }

// none is where a part is that a configuration does not have.
const none = -1

// parts are those of a series, in the order of plan.parts.
func (s series) parts(yield func(part) bool) {
	for i := range s.detectors {
		if d := &s.detectors[i]; !d.common && (!yield(d.Detector) || !yield(d.law)) {
			return
		}
	}
	if len(s.detectors) > 1 && !yield(&s.law) {
		return
	}
	for _, m := range s.monitors {
		if !yield(m) {
			return
		}
	}
	if s.pace != nil && !yield(s.pace) {
		return
	}
	if s.carried != nil {
		yield(s.carried)
	}
}

// Names of parts that nobody configures.
const (
	ofAll       = "of all "         // series, a detector, whose name follows
	lawOf       = "law of "         // a detector's scores, whose name follows
	combination = "combination of " // detectors, whose digest follows
	paceOfAll   = "pace"            // of the points
	lastValues  = "last values"     // where some may be missing
)

// nameParts names the parts of a series, and of all. Two of the same settings are told apart by their order.
func (p *plan) nameParts() {
	seen := map[string]int{}
	named := func(kind string, settings any) string {
		name := kind + " " + digest(settings)
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s %d", name, seen[name])
		}
		return name
	}
	ofDetectors := make([]string, len(p.config.Detectors))
	for i, d := range p.config.Detectors {
		d.Values, d.Vote = nil, 1 // what it sees is told by the columns, however they were asked for; how much it counts, by the combination
		name := named(d.Kind, struct {
			DetectorConfig
			Columns []int
		}{d, p.columns[i]})
		ofDetectors[i] = name
		parts, words := &p.parts, fmt.Sprintf("detectors[%d] %s", i, d.Kind)
		if d.Scope == OfPartition {
			parts, name, words = &p.commonParts, ofAll+name, words+" of the partition"
		}
		p.names = append(p.names, name)
		*parts = append(*parts, partName{name, words}, partName{name: lawOf + name})
	}
	if len(p.config.Detectors) > 1 {
		voters := slices.Clone(ofDetectors)
		for i, weight := range p.weights {
			if weight != 1 {
				voters[i] += fmt.Sprintf(" counts %v", weight)
			}
		}
		p.parts = append(p.parts, partName{name: combination + digest(slices.Sorted(slices.Values(voters)))})
	}
	for i, d := range p.config.Drift {
		watched := p.fields
		if d.On == onScores {
			watched = ofDetectors
		}
		d.Direction = Both // what is told is not what is watched
		name := named(d.Kind, d)
		for j := range p.monitored(d.On) {
			words := fmt.Sprintf("drift[%d] %s of %s", i, d.Kind, p.watched(d.On, j))
			p.parts = append(p.parts, partName{name + " of " + watched[j], words})
		}
	}
	if p.config.Alert.FalseAlarms.Every > 0 {
		p.parts = append(p.parts, partName{name: paceOfAll})
	}
	if p.config.Decode.Missing == decode.Last {
		p.parts = append(p.parts, partName{name: lastValues})
	}
}

// watched names, in words, what a drift monitor watches.
func (p *plan) watched(on string, j int) string {
	if on == onScores {
		return fmt.Sprintf("detectors[%d]", j)
	}
	return p.fields[j]
}

// layout finds the parts that a state has among those of the plan. A combination goes on, whatever it is of.
func (p *plan) layout(stored []string) []int {
	layout := make([]int, len(stored))
	for i, name := range stored {
		layout[i] = p.part(name)
	}
	return layout
}

// part is where a state's part is among those of the plan, or none.
func (p *plan) part(stored string) int {
	return slices.IndexFunc(p.parts, func(p partName) bool {
		return p.name == stored || strings.HasPrefix(p.name, combination) && strings.HasPrefix(stored, combination)
	})
}

// combination is where that of several detectors is among the parts, or none.
func (p *plan) combination() int {
	return slices.IndexFunc(p.parts, func(p partName) bool { return strings.HasPrefix(p.name, combination) })
}

// unsettled says whether the combination was of other detectors in a state.
func (p *plan) unsettled(stored []string) bool {
	i := p.combination()
	return i >= 0 && !slices.Contains(stored, p.parts[i].name)
}

// compare says in words which configured parts a state has, which it lacks, and which it has in vain.
func (p *plan) compare(stored []string) (kept, cold, gone []string) {
	for _, part := range slices.Concat(p.parts, p.commonParts) {
		switch has := slices.Contains(stored, part.name); {
		case part.words == "":
		case has:
			kept = append(kept, part.words)
		default:
			cold = append(cold, part.words)
		}
	}
	for i, at := range p.layout(stored) {
		if at == none && !slices.ContainsFunc(p.commonParts, func(p partName) bool { return p.name == stored[i] }) &&
			!strings.HasPrefix(stored[i], lawOf) && !strings.HasPrefix(stored[i], combination) && stored[i] != paceOfAll && stored[i] != lastValues {
			gone = append(gone, stored[i])
		}
	}
	return kept, cold, gone
}
