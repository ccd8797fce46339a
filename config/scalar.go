package config

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"

	"github.com/gonomaly/gonomaly/internal/duration"
)

// scalar checks a single value, its variables expanded.
func (c *checker) scalar(s *jsonschema.Schema, n *yaml.Node, path string) *yaml.Node {
	if n.Kind != yaml.ScalarNode {
		c.report(n, path, "is %s, want %s", shown(s, n), wanted(s))
		return nil
	}
	made := &yaml.Node{Kind: yaml.ScalarNode, Tag: n.ShortTag(), Value: n.Value, Line: n.Line, Column: n.Column}
	if strings.Contains(n.Value, "$") {
		expanded, err := expand(n.Value, c.env)
		if err != nil {
			c.report(n, path, "%v", err)
			return nil
		}
		made.Value = expanded
		if quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0; s.Type != "string" && !quoted && n.Style&yaml.TaggedStyle == 0 {
			made.Tag = "" // what an unquoted variable holds has the type that its text has
			made.Tag = made.ShortTag()
		}
	}
	if wrong := complaint(s, made); wrong != "" {
		c.report(n, path, "%s", wrong)
		return nil
	}
	if s.Type == "string" {
		made.Tag = "!!str"
	}
	if d, err := duration.Parse(made.Value); s.Format == goDuration && err == nil && strings.ContainsAny(made.Value, "dw") {
		made.Value = d.String() // as the Go type reads it
	}
	return made
}

// complaint says what is wrong with a scalar, or nothing.
func complaint(s *jsonschema.Schema, n *yaml.Node) string {
	is := "is " + shown(s, n) + ", want " + wanted(s)
	if n.Tag == "!!null" {
		return "is empty, want " + wanted(s) + "; give it a value or leave the key out"
	}
	switch s.Type {
	case "boolean":
		if n.Tag != "!!bool" {
			return is
		}
	case "integer", "number":
		return numberComplaint(s, n, is)
	case "string":
		return textComplaint(s, n, is)
	}
	return ""
}

func numberComplaint(s *jsonschema.Schema, n *yaml.Node, is string) string {
	if n.Tag == "!!str" && n.Value != "" {
		if _, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return is + "; remove the quotes"
		}
	}
	var x float64
	if n.Tag != "!!int" && n.Tag != "!!float" || n.Decode(&x) != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return is
	}
	bound := func(number interface{ Float64() (float64, error) }, outside func(limit float64) bool) bool {
		limit, err := number.Float64()
		return err == nil && outside(limit)
	}
	if s.Type == "integer" && (x != math.Trunc(x) || math.Abs(x) >= 1<<53) ||
		bound(s.Minimum, func(l float64) bool { return x < l }) || bound(s.Maximum, func(l float64) bool { return x > l }) ||
		bound(s.ExclusiveMinimum, func(l float64) bool { return x <= l }) || bound(s.ExclusiveMaximum, func(l float64) bool { return x >= l }) {
		return is
	}
	return ""
}

func textComplaint(s *jsonschema.Schema, n *yaml.Node, is string) string {
	form, formed := textOf(s.Format)
	if len(s.Enum) > 0 {
		names := enumOf(s)
		if !slices.Contains(names, n.Value) {
			return is + didYouMean(n.Value, names)
		}
		return ""
	}
	if n.Tag != "!!str" && n.Tag != "!!timestamp" { // a date is text for us
		if formed {
			return is + meantTime(s.Format, n.Value)
		}
		switch n.Tag {
		case "!!int", "!!float", "!!bool":
			return is + "; put it in quotes"
		}
		return is + "; remove the tag"
	}
	length := uint64(utf8.RuneCountInString(n.Value)) //nolint:gosec // a length is never negative
	switch {
	case s.MinLength != nil && length < *s.MinLength, s.MaxLength != nil && length > *s.MaxLength:
		return is
	case formed && !matches(s.Pattern, n.Value):
		return is + meantTime(s.Format, n.Value)
	case formed:
		if err := form.check(n.Value); err != nil {
			return "is " + err.Error()
		}
	case s.Pattern != "" && !matches(s.Pattern, n.Value):
		return is
	}
	return ""
}

// matches panics where the pattern of a struct's tag is no regular expression; a test compiles them all.
func matches(pattern, value string) bool {
	return regexp.MustCompile(strings.TrimSuffix(pattern, orVariable)).MatchString(value)
}

var spelledTime = regexp.MustCompile(`(?i)^([0-9]+) *(s|m|h|d|w|seconds?|secs?|minutes?|mins?|hours?|days?|weeks?|)$`)

// meantTime guesses the time that 60, "5 minutes" or "14 days" stand for.
func meantTime(format, value string) string {
	if format != goDuration && format != "span" {
		return ""
	}
	m := spelledTime.FindStringSubmatch(value)
	if m == nil {
		return ""
	}
	meant := m[1] + "s"
	if m[2] != "" {
		meant = m[1] + strings.ToLower(m[2][:1])
	}
	if _, err := duration.Parse(meant); err != nil {
		return ""
	}
	return "; did you mean " + meant + "?"
}
