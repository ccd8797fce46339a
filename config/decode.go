package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/drift"
	"github.com/gonomaly/gonomaly/sinks"
)

// derive writes the defaults that depend on other values into the checked tree.
func derive(root *yaml.Node) {
	if _, checkpoints := entry(root, "checkpoints"); checkpoints != nil {
		_, directory := entry(checkpoints, "directory")
		switch {
		case !missing(root, "redis"):
			setDefault(checkpoints, "store", StoreRedis)
		case directory != nil && directory.Value != "":
			setDefault(checkpoints, "store", StoreFile)
		default:
			setDefault(checkpoints, "store", StoreMemory)
		}
	}
	if list := find(root, "sinks"); list != nil {
		for _, s := range list.Content {
			if _, kind := entry(s, "kind"); kind != nil {
				setDefault(s, "name", kind.Value)
			}
		}
	}
	_, streams := entry(root, "streams")
	if streams == nil {
		return
	}
	for _, s := range streams.Content {
		if _, name := entry(s, "name"); name != nil {
			setDefault(s, "group", "gonomaly."+name.Value)
		}
		_, topics := entry(s, "topics")
		_, alert := entry(s, "alert")
		if topics != nil && alert != nil && topics.Content[0].Value != "" {
			setDefault(alert, "topic", topics.Content[0].Value+".alerts")
		}
	}
}

// setDefault sets a key of a mapping that is missing or holds an empty text.
func setDefault(n *yaml.Node, key, value string) {
	switch _, given := entry(n, key); {
	case given == nil:
		n.Content = append(n.Content, word(key), word(value))
	case given.Value == "":
		given.Value = value
	}
}

// decode fills cfg from the checked tree, kinds included.
func (c *checker) decode(root *yaml.Node, cfg *Config) {
	errs := []error{root.Decode(cfg)}
	for i := range cfg.Streams {
		s := &cfg.Streams[i]
		at := fmt.Sprintf("streams[%d]", i)
		for j := range s.Detectors {
			s.Detectors[j].Params = unusable{}
			if fresh, ok := detectors.Kinds[s.Detectors[j].Kind]; ok {
				params, err := decodeKind(fresh, find(root, fmt.Sprintf("%s.detectors[%d]", at, j)))
				s.Detectors[j].Params = params
				errs = append(errs, err)
			}
		}
		for j := range s.Drift {
			s.Drift[j].Params = unusableMonitor{}
			if fresh, ok := drift.Kinds[s.Drift[j].Kind]; ok {
				params, err := decodeKind(fresh, find(root, fmt.Sprintf("%s.drift[%d]", at, j)))
				s.Drift[j].Params = params
				errs = append(errs, err)
			}
		}
	}
	for i := range cfg.Sinks {
		if fresh, ok := sinks.Kinds[cfg.Sinks[i].Kind]; ok {
			params, err := decodeKind(fresh, find(root, fmt.Sprintf("sinks[%d]", i)))
			cfg.Sinks[i].Params = params
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil { // a value that the schema lets through and its Go type does not hold
		c.report(root, "", "%s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
}

// unusable stands in for settings with a problem of their own, so that the rest can still be checked.
type (
	unusable        struct{}
	unusableMonitor struct{}
)

func (unusable) New(int) (detectors.Detector, error) { return nil, nil } //nolint:nilnil // nobody uses it
func (unusableMonitor) New() (drift.Monitor, error)  { return nil, nil } //nolint:nilnil // nobody uses it

// decodeKind decodes n over the defaults of a kind.
func decodeKind[C any](fresh func() C, n *yaml.Node) (C, error) {
	made := fresh()
	v := reflect.New(reflect.TypeOf(made))
	v.Elem().Set(reflect.ValueOf(made))
	err := n.Decode(v.Interface())
	return v.Elem().Interface().(C), err
}
