package config

import (
	"reflect"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/gonomaly/gonomaly/pipeline"
)

// envelope documents the CloudEvents 1.0 envelope (CloudEvents JSON Event Format 1.0.2, section 3) that pipeline.EncodeAlert writes.
type envelope struct {
	SpecVersion     string         `json:"specversion" jsonschema:"enum=1.0" jsonschema_description:"Version of CloudEvents."`
	ID              string         `json:"id" jsonschema:"minLength=1" jsonschema_description:"The alert's id: the same whenever the same record is folded with the same configuration."`
	Source          string         `json:"source" jsonschema_description:"/gonomaly/streams/ and the name of the stream."`
	Type            string         `json:"type" jsonschema_description:"io.gonomaly.alert., the alert's kind, and the version of the data."`
	Subject         string         `json:"subject,omitempty" jsonschema_description:"Key of the series."`
	Time            time.Time      `json:"time" jsonschema_description:"Event time of the alert."`
	DataContentType string         `json:"datacontenttype" jsonschema:"enum=application/json" jsonschema_description:"Media type of the data."`
	TraceParent     string         `json:"traceparent,omitempty" jsonschema_description:"Where tracing is on, the alert's place in its trace, as the CloudEvents extension for distributed tracing has it."`
	Data            pipeline.Alert `json:"data" jsonschema_description:"The alert."`
}

// AlertSchema returns the JSON Schema (2020-12) of what stands in the alerts topic: a CloudEvent whose data is an alert.
func AlertSchema() *jsonschema.Schema {
	// Further keys are allowed: CloudEvents has extension attributes, and a reader should live with an alert that says more.
	r := &jsonschema.Reflector{Anonymous: true, DoNotReference: true, AllowAdditionalProperties: true}
	s := r.ReflectFromType(reflect.TypeFor[envelope]())
	s.Title = "Alert of Gonomaly, a CloudEvent 1.0 in structured JSON"
	return s
}
