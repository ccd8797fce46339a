// Package decode turns the bytes of a record into a sample: the key of its series, its event time and its values. It looks at what
// the configuration names and at nothing else of a record; what it cannot decode it refuses, with a reason out of a fixed list.
package decode

import (
	"errors"
	"time"
)

// Sample is what a record says of one series.
type Sample struct {
	Key    []byte    // valid as long as the record, and until the next Decode
	Time   int64     // event time, Unix nanoseconds
	Values []float64 // one finite value for each of Config.Values, in their order, or NaN where it is missing and may be; the slice is reused
}

// Decoder decodes the records of one stream. It belongs to one goroutine.
type Decoder interface {
	// Decode fills s from a record's key, value and Kafka timestamp (Unix nanoseconds). An error is ErrFiltered or a *Refused. It does not
	// allocate for a record that is well-formed.
	Decode(key, value []byte, timestamp int64, s *Sample) error
}

// ErrFiltered is of a record that is sound and none of the stream's: one that Config.Where leaves out, or a tombstone.
var ErrFiltered = errors.New("filtered: not one of the stream's records")

// Refused says why a record is not a sample. It is an outcome, not a failure: the record is set aside, the stream goes on.
type Refused struct {
	Reason Reason
	Detail string // for a person: the field, the offending text (shortened), what was wanted
}

func (e *Refused) Error() string { return string(e.Reason) + ": " + e.Detail }

// Reason is a bounded vocabulary: it labels metrics and stands in the header of a dead letter.
type Reason string

const (
	NotJSON      Reason = "not_json"
	NotCSV       Reason = "not_csv"
	MissingField Reason = "missing_field" // absent or null
	WrongType    Reason = "wrong_type"
	NotFinite    Reason = "not_finite" // NaN, an infinity, or a number beyond float64
	TooLarge     Reason = "too_large"
	TooDeep      Reason = "too_deep"
	BadTime      Reason = "time_out_of_range" // not a time, or further ahead than believed
)

// Reasons are all that a Decoder gives.
func Reasons() []Reason {
	return []Reason{NotJSON, NotCSV, MissingField, WrongType, NotFinite, TooLarge, TooDeep, BadTime}
}

// Config describes a stream's records.
type Config struct {
	Format  string   `yaml:"format" jsonschema:"enum=json,enum=csv,default=json" jsonschema_description:"Format of a record's value. JSON may stand behind the five bytes that serializers of a schema registry write."`
	Columns []string `yaml:"columns" jsonschema_description:"Names of the columns of a CSV record, in order. Only for format csv."`
	Where   []Where  `yaml:"where" json:",omitempty" jsonschema_description:"What a record has to say to be one of the stream's, where a topic has several kinds of records; all of it has to hold. Others are counted as filtered."`
	Key     Fields   `yaml:"key" jsonschema_description:"Field, or list of fields, whose value names the series. Without it the record's own key does."`
	Time    Time     `yaml:"time" jsonschema_description:"Where a sample's event time stands. Without it the record's timestamp is taken."`
	Values  Fields   `yaml:"values" jsonschema:"required" jsonschema_description:"Numeric fields to watch; a dot descends into objects, \\. is a dot in a name."`

	Missing          Missing `yaml:"missing" json:",omitzero" jsonschema:"enum=refuse,enum=last,default=refuse" jsonschema_description:"What becomes of a record in which some of the values are missing, absent or null: it is refused, a dead letter, or they are taken to be the last ones of the series, as where devices send only what has changed, or a sensor of many fails."`
	NumbersAsStrings bool    `yaml:"numbers_as_strings" jsonschema:"default=false" jsonschema_description:"Also take a number written as a JSON string."`
	MaxBytes         int     `yaml:"max_bytes" jsonschema:"minimum=1,maximum=104857600,default=1048576" jsonschema_description:"Largest record, in bytes; a larger one is a dead letter."`
	MaxDepth         int     `yaml:"max_depth" jsonschema:"minimum=1,maximum=1000,default=32" jsonschema_description:"Deepest nesting of a JSON record."`

	MaxAhead time.Duration `yaml:"max_ahead" jsonschema:"default=10m" jsonschema_description:"How far an event time may lie after the record's Kafka timestamp before it is not believed; 0s is the default."`
}

// Missing is what becomes of a record in which some of the values are missing.
type Missing string

const (
	Refuse Missing = "refuse" // the default
	Last   Missing = "last"
)

// IsZero leaves the default out of digests.
func (m Missing) IsZero() bool { return m != Last }

// Where is a condition on one field of a record. What the record does not have, or has as null, an object or an array, meets none.
type Where struct {
	Field string `yaml:"field" jsonschema:"required" jsonschema_description:"Field to look at."`
	Is    Fields `yaml:"is" jsonschema:"required" jsonschema_description:"What it has to be: a text, or one of a list of them. Numbers, true and false are compared as they are written."`
}

// Time says where a sample's event time stands and how it is written.
type Time struct {
	Field  string `yaml:"field" jsonschema_description:"Field with the event time."`
	Unit   string `yaml:"unit" jsonschema:"enum=s,enum=ms,enum=us,enum=ns" jsonschema_description:"Unit of a numeric time since 1970. Without it and without a layout the field is RFC 3339 text."`
	Layout string `yaml:"layout" jsonschema_description:"Layout of a textual time as Go writes it, for example 2006-01-02 15:04:05."`
	Zone   string `yaml:"zone" jsonschema:"default=UTC" jsonschema_description:"IANA time zone of a layout without one."`
}

// Fields is a list of field paths; in YAML a single one may stand without brackets.
type Fields []string
