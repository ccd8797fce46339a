package pipeline

import (
	"encoding/json"
	"fmt"
	"time"
)

// event is the CloudEvents 1.0 envelope, in structured JSON mode (CloudEvents JSON Event Format 1.0.2, section 3).
type event[D any] struct {
	SpecVersion     string    `json:"specversion"`
	ID              string    `json:"id"`
	Source          string    `json:"source"`
	Type            string    `json:"type"`
	Subject         string    `json:"subject,omitempty"`
	Time            time.Time `json:"time"`
	DataContentType string    `json:"datacontenttype"`
	TraceParent     string    `json:"traceparent,omitempty"` // of the extension for distributed tracing
	Data            *D        `json:"data"`
}

// contentType is the media type of an alert on the wire.
const contentType = "application/cloudevents+json; charset=UTF-8"

// eventType is the CloudEvents type of an alert's kind; its version changes when a reader of the old one would misread the new.
func eventType(k Kind) string { return "io.gonomaly.alert." + string(k) + ".v1" }

// sourceOf is the CloudEvents source of a stream.
func sourceOf(stream string) string { return "/gonomaly/streams/" + stream }

// EncodeAlert returns a as a CloudEvent. The same alert always has the same bytes.
func EncodeAlert(a *Alert) ([]byte, error) {
	return json.Marshal(event[Alert]{
		SpecVersion: "1.0", ID: a.ID, Source: sourceOf(a.Stream), Type: eventType(a.Kind), Subject: a.Key,
		Time: a.Time, DataContentType: "application/json", TraceParent: a.Trace, Data: a,
	})
}

// ParseAlert reads what EncodeAlert wrote.
func ParseAlert(b []byte) (Alert, error) {
	var e event[Alert]
	if err := json.Unmarshal(b, &e); err != nil {
		return Alert{}, fmt.Errorf("parse alert: %w", err)
	}
	switch {
	case e.SpecVersion != "1.0":
		return Alert{}, fmt.Errorf("parse alert: specversion is %q, want 1.0", e.SpecVersion)
	case e.Data == nil || e.ID == "":
		return Alert{}, fmt.Errorf("parse alert: id %q or data is missing", e.ID)
	case e.Type != eventType(e.Data.Kind):
		return Alert{}, fmt.Errorf("parse alert: type is %q, want %q", e.Type, eventType(e.Data.Kind))
	}
	e.Data.ID, e.Data.Trace = e.ID, e.TraceParent
	return *e.Data, nil
}
