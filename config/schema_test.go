package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	invopop "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/drift"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources"
)

// compile checks a schema against the meta-schema and returns a validator that shares no code with this package.
func compile(t *testing.T, s *invopop.Schema) *jsonschema.Schema {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if got := compiled.DraftVersion; got != 2020 {
		t.Fatalf("draft is %d, want 2020", got)
	}
	return compiled
}

// instance is YAML as a JSON validator sees it.
func instance(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// An independent validator accepts the examples and the created files by the published schema, and refuses the broken ones that are
// broken in structure.
func TestSchemaAgreesWithParse(t *testing.T) {
	s := compile(t, Schema())
	for _, file := range glob(t, "examples/*.yaml", 3) {
		if err := s.Validate(instance(t, read(t, file))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, kind := range Kinds() {
		b, err := Create(kind, CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(instance(t, b)); err != nil {
			t.Errorf("created %s: %v", kind, err)
		}
	}
	for _, file := range glob(t, "testdata/broken/structure-*.yaml", 10) {
		if err := s.Validate(instance(t, read(t, file))); err == nil {
			t.Errorf("%s is valid by the schema, want a problem", filepath.Base(file))
		}
	}
	for _, file := range glob(t, "testdata/broken/rule-*.yaml", 5) {
		if err := s.Validate(instance(t, read(t, file))); err != nil {
			t.Errorf("%s is named as broken in a rule that the schema does not know, yet %v", filepath.Base(file), err)
		}
	}
}

// properties calls f for every property of a schema, at any depth.
func properties(s *invopop.Schema, path string, f func(path string, p *invopop.Schema)) {
	if s == nil {
		return
	}
	if s.Properties != nil {
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			at := join(path, p.Key)
			f(at, p.Value)
			properties(p.Value, at, f)
		}
	}
	properties(s.Items, path+"[]", f)
	for _, branch := range s.OneOf {
		properties(branch, path+"("+branch.Title+")", f)
	}
}

// Every key is described; every pattern compiles; what looks like a secret is one.
func TestProperties(t *testing.T) {
	n := 0
	properties(Schema(), "", func(path string, p *invopop.Schema) {
		n++
		if p.Description == "" || !strings.HasSuffix(p.Description, ".") {
			t.Errorf("%s has the description %q, want a sentence", path, p.Description)
		}
		if _, err := regexp.Compile(p.Pattern); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if p.Pattern != "" && p.Format == "" && patterns[strings.TrimSuffix(p.Pattern, orVariable)] == "" {
			t.Errorf("%s: no words for the pattern %s", path, p.Pattern)
		}
		name := path[strings.LastIndex(path, ".")+1:]
		if secret := regexp.MustCompile(`(password|secret|token)$`).MatchString(name); secret != p.WriteOnly {
			t.Errorf("%s is write-only: %v, want %v", path, p.WriteOnly, secret)
		}
		if p.Default != nil && p.Properties == nil {
			c := &checker{file: "default", env: nothing, at: map[string]*yaml.Node{}, told: map[string]bool{}}
			if c.value(p, plainNode(p.Default), path, false); len(c.problems) > 0 {
				t.Errorf("the default of %s: %v", path, c.problems)
			}
		}
	})
	if n < 50 {
		t.Errorf("%d properties, want the whole configuration", n)
	}
	properties(AlertSchema(), "", func(path string, p *invopop.Schema) {
		if p.Description == "" {
			t.Errorf("%s of an alert has no description", path)
		}
	})
}

// The defaults in the tags are those of the components' own functions.
func TestDefaultsAgree(t *testing.T) {
	c := parseString(t, "redis: {}\n"+minimal)
	d := c.Streams[0].Decode
	d.Values = nil
	if want := decode.Defaults(); !reflect.DeepEqual(d, want) {
		t.Errorf("decode is by default %+v, want %+v", d, want)
	}
	if want := sources.DefaultKafka(); c.Streams[0].KafkaConfig != want {
		t.Errorf("delivery, commit_every and group_protocol are by default %+v, want %+v", c.Streams[0].KafkaConfig, want)
	}
	if want := checkpoint.DefaultRedis(); !reflect.DeepEqual(*c.Redis, want) {
		t.Errorf("redis is by default %+v, want %+v", *c.Redis, want)
	}
	check := func(table, kind string, fresh any) {
		tags := reflector(nil).ReflectFromType(reflect.TypeOf(fresh))
		v := reflect.Indirect(reflect.ValueOf(fresh))
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			p, ok := tags.Properties.Get(name)
			if ok && p.Default != nil && fmt.Sprint(p.Default) != fmt.Sprint(plain(v.Field(i))) {
				t.Errorf("%s of kind %s: the tag of %s has the default %v, the table %v", table, kind, name, p.Default, plain(v.Field(i)))
			}
		}
	}
	for kind, fresh := range settings(detectors.Kinds) {
		check("detector", kind, fresh)
	}
	for kind, fresh := range settings(drift.Kinds) {
		check("drift", kind, fresh)
	}
}

// What the pipeline writes is what the alert's schema says.
func TestAlertSchema(t *testing.T) {
	s := compile(t, AlertSchema())
	at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	b, err := pipeline.EncodeAlert(&pipeline.Alert{ID: "1", Stream: "machines", Key: "press-7", Kind: pipeline.Anomaly, Status: pipeline.Open,
		Incident: "1", Time: at, Opened: at, Values: map[string]float64{"temp": 90}, Expected: map[string]pipeline.Forecast{"temp": {Value: 70, Low: 60, High: 80}},
		Window: &pipeline.WindowBounds{Start: at, End: at}, Detectors: []pipeline.Vote{{Kind: "ewma", Score: 9}}, Change: &pipeline.Change{Monitor: "adwin"}})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(doc); err != nil {
		t.Error(err)
	}
	doc.(map[string]any)["data"].(map[string]any)["kind"] = "guess"
	if err := s.Validate(doc); err == nil {
		t.Error("an alert of kind guess is valid, want a problem")
	}
}
