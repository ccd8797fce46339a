package pipeline

import (
	"time"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/detectors/drift"
	"github.com/gonomaly/gonomaly/pipeline/decode"
)

// Config is everything that the state machine of a stream's partitions depends on. Its hash stands in checkpoints and alerts.
type Config struct {
	Decode    decode.Config    `yaml:"decode" jsonschema:"required" jsonschema_description:"How a record becomes a sample: format, key, time and values."`
	Window    *WindowConfig    `yaml:"window" jsonschema_description:"Gather samples into windows. Without it each record is a point."`
	Detectors []DetectorConfig `yaml:"detectors" jsonschema:"required,minItems=1" jsonschema_description:"Detectors; with several, their p-values are combined."`
	Drift     []DriftConfig    `yaml:"drift" jsonschema_description:"Monitors for lasting changes of distribution."`
	Alert     AlertConfig      `yaml:"alert" jsonschema_description:"When an alert is raised, and where it goes."`
	MaxSeries int              `yaml:"max_series" jsonschema:"minimum=1,default=100000" jsonschema_description:"Most series held by one partition. When it is full, a key that comes again and again takes the place of the one silent for longest; records of others are counted as not_admitted."`
	MaxBytes  int64            `yaml:"max_bytes" jsonschema:"minimum=65536,default=1073741824" jsonschema_description:"About how many bytes the series of one partition may hold; the same happens when that is reached."`
	Idle      time.Duration    `yaml:"idle" jsonschema:"default=0s" jsonschema_description:"A series silent for longer than this, in event time, is forgotten; 0s keeps it. At least as long as the cool-down, and a window with its lateness."`
}

// WindowConfig is either a tumbling interval in event time (Every) or the last n samples (Last).
type WindowConfig struct {
	Every     time.Duration `yaml:"every" jsonschema_description:"Length of a tumbling window in event time, aligned to 1970."`
	Aggregate []string      `yaml:"aggregate" jsonschema:"enum=count,enum=sum,enum=mean,enum=min,enum=max,enum=stddev,enum=p50,enum=p99,enum=rate" jsonschema_description:"What becomes of each value in a window: its fields are named value.aggregate; count is one field for the window; rate is a counter's increase per second."`
	Lateness  time.Duration `yaml:"lateness" jsonschema:"default=0s" jsonschema_description:"How far the watermark stays behind the newest event time; later records are counted as late and left out."`
	Last      int           `yaml:"last" jsonschema:"minimum=2,maximum=64" jsonschema_description:"Make a point of the last n samples of the series, one field each."`
}

// DetectorConfig is one detector: its kind, the values it sees, and the kind's own settings beside them.
type DetectorConfig struct {
	Kind   string           `yaml:"kind" jsonschema_description:"Kind of the detector."`
	Values decode.Fields    `yaml:"values" jsonschema_description:"Values the detector sees: of decode.values, or the fields that a window makes of them. Without it all of them."`
	Scope  Scope            `yaml:"scope" json:",omitzero" jsonschema:"enum=key,enum=partition,default=key" jsonschema_description:"Whom the detector learns from: each key from itself, or all keys of a partition together, where they are alike and have few records each, such as payments by card."`
	Vote   Weight           `yaml:"vote" json:",omitzero" jsonschema:"exclusiveMinimum=0,maximum=1000000,default=1" jsonschema_description:"How much the detector counts where several are combined, against the votes of the others."`
	Params detectors.Config `yaml:"-"` // of detectors.Kinds[Kind]
}

// Scope is whom a detector learns from.
type Scope string

const (
	OfKey       Scope = "key" // the default
	OfPartition Scope = "partition"
)

// IsZero leaves the scope that is usual out of digests.
func (s Scope) IsZero() bool { return s != OfPartition }

// Weight is that of a detector among others, above 0.
type Weight float64

// IsZero leaves the weight that everyone has out of digests.
func (w Weight) IsZero() bool { return w == 1 }

// DriftConfig is one drift monitor, beside it the kind's own settings.
type DriftConfig struct {
	Kind      string       `yaml:"kind" jsonschema_description:"Kind of the monitor."`
	On        string       `yaml:"on" jsonschema:"enum=values,enum=scores,default=scores" jsonschema_description:"What is watched: each of the point's values, or the score."`
	Direction Direction    `yaml:"direction" jsonschema:"enum=both,enum=up,enum=down,default=both" jsonschema_description:"Tell changes to a higher mean, to a lower one, or both. What is not told is followed all the same."`
	Params    drift.Config `yaml:"-"` // of drift.Kinds[Kind]
}

// AlertConfig says when an alert is raised.
type AlertConfig struct {
	FalseAlarms  Rate          `yaml:"false_alarms" jsonschema:"default=1 per 10000 points" jsonschema_description:"How many false alarms are wanted: 1 per 10000 points; 1 per day, for each key; or 1 per day per partition, for all its keys together. A limit of time follows the pace of a key's points."`
	Direction    Direction     `yaml:"direction" jsonschema:"enum=both,enum=up,enum=down,default=both" jsonschema_description:"Alert on values above what was expected, below, or both."`
	MinDeviation Deviation     `yaml:"min_deviation" json:",omitzero" jsonschema_description:"Alert only where the field that deviates most is so far from what was expected."`
	ValidRange   []ValidRange  `yaml:"valid_range" json:",omitempty" jsonschema_description:"Values that are valid. Others raise an alert, whatever the detectors say, and in warm-up too."`
	CoolDown     Span          `yaml:"cool_down" jsonschema:"default=75 points" jsonschema_description:"Quiet time, or quiet points, after which an incident is over, for example 15m or 75 points."`
	Silence      time.Duration `yaml:"silence" json:",omitzero" jsonschema:"default=0s" jsonschema_description:"Tell of a key without a record for so long, in event time, while others of its partition have some; 0s tells of none. At least twice as long as a key is silent by itself. Keys in warm-up are not told of. It is told up to an eighth of that later."`
	Escalate     float64       `yaml:"escalate" jsonschema:"minimum=1,default=1.5" jsonschema_description:"An open incident is told again when it is so many times as surprising, in decades, as when it was last told."`
	Topic        string        `yaml:"topic" jsonschema_description:"Topic for alerts; by default the first input topic with .alerts."`
}

// Deviation is a distance from what was expected. All that is set has to be reached.
type Deviation struct {
	Absolute float64 `yaml:"absolute" json:",omitempty" jsonschema:"minimum=0" jsonschema_description:"In the field's unit."`
	Relative float64 `yaml:"relative" json:",omitempty" jsonschema:"minimum=0" jsonschema_description:"Share of the expected value: 0.1 is a tenth of it."`
}

// ValidRange is that of one field of a point.
type ValidRange struct {
	Field string   `yaml:"field" jsonschema:"required" jsonschema_description:"Field of the point: a value, or what a window makes of it."`
	Low   *float64 `yaml:"low" jsonschema_description:"Lowest valid value."`
	High  *float64 `yaml:"high" jsonschema_description:"Highest valid value."`
}
