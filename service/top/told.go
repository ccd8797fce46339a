package top

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/service/recent"
)

// Alert is one that an instance has told.
type Alert struct {
	pipeline.Alert
	At time.Time // when it became durable
}

// list asks an instance for something that it lists. known is false where it does not: it is of an earlier version, or a proxy before it keeps
// keys and values to itself.
func list(ctx context.Context, address string, into any) (known bool, err error) {
	var a answer
	err = get(ctx, address, maxTold, &a, http.StatusOK, http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden)
	if err != nil || a.status != http.StatusOK {
		return false, err
	}
	if err := json.Unmarshal([]byte(a.text), into); err != nil {
		return false, fmt.Errorf("what it lists cannot be read: %w", err)
	}
	return true, nil
}

// told asks for the noisiest keys and the last alerts.
func (s *Scrape) told(ctx context.Context, base string) error {
	var alerts recent.Alerts
	if _, err := list(ctx, fmt.Sprintf("%s/-/alerts?n=%d", base, lastAlerts), &alerts); err != nil {
		return err
	}
	for _, a := range alerts.Alerts {
		alert, err := pipeline.ParseAlert(a.Event)
		if err != nil {
			return fmt.Errorf("an alert that it lists cannot be read: %w", err)
		}
		s.Alerts = append(s.Alerts, Alert{alert, a.Committed})
	}
	var keys recent.Keys
	known, err := list(ctx, fmt.Sprintf("%s/-/keys?n=%d", base, recent.Most), &keys)
	if known {
		s.Keys = &keys
	}
	return err
}

// lastAlerts is how many are asked for: more than are shown, as those of one stream may be wanted only.
const lastAlerts = 50

// addTold adds what an instance says of its alerts. A key's partition may have moved from one to another: its incidents are added up.
func (v *View) addTold(s *Scrape, keys map[[2]string]recent.Key) {
	v.Alerts = append(v.Alerts, s.Alerts...)
	if s.Keys == nil {
		return
	}
	if v.Since.IsZero() || s.Keys.Since.Before(v.Since) {
		v.Since = s.Keys.Since
	}
	v.Incidents += s.Keys.Incidents
	for _, k := range s.Keys.Keys {
		of := [2]string{k.Stream, k.Key}
		if before, met := keys[of]; met {
			if k.AtMost > 0 || before.AtMost > 0 {
				k.AtMost = max(k.AtMost, k.Incidents) + max(before.AtMost, before.Incidents)
			}
			k.Incidents += before.Incidents
			if before.Last.After(k.Last) {
				k.Last = before.Last
			}
		}
		keys[of] = k
	}
}

// sortTold has the noisiest and the newest first.
func (v *View) sortTold(keys map[[2]string]recent.Key) {
	for _, k := range keys {
		v.Keys = append(v.Keys, k)
	}
	slices.SortFunc(v.Keys, func(a, b recent.Key) int {
		return cmp.Or(cmp.Compare(b.Incidents, a.Incidents), b.Last.Compare(a.Last), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Key, b.Key))
	})
	slices.SortStableFunc(v.Alerts, func(a, b Alert) int { return b.At.Compare(a.At) })
}

// keys are the rows of the noisiest, under a title that says of how many incidents, and since when.
func (l Layout) keys(v View) (title string, lines []string) {
	if v.Incidents == 0 {
		return "NO INCIDENTS opened since " + moment(v.Since, v.At), nil
	}
	var rows [][]cell
	for _, k := range v.Keys {
		if !l.has(k.Stream) || len(rows) == l.Told {
			continue
		}
		incidents := amount(float64(k.Incidents))
		if k.AtMost > 0 {
			incidents += " to " + amount(float64(k.AtMost))
		}
		rows = append(rows, []cell{
			{k.Stream, plain}, {printable(k.Key, longest), plain}, {incidents, plain},
			{share(k.Incidents, v.Incidents), plain}, {moment(k.Last, v.At), plain},
		})
	}
	title = fmt.Sprintf("NOISIEST KEYS, of %s incidents opened since %s", amount(float64(v.Incidents)), moment(v.Since, v.At))
	if len(rows) == 0 {
		return title, nil
	}
	return title, table([]column{{"STREAM", false}, {"KEY", false}, {"INCIDENTS", true}, {"OF ALL", true}, {"LAST", true}}, rows, l.Paint)
}

// share of a whole: what is rare has a decimal.
func share(n, all int) string {
	x := 100 * float64(n) / float64(all)
	if x < 10 {
		return fmt.Sprintf("%.1f %%", x)
	}
	return fmt.Sprintf("%.0f %%", x)
}

// alerts are the rows of the last ones.
func (l Layout) alerts(v View) []string {
	var rows [][]cell
	for _, a := range v.Alerts {
		if !l.has(a.Stream) || len(rows) == l.Told {
			continue
		}
		loud := map[pipeline.Status]tone{pipeline.Open: bad, pipeline.Update: bad, pipeline.Resolve: good}[a.Status]
		if a.Kind == pipeline.Drift && loud == bad {
			loud = warning
		}
		rows = append(rows, []cell{
			{moment(a.At, v.At), plain}, {a.Stream, plain}, {printable(a.Key, longest), plain}, {string(a.Kind), plain}, {string(a.Status), loud},
			{printable(a.Reason, 0), plain},
		})
	}
	if len(rows) == 0 {
		return nil
	}
	return table([]column{{"AT", false}, {"STREAM", false}, {"KEY", false}, {"KIND", false}, {"STATUS", false}, {"REASON", false}}, rows, l.Paint)
}

// moment is a time of day in UTC, with the date where it is another day than now.
func moment(at, now time.Time) string {
	if at, now = at.UTC(), now.UTC(); at.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return at.Format(time.TimeOnly)
	}
	return at.Format(time.DateTime)
}

// longest is how much of a key is shown.
const longest = 40

// printable is a text of somebody's records as a terminal may show it: what could move the cursor or change colours is shown as a dot. It
// is cut to most columns, 0 for no bound.
func printable(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, strings.ToValidUTF8(text, "·"))
	if most > 0 {
		text = ansi.Truncate(text, most, "…")
	}
	return text
}
