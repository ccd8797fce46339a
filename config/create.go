package config

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources/sample"
)

// CreateOptions says what a created configuration is filled in with.
type CreateOptions struct {
	Topic    string       // that is read by default, and gives the stream its name; empty for the kind's name
	Guess    sample.Guess // of what a sample of the records tells; its zero value means that there is none
	Exclude  []string     // fields to leave out
	Detector string       // kind of the detector; empty for the one that suits
	Kafka    string       // section of LoadKafka; empty for brokers without TLS and passwords
}

//go:embed templates/*.yaml
var templates embed.FS

// starts are the kinds of configuration that Create knows. Their records are those that gonomaly produce makes, but for the requests.
var starts = map[string]start{
	"metrics": {
		detector: "metric",
		guess:    sample.Guess{Format: "json", Key: []string{"machine"}, Time: decode.Time{Field: "ts", Unit: "ms"}, Values: []string{"temp", "pressure", "rpm"}},
		example:  `{"machine": "machine-0001", "ts": 1767225600000, "temp": 71.23, "pressure": 4.51, "rpm": 2981.4}`,
	},
	"requests": {
		detector: "metric",
		guess:    sample.Guess{Format: "json", Key: []string{"service"}, Time: decode.Time{Field: "ts", Unit: "ms"}, Values: []string{"latency_ms"}},
		example:  `{"service": "checkout", "ts": 1767225600000, "latency_ms": 83.5}`,
	},
	"points": {
		detector: "points",
		guess: sample.Guess{Format: "json", Key: []string{"machine"}, Time: decode.Time{Field: "ts", Unit: "ms"},
			Values: []string{"temp", "pressure", "rpm", "vibration", "load"}},
		example: `{"machine": "machine-0001", "ts": 1767225600000, "temp": 71.23, "pressure": 4.51, "rpm": 2981.4, "vibration": 1.03, "load": 63.2}`,
	},
}

// start is what a kind of configuration begins from where nothing else is known.
type start struct {
	detector string
	guess    sample.Guess
	example  string // a record
}

// Kinds lists the kinds of configuration that Create knows.
func Kinds() []string { return slices.Sorted(maps.Keys(starts)) }

// Create writes a commented configuration to start from: metrics (each record is a sample of one or more values of a series), requests
// (raw events, gathered in event-time windows) or points (values that are judged together).
func Create(kind string, o CreateOptions) ([]byte, error) {
	from, ok := starts[kind]
	if !ok {
		return nil, fmt.Errorf("create %q: want one of %s%s", kind, strings.Join(Kinds(), ", "), didYouMean(kind, Kinds()))
	}
	detector := from.detector
	if o.Detector != "" {
		detector = o.Detector
	}
	if known := slices.Sorted(maps.Keys(detectors.Kinds)); !slices.Contains(known, detector) {
		return nil, fmt.Errorf("create %s: detector is %q, want one of %s%s", kind, detector, strings.Join(known, ", "), didYouMean(detector, known))
	}
	guess, example := from.guess, from.example
	if o.Guess.Format != "" {
		guess, example = o.Guess, ""
	}
	guess, err := exclude(guess, o.Exclude)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", kind, err)
	}
	interval := guess.Interval
	if kind == "requests" && interval > 0 {
		interval = max(interval, requestsWindow) // a window is a point, not a record
	}
	counters := guess.Counters
	if kind != "metrics" || detector != "metric" {
		for _, c := range counters {
			guess.Notes = append(slices.Clip(guess.Notes), c+" only grows until it is reset: kind: metric of create metrics judges its increase")
		}
		counters = nil
	}
	others := slices.DeleteFunc(slices.Clone(guess.Values), func(v string) bool { return slices.Contains(counters, v) })
	silent := silence(kind, interval, guess)
	alarms := falseAlarms(detector)
	t, err := template.New("").Funcs(template.FuncMap{"text": yamlText, "list": yamlList, "comment": comment}).ParseFS(templates, "templates/*.yaml")
	if err != nil {
		panic("a template that cannot be read: " + err.Error())
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, kind+".yaml", struct {
		sample.Guess
		Counters, Others                                                   []string // of Values
		Kafka, Name, Topic, Detector, FalseAlarms, Pace, CoolDown, Example string
		Silent, Idle                                                       pipeline.Span // Silent: alert.silence
	}{
		guess, counters, others,
		o.Kafka, streamName(o.Topic, kind), cmp.Or(o.Topic, kind), detector, alarms.String(), pace(alarms, interval), coolDown(interval), example,
		pipeline.Span{Time: silent}, pipeline.Span{Time: idle(silent)},
	}); err != nil {
		return nil, fmt.Errorf("create %s: %w", kind, err)
	}
	return b.Bytes(), nil
}

