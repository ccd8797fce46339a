package config

import (
	"fmt"
	"regexp"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"
)

// Redacted is the configuration in force, as YAML: variables expanded, defaults filled in, secrets left out. It is for logs and people.
func (c *Config) Redacted() string {
	if c.effective == nil {
		return ""
	}
	b, err := yaml.Marshal(redact(Schema(), c.effective))
	if err != nil {
		panic("a checked configuration that cannot be written: " + err.Error())
	}
	return string(b)
}

// userinfo is the name and password in a URL.
var userinfo = regexp.MustCompile(`^([a-z][a-z0-9+.-]*://)[^/@]*@`)

// redact copies n without the values of write-only keys.
func redact(s *jsonschema.Schema, n *yaml.Node) *yaml.Node {
	shown := *n
	shown.Content = nil
	switch {
	case n.Kind == yaml.ScalarNode && s.WriteOnly && n.Value != "":
		return word("(secret)")
	case n.Kind == yaml.ScalarNode:
		shown.Value = userinfo.ReplaceAllString(n.Value, "${1}(secret)@")
	case n.Kind == yaml.SequenceNode:
		items := s.Items
		if len(s.AnyOf) == 2 {
			items = s.AnyOf[1].Items
		}
		for _, e := range n.Content {
			shown.Content = append(shown.Content, redact(items, e))
		}
	case n.Kind == yaml.MappingNode:
		if _, kind := entry(n, "kind"); kind != nil {
			for _, branch := range s.OneOf {
				if fmt.Sprint(branch.Properties.Value("kind").Const) == kind.Value {
					s = branch
				}
			}
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			p, ok := property(s, n.Content[i].Value)
			if !ok {
				panic("a checked configuration with the unknown key " + n.Content[i].Value)
			}
			shown.Content = append(shown.Content, n.Content[i], redact(p, n.Content[i+1]))
		}
	}
	return &shown
}
