package config

import (
	"bytes"
	"fmt"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/gonomaly/gonomaly/sources/kafka"
)

// LoadKafka reads the section kafka of the file at path, a configuration or the beginning of one: the rest of it is not looked at. section
// is the same as it stands there, variables and all; but for aliases, which may be of what stands outside of it, there is what they stand for.
func LoadKafka(path string) (cfg kafka.Config, section string, err error) {
	data, err := readFile(path)
	if err != nil {
		return cfg, "", err
	}
	return parseKafka(path, data, os.LookupEnv)
}

func parseKafka(name string, data []byte, env func(string) (string, bool)) (cfg kafka.Config, section string, err error) {
	root, line, column, problem := parse(data)
	if problem != "" {
		return cfg, "", Problems{{File: name, Line: line, Column: column, Message: problem}}
	}
	c := newChecker(name, env)
	schema := Schema()
	schema.Required = []string{"kafka"}
	only := *root
	if key, value := entry(root, "kafka"); key != nil {
		only.Content = []*yaml.Node{key, value}
	} else if root.Kind == yaml.MappingNode {
		only.Content = nil
	}
	whole := Config{}
	checked := c.value(schema, &only, "", false)
	if c.aliased > maxAliased {
		return cfg, "", c.tooManyAliases()
	}
	if checked != nil {
		c.decode(checked, &whole)
		c.wrongAll("kafka", whole.Kafka.Check())
	}
	if len(c.problems) > 0 {
		c.problems.sort()
		return cfg, "", c.problems
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(writtenOut(&only)); err != nil {
		return cfg, "", fmt.Errorf("write the section kafka of %s: %w", name, err)
	}
	return whole.Kafka, b.String(), nil
}

// writtenOut is a copy of n in which each alias has given way to what it stands for. A check has found that to be bounded.
func writtenOut(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return writtenOut(n.Alias)
	}
	made := *n
	made.Anchor, made.Content = "", nil
	for _, part := range n.Content {
		made.Content = append(made.Content, writtenOut(part))
	}
	return &made
}
