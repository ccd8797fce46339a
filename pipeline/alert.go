package pipeline

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Alert is what a sink delivers: one revision of an incident of one series. On the wire it is the data of a CloudEvent.
type Alert struct {
	ID       string `json:"-"` // the CloudEvent's id: the same whenever the same record is folded with the same configuration
	Trace    string `json:"-"` // the CloudEvent's traceparent; "" without tracing
	Stream   string `json:"stream" jsonschema_description:"Stream that raised the alert."`
	Key      string `json:"key" jsonschema_description:"Series the alert is about; empty where a stream has one series only."`
	Kind     Kind   `json:"kind" jsonschema:"enum=anomaly,enum=drift,enum=silence" jsonschema_description:"What was found: an anomaly, a drift (a lasting change of distribution), or a silence (no record of the key)."`
	Status   Status `json:"status" jsonschema:"enum=open,enum=update,enum=resolve" jsonschema_description:"Where the incident stands: opened, escalated (as many times as surprising as when last told as alert.escalate says), or over."`
	Incident string `json:"incident" jsonschema_description:"Id of the alert that opened the incident."`
	Revision int    `json:"revision" jsonschema:"minimum=0" jsonschema_description:"0 for open, then one more with each alert of the incident."`

	Time     time.Time           `json:"event_time" jsonschema_description:"Event time of the point; of a window, its end. For a resolve, when the quiet time was over. Of a silence, when it had lasted for as long as is asked for, or was over."`
	Opened   time.Time           `json:"opened" jsonschema_description:"Event time at which the incident opened."`
	Window   *WindowBounds       `json:"window,omitempty" jsonschema_description:"Event-time window of the point, in streams with windows."`
	Values   map[string]float64  `json:"values,omitempty" jsonschema_description:"The point: each field's value. Of thousands of fields, whose alert a broker would not take, only the hundred with the largest shares."`
	Expected map[string]Forecast `json:"expected,omitempty" jsonschema_description:"What was expected of each field, from detectors that can tell."`

	Score     float64            `json:"score,omitempty" jsonschema_description:"The detector's score; of several detectors their combination, in decades (-log10 of its p-value)."`
	PValue    float64            `json:"p_value,omitempty" jsonschema_description:"Share of ordinary points that would score at least as high, as estimated so far."`
	Limit     float64            `json:"limit,omitempty" jsonschema_description:"Score at which an alert is raised, now."`
	Detectors []Vote             `json:"detectors,omitempty" jsonschema_description:"What each detector says."`
	Shares    map[string]float64 `json:"shares,omitempty" jsonschema_description:"Each field's share of the score; they add up to 1."`
	Change    *Change            `json:"change,omitempty" jsonschema_description:"For a drift: what changed, from what to what."`

	Reason     string `json:"reason" jsonschema_description:"One plain sentence: why this alert."`
	Origin     Origin `json:"origin" jsonschema_description:"Record that triggered the alert."`
	ConfigHash string `json:"config_hash" jsonschema_description:"Hash of the stream's detection settings; with the same hash the same records give the same alerts."`
}

// mostFields are those that an alert too large for a broker is left with.
const mostFields = 100

// narrow leaves an alert only the fields with the largest shares. Cut like a dead letter it would be none, and no sink would take it.
func (a *Alert) narrow() {
	fields := slices.SortedFunc(maps.Keys(a.Values), func(f, g string) int {
		return cmp.Or(cmp.Compare(a.Shares[g], a.Shares[f]), cmp.Compare(f, g))
	})
	for _, f := range fields[min(mostFields, len(fields)):] {
		delete(a.Values, f)
		delete(a.Expected, f)
		delete(a.Shares, f)
	}
}

// Kind is what was found.
type Kind string

const (
	Anomaly Kind = "anomaly"
	Drift   Kind = "drift"
	Silence Kind = "silence"
)

var kinds = [...]Kind{Anomaly, Drift, Silence}

// Status is where an incident stands.
type Status string

const (
	Open    Status = "open"
	Update  Status = "update"
	Resolve Status = "resolve"
)

// WindowBounds is an event-time window: Start inclusive, End exclusive.
type WindowBounds struct {
	Start time.Time `json:"start" jsonschema_description:"First instant of the window."`
	End   time.Time `json:"end" jsonschema_description:"First instant after the window."`
}

// Forecast is what a detector expected of a field, and the band it would not call odd.
type Forecast struct {
	Value float64 `json:"value" jsonschema_description:"Value that was expected."`
	Low   float64 `json:"low" jsonschema_description:"Lowest value that would not have been odd."`
	High  float64 `json:"high" jsonschema_description:"Highest value that would not have been odd."`
}

// Vote is one detector's say.
type Vote struct {
	Kind   string  `json:"kind" jsonschema_description:"Kind of the detector."`
	Score  float64 `json:"score" jsonschema_description:"In the detector's own unit."`
	PValue float64 `json:"p_value" jsonschema_description:"The score on the common scale."`
	Fired  bool    `json:"fired" jsonschema_description:"Whether this detector alone would have raised the alert."`
}

// Change is a drift of one field, or of the score.
type Change struct {
	Monitor string  `json:"monitor" jsonschema_description:"Kind of the drift monitor."`
	Of      string  `json:"of" jsonschema_description:"Field that drifted, or a detector's kind and the word score."`
	Before  float64 `json:"before" jsonschema_description:"Mean before the change, or standard deviation."`
	After   float64 `json:"after" jsonschema_description:"The same after the change."`
	Spread  bool    `json:"spread,omitempty" jsonschema_description:"Before and after are standard deviations, not means."`
}

// Origin is a record's place in Kafka.
type Origin struct {
	Topic     string `json:"topic" jsonschema_description:"Topic of the record."`
	Partition int32  `json:"partition" jsonschema_description:"Partition of the record."`
	Offset    int64  `json:"offset" jsonschema_description:"Offset of the record."`
}
