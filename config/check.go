package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"
)

// checker walks a file's nodes along the schema. It gathers problems, remembers where each value stands, and returns the tree that the
// configuration is decoded from: variables expanded, defaults filled in, whatever is wrong left out. It knows the part of JSON Schema
// that Schema produces.
type checker struct {
	file     string
	env      func(string) (string, bool)
	problems Problems
	told     map[string]bool       // place, key and message of each problem: an alias brings the same one many times
	excused  []string              // paths whose problem is told elsewhere
	at       map[string]*yaml.Node // path of a value → node
	aliased  int                   // values reached through an alias
}

func newChecker(file string, env func(string) (string, bool)) *checker {
	return &checker{file: file, env: env, at: map[string]*yaml.Node{}, told: map[string]bool{}}
}

// maxAliased bounds what aliases expand to: a few lines of YAML can stand for billions of values.
const maxAliased = 10000

func (c *checker) tooManyAliases() Problems {
	return Problems{{File: c.file, Line: 1, Column: 1, Message: fmt.Sprintf("the file's aliases stand for more than %d values; write the values out", maxAliased)}}
}

var index = regexp.MustCompile(`\[[0-9]+\]`)

// report adds the problem that n, at path, has.
func (c *checker) report(n *yaml.Node, path, format string, args ...any) {
	if len(c.problems) >= mostProblems {
		return
	}
	message := fmt.Sprintf(format, args...)
	key := fmt.Sprintf("%d:%d:%s:%s", n.Line, n.Column, index.ReplaceAllString(path, ""), message)
	if c.told[key] {
		c.excused = append(c.excused, path)
		return
	}
	c.told[key] = true
	subject := path
	if path == "" {
		subject = "the file"
	}
	c.problems = append(c.problems, Problem{File: c.file, Line: max(1, n.Line), Column: max(1, n.Column), Path: path, Message: subject + " " + message})
}

// value checks n against s. It returns nil when there is a problem with the value as a whole.
func (c *checker) value(s *jsonschema.Schema, n *yaml.Node, path string, aliased bool) *yaml.Node {
	if aliased {
		if c.aliased++; c.aliased > maxAliased {
			return nil
		}
	}
	if _, seen := c.at[path]; !seen {
		c.at[path] = n
	}
	if n.Kind == yaml.AliasNode {
		return c.value(s, n.Alias, path, true)
	}
	switch {
	case len(s.OneOf) > 0:
		return c.kind(s, n, path, aliased)
	case len(s.AnyOf) > 0: // a string, or a list of them
		list := s.AnyOf[1]
		if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
			n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.Line, Column: n.Column, Content: []*yaml.Node{n}}
		}
		return c.list(list, n, path, aliased)
	case s.Type == "object":
		return c.object(s, n, path, "", aliased)
	case s.Type == "array":
		return c.list(s, n, path, aliased)
	}
	return c.scalar(s, n, path)
}

// kind picks the schema of n by the value of its key kind.
func (c *checker) kind(s *jsonschema.Schema, n *yaml.Node, path string, aliased bool) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		c.report(n, path, "is %s, want keys and values, kind among them", shown(s, n))
		return nil
	}
	var names []string
	for _, branch := range s.OneOf {
		names = append(names, constOf(branch))
	}
	_, given := entry(n, "kind")
	if key, _ := entry(n, "<<"); given == nil && key != nil {
		c.unknown(key, join(path, "<<"), "", nil)
		return nil
	}
	if given == nil {
		c.report(n, path+".kind", "is missing, want one of %s", strings.Join(names, ", "))
		return nil
	}
	text := &jsonschema.Schema{Type: "string"}
	for _, name := range names {
		text.Enum = append(text.Enum, name)
	}
	checked := c.value(text, given, path+".kind", false)
	if checked == nil {
		return nil
	}
	i := slices.Index(names, checked.Value)
	return c.object(s.OneOf[i], n, path, names[i], aliased)
}

