package generate

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTaxi(t *testing.T) {
	n, sum := 0, 0.0
	at := time.Date(2014, 7, 1, 0, 0, 0, 0, time.UTC)
	for e := range Taxi() {
		var row struct {
			Timestamp string
			Value     float64
		}
		if err := json.Unmarshal(e.Value, &row); err != nil {
			t.Fatal(err)
		}
		if row.Timestamp != at.Format(time.DateTime) || e.Time != at.UnixNano() || string(e.Key) != TaxiKey {
			t.Fatalf("event %d: %+v at %d, want it at %v", n, row, e.Time, at)
		}
		at = at.Add(30 * time.Minute)
		sum += row.Value
		n++
	}
	if n != TaxiEvents || sum != 156219716 { // the sum of the original file's second column
		t.Errorf("%d events that add up to %.0f, want %d and 156219716", n, sum, TaxiEvents)
	}
}

func TestTaxiAnomalies(t *testing.T) {
	on := map[string]string{ // the day itself
		"New York City Marathon": "2014-11-02", "Thanksgiving": "2014-11-27", "Christmas": "2014-12-25", "New Year's Day": "2015-01-01", "snow storm": "2015-01-27",
	}
	for _, a := range TaxiAnomalies() {
		day, err := time.Parse(time.DateOnly, on[a.Name])
		if err != nil || day.Before(a.Start) || day.After(a.End) {
			t.Errorf("%+v, want it around %v (%v)", a, day, err)
		}
		// NAB gives each of the five a window of the same length, 207 half-hours.
		if a.End.Sub(a.Start) != 103*time.Hour {
			t.Errorf("%s has a window of %v", a.Name, a.End.Sub(a.Start))
		}
	}
	if n := len(TaxiAnomalies()); n != len(on) {
		t.Errorf("%d anomalies, want %d", n, len(on))
	}
}
