package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// mostProblems is how many problems are told: more than anybody reads.
const mostProblems = 1000

// Load reads and checks the configuration in the file at path, with variables from the environment. Whatever is wrong with the
// content comes back as Problems.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, os.LookupEnv)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return data, nil
}

// Parse checks the configuration in data; name stands for it in Problems, and env looks variables up.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	root, line, column, problem := parse(data)
	if problem != "" {
		return nil, Problems{{File: name, Line: line, Column: column, Message: problem}}
	}
	c := newChecker(name, env)
	checked := c.value(Schema(), root, "", false)
	if c.aliased > maxAliased {
		return nil, c.tooManyAliases()
	}
	cfg := &Config{}
	if checked != nil && len(c.problems) < mostProblems {
		derive(checked)
		c.decode(checked, cfg)
		c.finish(cfg)
	}
	if len(c.problems) > 0 {
		c.problems.sort()
		return nil, c.problems
	}
	return cfg, nil
}