func constOf(branch *jsonschema.Schema) string {
	return fmt.Sprint(branch.Properties.Value("kind").Const)
}

// object checks the keys and values of a mapping. kind is the one already checked, if any.
func (c *checker) object(s *jsonschema.Schema, n *yaml.Node, path, kind string, aliased bool) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		c.report(n, path, "is %s, want %s", shown(s, n), wanted(s))
		return nil
	}
	var known []string
	if s.Properties != nil {
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			known = append(known, p.Key)
		}
	}
	given := map[string]*yaml.Node{} // key → its first node
	meant := map[string]bool{}       // keys that an unknown one probably stands for
	made := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if key.Kind != yaml.ScalarNode {
			c.report(key, path, "has a key that is no plain word, want one of %s", strings.Join(known, ", "))
			continue
		}
		if first, twice := given[key.Value]; twice {
			c.report(key, at, "is there twice, first in line %d; keep one of them", first.Line)
			continue
		}
		given[key.Value] = key
		p, ok := property(s, key.Value)
		if !ok {
			meant[nearest(key.Value, known)] = true
			c.unknown(key, at, kind, known)
			continue
		}
		if checked := c.value(p, value, at, aliased); checked != nil {
			made.Content = append(made.Content, word(key.Value), checked)
		}
	}
	for _, key := range known {
		p := s.Properties.Value(key)
		switch {
		case given[key] == nil && slices.Contains(s.Required, key):
			if meant[key] {
				c.excused = append(c.excused, join(path, key))
			} else {
				c.report(n, join(path, key), "is missing, want %s: %s", wanted(p), p.Description)
			}
		case p.Default != nil && missing(made, key):
			made.Content = append(made.Content, word(key), defaultNode(p))
		}
	}
	return made
}

func (c *checker) unknown(key *yaml.Node, path, kind string, known []string) {
	switch {
	case key.Value == "<<":
		c.report(key, path, "merges another mapping in, which is not done here; write the keys out, or use an alias for a whole value")
	case strings.Contains(key.Value, "${"):
		c.report(key, path, "is a key with a variable; variables stand in values only")
	case kind != "":
		c.report(key, path, "is not a key of kind %s, want one of %s%s", kind, strings.Join(known, ", "), didYouMean(key.Value, known))
	default:
		c.report(key, path, "is not a known key, want one of %s%s", strings.Join(known, ", "), didYouMean(key.Value, known))
	}
}

// list checks a sequence. An element with a problem leaves an empty one in its place, so that the others keep their numbers.
func (c *checker) list(s *jsonschema.Schema, n *yaml.Node, path string, aliased bool) *yaml.Node {
	if n.Kind != yaml.SequenceNode {
		c.report(n, path, "is %s, want %s%s", shown(s, n), wanted(s), meantList(n))
		return nil
	}
	if s.MinItems != nil && uint64(len(n.Content)) < *s.MinItems {
		c.report(n, path, "has %d entries, want at least %d", len(n.Content), *s.MinItems)
		return nil
	}
	if s.MaxItems != nil && uint64(len(n.Content)) > *s.MaxItems {
		c.report(n, path, "has %d entries, want at most %d", len(n.Content), *s.MaxItems)
		return nil
	}
	made := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.Line, Column: n.Column}
	seen := map[string]bool{}
	for i, element := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		checked := c.value(s.Items, element, at, aliased)
		if checked == nil {
			c.excused = append(c.excused, at)
			checked = emptyNode(s.Items)
		} else if checked.Kind == yaml.ScalarNode && s.UniqueItems {
			if seen[checked.Value] {
				c.report(element, at, "is %s, which the list already has; keep one of them", shown(s.Items, checked))
			}
			seen[checked.Value] = true
		}
		made.Content = append(made.Content, checked)
	}
	return made
}

// meantList guesses that a plain word was meant to stand in a list.
func meantList(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || !plainWord.MatchString(n.Value) {
		return ""
	}
	return "; did you mean [" + n.Value + "]?"
}