// streamName is the topic's name, or the kind's where a stream cannot be named so.
func streamName(topic, kind string) string {
	if topic == "" || len(topic) > 100 || strings.ContainsAny(topic[:1], "._-") {
		return kind
	}
	return topic
}

// exclude leaves fields out of a guess.
func exclude(g sample.Guess, fields []string) (sample.Guess, error) {
	known := slices.Concat(g.Values, g.Key)
	if g.Time.Field != "" {
		known = append(known, g.Time.Field)
	}
	for _, f := range fields {
		if !slices.Contains(known, f) && !slices.Contains(g.Columns, f) {
			return g, fmt.Errorf("exclude %q: no such field among %s%s", f, strings.Join(known, ", "), didYouMean(f, known))
		}
	}
	out := func(f string) bool { return slices.Contains(fields, f) }
	g.Values = slices.DeleteFunc(slices.Clone(g.Values), out)
	g.Counters = slices.DeleteFunc(slices.Clone(g.Counters), out)
	g.Key = slices.DeleteFunc(slices.Clone(g.Key), out)
	if out(g.Time.Field) {
		g.Time = decode.Time{}
	}
	if len(g.Values) == 0 {
		return g, errors.New("there is no numeric field to watch; want at least one besides key and time")
	}
	return g, nil
}

// falseAlarms is the rate to begin with. These detectors tell how rare a point is by its rank among those they have seen: one in ten
// thousand they cannot tell before they have seen as many, so that they would be mute for weeks.
func falseAlarms(detector string) pipeline.Rate {
	if detector == "metric" || detector == "points" {
		return pipeline.Rate{Alarms: 1, Points: 1000}
	}
	return pipeline.Rate{Alarms: 1, Points: 10000}
}

// pace says what a rate comes to for a key with a point each interval; "" where that is not known.
func pace(r pipeline.Rate, interval time.Duration) string {
	if interval <= 0 || interval > maxInterval {
		return ""
	}
	every, unit := r.Points/r.Alarms*interval.Seconds(), "seconds"
	for _, longer := range []struct {
		seconds float64
		unit    string
	}{{60, "minutes"}, {3600, "hours"}, {86400, "days"}} {
		if all := r.Points / r.Alarms * interval.Seconds() / longer.seconds; all >= 2 {
			every, unit = all, longer.unit
		}
	}
	return fmt.Sprintf("; of a key here about 1 in %.0f %s", every, unit)
}

// requestsWindow is window.every of templates/requests.yaml.
const requestsWindow = time.Minute

// maxInterval is the longest interval between points that is believed.
const maxInterval = 1000 * time.Hour

// coolDown is the time that 75 points take, where the interval between them is known, but no longer than 12 hours: of hourly points those are
// three days, and what happens on the second is another incident to whoever is called. Of points that are hours apart it is six.
func coolDown(interval time.Duration) string {
	const points = 75 // as long as the default of alert.cool_down
	if interval <= 0 || interval > maxInterval {
		return "75 points"
	}
	d := min(points*interval, max(12*time.Hour, 6*interval))
	return pipeline.Span{Time: d.Round(step(d))}.Plain()
}

// silence is what the sample tells of it; of requests the time that ten windows take, and twice the longest that a series of the sample
// rested: by night, or as those with few records do. A series of few records is given more. 0 where nobody is to be told.
func silence(kind string, interval time.Duration, g sample.Guess) time.Duration {
	d := g.Silence
	if kind == "requests" {
		d = max(10*max(requestsWindow, min(interval, maxInterval)), 2*min(g.Rest, maxInterval))
	}
	if s := step(d); d%s != 0 {
		d += s - d%s
	}
	return d
}

// idle is how long a key has to be silent to be forgotten, where its silence is told: of one that was retired nobody wants to know for ever.
func idle(silence time.Duration) time.Duration { return max(30*24*time.Hour, 4*silence) }

// step is the finest unit in which people would say d: about a tenth of it.
func step(d time.Duration) time.Duration {
	step := time.Millisecond
	for _, s := range []time.Duration{time.Second, 5 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour} {
		if s <= d/10 {
			step = s
		}
	}
	return step
}

var plainWord = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// yamlText writes s as a YAML value that means s: in quotes where it could be read as anything else.
func yamlText(s string) string {
	if plainWord.MatchString(s) {
		n := word(s)
		if n.Tag = ""; n.ShortTag() == "!!str" {
			switch strings.ToLower(s) {
			case "y", "n", "yes", "no", "on", "off": // other readers of YAML take these for booleans
			default:
				return s
			}
		}
	}
	return strconv.Quote(strings.ReplaceAll(s, "$", "$$")) // YAML knows all of Go's escapes
}

func yamlList(list []string) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = yamlText(s)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// comment makes one line of printable text, whatever s is.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
