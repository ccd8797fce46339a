package config

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/drift"
	"github.com/gonomaly/gonomaly/internal/duration"
	"github.com/gonomaly/gonomaly/internal/trust"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sinks"
)

// Schema returns the JSON Schema (2020-12) of the configuration. It is made of the tags of the structs that the configuration is
// decoded into, and it is what Parse checks a file against: there is no second list of keys.
func Schema() *jsonschema.Schema {
	s := reflector(nil).ReflectFromType(reflect.TypeFor[Config]())
	s.Title = "Configuration of Gonomaly"
	s.Description = "A value may hold variables of the environment: ${NAME}, ${NAME:-default}, ${NAME:?message}; $$ is a dollar."
	describeDefaults(s, reflect.ValueOf(defaults()))
	admitVariables(s)
	return s
}

// orVariable ends the pattern of every text in the schema: the pattern is for what becomes of the variables, and an editor sees these.
const orVariable = `|\$\{`

func admitVariables(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if s.Pattern != "" {
		s.Pattern += orVariable
	}
	if s.Properties != nil {
		for p := s.Properties.Oldest(); p != nil; p = p.Next() {
			admitVariables(p.Value)
		}
	}
	admitVariables(s.Items)
	for _, branch := range slices.Concat(s.OneOf, s.AnyOf) {
		admitVariables(branch)
	}
}

// text is a type that stands in YAML as a string of a certain form.
type text struct {
	format  string // as the schema names it
	pattern string
	want    string
	check   func(string) error // its message begins with the value
}

const goDuration = "go-duration"

var texts = map[reflect.Type]text{
	reflect.TypeFor[time.Duration](): {goDuration, `^(0|` + duration.Pattern + `)$`, "a time such as 500ms, 15m, 1h30m or 14d", func(s string) error {
		_, err := duration.Parse(s)
		return err
	}},
	reflect.TypeFor[pipeline.Rate](): {"rate", `^[0-9][0-9.]* per ([1-9][0-9,.]* points?|(minute|hour|day|week|` + duration.Pattern + `)( per partition)?)$`, "a rate such as 1 per 10000 points, or 1 per day", func(s string) error {
		return new(pipeline.Rate).UnmarshalText([]byte(s))
	}},
	reflect.TypeFor[pipeline.Span](): {"span", `^(` + duration.Pattern + `|[1-9][0-9]* points?)$`, "a time such as 15m, or points such as 75 points", func(s string) error {
		return new(pipeline.Span).UnmarshalText([]byte(s))
	}},
}

func textOf(format string) (text, bool) {
	for _, t := range texts {
		if t.format == format {
			return t, true
		}
	}
	return text{}, false
}

// reflector makes schemas by the rules of this package; the type except is taken as the plain struct it is.
func reflector(except reflect.Type) *jsonschema.Reflector {
	return &jsonschema.Reflector{
		Anonymous:                  true,
		DoNotReference:             true,
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if t == except {
				return nil
			}
			if form, ok := texts[t]; ok {
				return &jsonschema.Schema{Type: "string", Format: form.format, Pattern: form.pattern}
			}
			switch t {
			case reflect.TypeFor[trust.Secret]():
				return &jsonschema.Schema{Type: "string", WriteOnly: true}
			case reflect.TypeFor[decode.Fields]():
				one := func() *jsonschema.Schema { return &jsonschema.Schema{Type: "string", MinLength: new(uint64(1))} }
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{one(), {Type: "array", Items: one()}}}
			case reflect.TypeFor[pipeline.DetectorConfig]():
				return kinds(t, settings(detectors.Kinds))
			case reflect.TypeFor[pipeline.DriftConfig]():
				return kinds(t, settings(drift.Kinds))
			case reflect.TypeFor[sinks.SinkConfig]():
				return kinds(t, settings(sinks.Kinds))
			}
			return nil
		},
	}
}

// settings makes the defaults of each kind in a table.
func settings[C any](table map[string]func() C) map[string]any {
	made := map[string]any{}
	for kind, fresh := range table {
		made[kind] = fresh()
	}
	return made
}

// kinds is the schema of a struct whose key kind chooses an entry of a table, the entry's own keys standing beside it.
func kinds(t reflect.Type, table map[string]any) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object"}
	for _, kind := range slices.Sorted(maps.Keys(table)) {
		branch := reflector(t).ReflectFromType(t)
		own := reflector(nil).ReflectFromType(reflect.TypeOf(table[kind]))
		describeDefaults(own, reflect.Indirect(reflect.ValueOf(table[kind])))
		for p := own.Properties.Oldest(); p != nil; p = p.Next() {
			branch.Properties.Set(p.Key, p.Value)
		}
		branch.Version, branch.Title = "", "kind "+kind
		branch.Properties.Value("kind").Const = kind
		branch.Required = append(append([]string{"kind"}, branch.Required...), own.Required...)
		slices.Sort(branch.Required)
		branch.Required = slices.Compact(branch.Required)
		s.OneOf = append(s.OneOf, branch)
	}
	return s
}

// describeDefaults writes v's values into s as the defaults. Objects that are not optional default to their own defaults.
func describeDefaults(s *jsonschema.Schema, v reflect.Value) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		f := v.Field(i)
		if name == "" && f.Kind() == reflect.Struct { // inline
			describeDefaults(s, f)
			continue
		}
		p, ok := s.Properties.Get(name)
		if !ok {
			continue
		}
		optional := f.Kind() == reflect.Pointer
		if optional {
			if f.IsNil() {
				f = reflect.Zero(f.Type().Elem())
			} else {
				f, optional = f.Elem(), false
			}
		}
		switch {
		case p.Properties != nil && f.Kind() == reflect.Struct:
			describeDefaults(p, f)
			if !optional && len(p.Required) == 0 {
				p.Default = map[string]any{}
			}
		case p.Items != nil && p.Items.Properties != nil && f.Kind() == reflect.Slice:
			describeDefaults(p.Items, reflect.Zero(f.Type().Elem()))
		case !f.IsZero():
			p.Default = plain(f)
		}
		if p.Default != nil { // it need not be in the file
			s.Required = slices.DeleteFunc(s.Required, func(key string) bool { return key == name })
		}
	}
}

// plain is v as JSON has it.
func plain(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		if err != nil {
			panic("a default that cannot be written: " + err.Error())
		}
		return string(b)
	case json.Number:
		return x
	}
	if v.Kind() == reflect.Slice {
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	}
	return v.Interface()
}
