package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"

	"github.com/gonomaly/gonomaly/internal/invalid"
)

// finish checks what no single value shows: the components' own checks, and what must differ between components.
func (c *checker) finish(cfg *Config) {
	if cfg.Checkpoints.Every <= 0 {
		c.wrong("", &invalid.Value{Name: "checkpoints.every", Value: cfg.Checkpoints.Every, Want: "> 0"})
	}
	if !listenable(cfg.Listen) {
		c.wrong("", &invalid.Value{Name: "listen", Value: cfg.Listen, Want: "host:port, such as 127.0.0.1:9464, or :9464 for all hosts"})
	}
	if cfg.Redis != nil {
		c.wrongAll("redis", cfg.Redis.Check())
	} else if cfg.Checkpoints.Store == StoreRedis {
		c.wrong("", &invalid.Value{Name: "checkpoints.store", Value: StoreRedis, Want: "file or memory, or the address of Redis under the key redis"})
	}
	if cfg.Checkpoints.Store == StoreFile && cfg.Checkpoints.Directory == "" {
		c.wrong("", &invalid.Value{Name: "checkpoints.directory", Value: "", Want: "a directory, for the store file"})
	}
	c.wrongAll("kafka", cfg.Kafka.Check())
	c.wrongAll("tracing", cfg.Tracing.Check())
	c.checkSinks(cfg)
	names, groups, alerts := map[string]int{}, map[string]int{}, map[string]int{}
	for i := range cfg.Streams {
		s := &cfg.Streams[i]
		at := fmt.Sprintf("streams[%d]", i)
		c.unique(names, s.Name, i, "streams[%d].name")
		if c.at[at+".group"] != nil || !c.hasProblem(at+".name") { // by default it follows the name
			c.unique(groups, s.Group, i, "streams[%d].group")
		}
		if !c.hasProblem(at + ".topics") {
			c.unique(alerts, s.Alert.Topic, i, "streams[%d].alert.topic")
		}
		for j, topic := range s.Topics {
			if topic != "" && topic == s.Alert.Topic {
				c.wrong(at, &invalid.Value{Name: "alert.topic", Value: topic, Want: fmt.Sprintf("another topic than topics[%d], or the stream would read its own alerts", j)})
			}
		}
		c.checkStream(at, s)
	}
}

// listenable tells whether an address has a port that there is. Whether its host is one of this machine's, or the port is free, only a try shows.
func listenable(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port) // a number, or a name such as http
	}
	return err == nil
}

// checkSinks runs the sinks' own checks.
func (c *checker) checkSinks(cfg *Config) {
	names := map[string]int{}
	for i := range cfg.Sinks {
		s, at := &cfg.Sinks[i], fmt.Sprintf("sinks[%d]", i)
		c.unique(names, s.Name, i, "sinks[%d].name")
		if s.Kind == "redis" && cfg.Redis == nil {
			c.wrong(at, &invalid.Value{Name: "kind", Value: s.Kind, Want: "another kind, or the address of Redis under the key redis"})
		}
		c.wrongAll(at, s.Check())
	}
}

// unique reports that entry i of a list has the value of an earlier one.
func (c *checker) unique(seen map[string]int, value string, i int, path string) {
	if value == "" {
		return // a problem of its own
	}
	if first, twice := seen[value]; twice {
		c.wrong("", &invalid.Value{Name: fmt.Sprintf(path, i), Value: value, Want: "another than " + fmt.Sprintf(path, first) + " has"})
		return
	}
	seen[value] = i
}

// checkStream runs the pipeline's own checks. Where the file has a problem that they must stumble over as well, that one is enough.
func (c *checker) checkStream(at string, s *Stream) {
	fieldsUnknown := c.hasProblem(at+".decode") || c.hasProblem(at+".window")
	detectorUnknown := c.hasProblem(at + ".detectors")
	err := s.Check()
	if windowRefused(err) { // nothing after it was checked
		rest := s.Config
		rest.Window, fieldsUnknown = nil, true
		err = errors.Join(err, rest.Check())
	}
	for _, err := range flatten(err) {
		var v *invalid.Value
		if errors.As(err, &v) {
			ofFields := strings.HasPrefix(v.Name, "detectors[") && strings.Contains(v.Name, ".values[")
			if ofFields && fieldsUnknown || v.Name == "alert.direction" && detectorUnknown {
				continue
			}
		}
		c.wrong(at, err)
	}
}

// windowRefused tells whether the pipeline refused the window itself.
func windowRefused(err error) bool {
	return slices.ContainsFunc(flatten(err), func(err error) bool {
		var v *invalid.Value
		return errors.As(err, &v) && strings.HasPrefix(v.Name, "window")
	})
}

// hasProblem tells whether a problem lies at path, below it, or in what path is a part of.
func (c *checker) hasProblem(path string) bool {
	within := func(inner, outer string) bool {
		rest, ok := strings.CutPrefix(inner, outer)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	for _, p := range c.problems {
		if within(p.Path, path) || within(path, p.Path) {
			return true
		}
	}
	return slices.ContainsFunc(c.excused, func(p string) bool { return within(p, path) || within(path, p) })
}

// wrong reports what the component at path complains of, unless the file's value is known to be wrong already.
func (c *checker) wrong(path string, err error) {
	var v *invalid.Value
	if !errors.As(err, &v) {
		if !c.hasProblem(path) {
			c.report(c.locate(path), path, "is refused: %v", err)
		}
		return
	}
	path = join(path, v.Name)
	if c.hasProblem(path) {
		return
	}
	value := fmt.Sprint(v.Value)
	if unquoted, err := strconv.Unquote(value); err == nil {
		value = unquoted
	}
	if n, ok := c.at[path]; ok && n.Kind == yaml.ScalarNode && n.Value == value { // and not a word about the value, such as missing
		value = shown(&jsonschema.Schema{}, n)
	}
	if value == "" {
		value = "missing"
	}
	hint := ""
	if choices, ok := strings.CutPrefix(v.Want, "one of "); ok {
		hint = didYouMean(c.locate(path).Value, strings.Split(strings.TrimPrefix(choices, "the columns "), ", "))
	}
	c.report(c.locate(path), path, "is %s, want %s%s", value, v.Want, hint)
}

// wrongAll reports each of the errors that err joins.
func (c *checker) wrongAll(path string, err error) {
	for _, e := range flatten(err) {
		c.wrong(path, e)
	}
}

// locate is the node at path, or the nearest one around it that the file has.
func (c *checker) locate(path string) *yaml.Node {
	for path != "" {
		if n, ok := c.at[path]; ok {
			return n
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return c.at[""]
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}
