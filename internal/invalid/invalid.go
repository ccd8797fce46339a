// Package invalid is the shape of every complaint about a configured value, so that the configuration's reader can find the line
// and column it stands in.
package invalid

import "fmt"

// Value says that the field Name, a YAML key or a dotted path of them below the component that complains, has a value outside
// what it wants. Errors of one component are joined with errors.Join.
type Value struct {
	Name  string // "half_life", "time.unit", "values[2]"
	Value any
	Want  string // "> 0", "one of s, ms, us, ns"
}

func (e *Value) Error() string { return fmt.Sprintf("%s is %v, want %s", e.Name, e.Value, e.Want) }
