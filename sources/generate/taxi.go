package generate

import (
	"bytes"
	_ "embed" // the series is part of the binary
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources"
)

// taxi is from the Numenta Anomaly Benchmark: see data/README.md for its source and licence.
//
//go:embed data/nyc_taxi.csv.gz
var taxi []byte

const (
	TaxiKey    = "nyc_taxi" // the key of all events of the series
	TaxiEvents = 10320      // how many there are
)

// Taxi is how many passengers New York's taxis carried in each half-hour from July 2014 to January 2015:
// {"timestamp":"2014-07-01 00:00:00","value":10844}.
func Taxi() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		rows, err := sources.NewFileReader("nyc_taxi.csv.gz", bytes.NewReader(taxi), decode.Config{})
		for range TaxiEvents {
			var e Event
			if err == nil {
				e, err = taxiEvent(rows)
			}
			if err != nil {
				panic(fmt.Sprintf("the embedded series is broken: %v", err))
			}
			if !yield(e) {
				return
			}
		}
	}
}

func taxiEvent(rows *sources.FileReader) (Event, error) {
	r, err := rows.Next()
	if err != nil {
		return Event{}, err
	}
	var row struct{ Timestamp string }
	if err := json.Unmarshal(r.Value, &row); err != nil {
		return Event{}, err
	}
	at, err := time.Parse(time.DateTime, row.Timestamp)
	return Event{Key: []byte(TaxiKey), Value: r.Value, Time: at.UnixNano()}, err
}

// Named is an anomaly of a real series, known by name. It counts as found by an alert within its window.
type Named struct {
	Name       string
	Start, End time.Time // inclusive
}

// TaxiAnomalies are the five that NAB's authors have labelled, with the windows of its labels/combined_windows.json.
func TaxiAnomalies() []Named {
	at := func(month time.Month, day, hour, minute int) time.Time {
		year := 2014
		if month == time.January {
			year = 2015
		}
		return time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	}
	return []Named{
		{"New York City Marathon", at(10, 30, 15, 30), at(11, 3, 22, 30)},
		{"Thanksgiving", at(11, 25, 12, 0), at(11, 29, 19, 0)},
		{"Christmas", at(12, 23, 11, 30), at(12, 27, 18, 30)},
		{"New Year's Day", at(12, 29, 21, 30), at(1, 3, 4, 30)},
		{"snow storm", at(1, 24, 20, 30), at(1, 29, 3, 30)},
	}
}
