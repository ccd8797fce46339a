package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"
)

// join appends a key, or a component's own path, to a path.
func join(path, name string) string {
	switch {
	case path == "" || name == "":
		return path + name
	case strings.HasPrefix(name, "["):
		return path + name
	}
	return path + "." + name
}

// entry finds a key of a mapping and its value.
func entry(n *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// find is the node at a path of the checked tree, such as streams[0].detectors[1].
func find(n *yaml.Node, path string) *yaml.Node {
	for part := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' || r == '[' }) {
		if i, err := strconv.Atoi(strings.TrimSuffix(part, "]")); err == nil {
			n = n.Content[i]
			continue
		}
		_, n = entry(n, part)
	}
	return n
}

func missing(n *yaml.Node, name string) bool {
	key, _ := entry(n, name)
	return key == nil
}

func property(s *jsonschema.Schema, key string) (*jsonschema.Schema, bool) {
	if s.Properties != nil {
		if p, ok := s.Properties.Get(key); ok {
			return p, true
		}
	}
	if p := s.AdditionalProperties; p != nil && p != jsonschema.FalseSchema {
		return p, true
	}
	return nil, false
}

func word(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// defaultNode is the default of s as YAML; an object's is made of the defaults of its keys.
func defaultNode(s *jsonschema.Schema) *yaml.Node {
	if s.Properties == nil {
		return plainNode(s.Default)
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for p := s.Properties.Oldest(); p != nil; p = p.Next() {
		if p.Value.Default != nil {
			n.Content = append(n.Content, word(p.Key), defaultNode(p.Value))
		}
	}
	return n
}

// emptyNode is the zero value of what s describes.
func emptyNode(s *jsonschema.Schema) *yaml.Node {
	switch s.Type {
	case "object":
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	case "integer", "number":
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: "0"}
	}
	return word("")
}

func plainNode(v any) *yaml.Node {
	switch v := v.(type) {
	case string:
		return word(v)
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, e := range v {
			n.Content = append(n.Content, plainNode(e))
		}
		return n
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(v)}
}

func enumOf(s *jsonschema.Schema) []string {
	names := make([]string, len(s.Enum))
	for i, e := range s.Enum {
		names[i] = fmt.Sprint(e)
	}
	return names
}

// wanted says in words what s allows.
func wanted(s *jsonschema.Schema) string {
	if form, ok := textOf(s.Format); ok {
		return form.want
	}
	switch {
	case len(s.Enum) > 0:
		return "one of " + strings.Join(enumOf(s), ", ")
	case len(s.OneOf) > 0:
		return "keys and values, kind among them"
	case len(s.AnyOf) > 0:
		return "text, or a list of texts"
	}
	switch s.Type {
	case "boolean":
		return "true or false"
	case "integer":
		return strings.TrimSpace("a whole number " + between(s))
	case "number":
		return strings.TrimSpace("a number " + between(s))
	case "array":
		return "a list"
	case "object":
		return "keys and values"
	}
	switch {
	case s.MaxLength != nil && s.Pattern != "":
		return fmt.Sprintf("at most %d %s", *s.MaxLength, patterns[strings.TrimSuffix(s.Pattern, orVariable)])
	case s.MinLength != nil && *s.MinLength == 1:
		return "text that is not empty"
	case s.MaxLength != nil:
		return fmt.Sprintf("at most %d characters", *s.MaxLength)
	}
	return "text"
}

// patterns says in words what the patterns of names allow.
var patterns = map[string]string{
	`^[a-zA-Z0-9._-]+$`:            "letters, digits, dots, underscores and hyphens",
	`^[a-zA-Z0-9._-]*$`:            "letters, digits, dots, underscores and hyphens",
	`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`: "letters, digits, dots, underscores and hyphens, beginning with a letter or digit",
}

func between(s *jsonschema.Schema) string {
	var bounds []string
	for _, b := range []struct {
		sign  string
		limit json.Number
	}{{"≥", s.Minimum}, {">", s.ExclusiveMinimum}, {"≤", s.Maximum}, {"<", s.ExclusiveMaximum}} {
		if b.limit != "" {
			bounds = append(bounds, b.sign+" "+b.limit.String())
		}
	}
	return strings.Join(bounds, " and ")
}

// shown is a value as a message has it: shortened, and never a secret.
func shown(s *jsonschema.Schema, n *yaml.Node) string {
	const longest = 60 // characters
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case s.WriteOnly:
		return "a secret that is not shown"
	case n.ShortTag() == "!!null":
		return "empty"
	}
	value := n.Value
	if r := []rune(value); len(r) > longest {
		value = string(r[:longest]) + "…"
	}
	switch n.ShortTag() {
	case "!!str":
		return fmt.Sprintf("%q", value)
	case "!!int", "!!float":
		if n.Decode(new(float64)) == nil {
			return "the number " + value
		}
	case "!!bool", "!!timestamp":
		return value
	}
	return fmt.Sprintf("%q with the tag %s", value, n.ShortTag())
}
