package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/detectors"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/decode"
	"github.com/gonomaly/gonomaly/sources/sample"
)

// Every created file loads, whatever the sample was like.
func TestCreate(t *testing.T) {
	guesses := map[string]sample.Guess{
		"none": {},
		"csv": {Format: "csv", Columns: []string{"timestamp", "value"}, Time: decode.Time{Field: "timestamp", Layout: "2006-01-02 15:04:05", Zone: "Europe/Berlin"},
			Values: []string{"value"}, Interval: 30 * time.Minute, Notes: []string{"rows 3 and 4 have no time"}},
		"odd names": {Format: "json", Key: []string{`a "quoted" key`, "#"}, Time: decode.Time{Field: "no"}, Values: []string{"$x", "12", "yes", "null", "a: b", "ü", "tab\tbell\adel\x7f\u2028"}},
		"gaps":      {Format: "json", Values: []string{"a", "b"}, Missing: true},
		"counters":  {Format: "json", Values: []string{"on: \tline", "t", "$n"}, Counters: []string{"on: \tline", "$n"}, Silence: 90 * time.Second, WhySilence: "from a sample"},
		"bare":      {Format: "json", Values: []string{"x"}, NumbersAsStrings: true, Notes: []string{"two\nstreams: []"}},
	}
	for _, kind := range Kinds() {
		for name, guess := range guesses {
			for _, detector := range []string{"", "ewma"} {
				b, err := Create(kind, CreateOptions{Guess: guess, Detector: detector})
				if err != nil {
					t.Fatal(err)
				}
				c, err := Parse(kind+" "+name, b, nothing)
				if err != nil {
					t.Errorf("%v\n%s", err, b)
					continue
				}
				s := c.Streams[0]
				if name != "none" && strings.Join(s.Decode.Values, " ") != strings.Join(guess.Values, " ") {
					t.Errorf("%s from %s watches %q, want %q", kind, name, s.Decode.Values, guess.Values)
				}
				if detector != "" && s.Detectors[0].Kind != detector {
					t.Errorf("%s has a detector of kind %s, want %s", kind, s.Detectors[0].Kind, detector)
				}
			}
		}
	}
}

func TestCreateTakesTheEnvironment(t *testing.T) {
	env := map[string]string{"KAFKA_BROKERS": "a:1,b:2", "REDIS_ADDR": "r:3", "GONOMALY_TOPIC": "in", "GONOMALY_GROUP": "g",
		"GONOMALY_ALERTS_TOPIC": "out", "GONOMALY_INSTANCE": "gonomaly-0"}
	b, err := Create("metrics", CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("metrics.yaml", b, func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	s := c.Streams[0]
	got := []string{strings.Join(c.Kafka.Brokers, ","), c.Redis.Address, s.Topics[0], s.Group, s.Alert.Topic, c.Instance}
	if want := "a:1,b:2 r:3 in g out gonomaly-0"; strings.Join(got, " ") != want {
		t.Errorf("the created file takes %q from the environment, want %q", got, want)
	}
}

func TestCreateRefuses(t *testing.T) {
	for _, test := range []struct {
		kind string
		o    CreateOptions
		want string
	}{
		{"metric", CreateOptions{}, "did you mean metrics?"},
		{"metrics", CreateOptions{Detector: "ewm"}, "did you mean ewma?"},
		{"metrics", CreateOptions{Exclude: []string{"presure"}}, "did you mean pressure?"},
		{"metrics", CreateOptions{Exclude: []string{"c"}, Guess: sample.Guess{Format: "json", Values: []string{"a", "b"}}}, "no such field among a, b;"},
		{"metrics", CreateOptions{Exclude: []string{"temp", "pressure", "rpm"}}, "no numeric field"},
	} {
		if _, err := Create(test.kind, test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Create(%q, %+v): %v, want an error with %q", test.kind, test.o, err, test.want)
		}
	}
}

func TestCoolDown(t *testing.T) {
	for interval, want := range map[time.Duration]string{
		0:                       "75 points",
		30 * time.Minute:        "12h", // 24 points, not 75
		time.Minute:             "1h15m",
		9 * time.Minute:         "11h", // 675 min
		time.Hour:               "12h",
		100 * time.Millisecond:  "7.5s",
		time.Second:             "1m15s",
		6368 * time.Millisecond: "8m", // 477.6 s
		24 * time.Hour:          "144h",
	} {
		if got := coolDown(interval); got != want {
			t.Errorf("coolDown(%v) = %q, want %q", interval, got, want)
		}
	}
}

// Points of raw events are windows: with thousands of events a second an incident is not over after as many milliseconds.
func TestCoolDownOfRequests(t *testing.T) {
	for interval, want := range map[time.Duration]string{time.Millisecond: "cool_down: 1h15m ", time.Hour: "cool_down: 12h ", 0: "cool_down: 75 points "} {
		g := sample.Guess{Format: "json", Values: []string{"v"}, Interval: interval}
		if text, err := Create("requests", CreateOptions{Guess: g}); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("with an event every %v: %v, want %s in\n%s", interval, err, want, text)
		}
	}
}

// What the sample shows to be counters has a detector that judges their increase, where there is one.
func TestCreateDeclaresCounters(t *testing.T) {
	for name, c := range map[string]struct {
		kind, detector string
		exclude        []string
		want           string // of each detector: its values, and +counter
		noted          bool
	}{
		"beside others": {kind: "metrics", want: "[a c] [b d]+counter"},
		"alone":         {kind: "metrics", exclude: []string{"a", "c"}, want: "[]+counter"},
		"left out":      {kind: "metrics", exclude: []string{"b", "d"}, want: "[]"},
		"ewma":          {kind: "metrics", detector: "ewma", want: "[]", noted: true},
		"points":        {kind: "points", want: "[]", noted: true},
		"requests":      {kind: "requests", want: "[]", noted: true},
	} {
		g := sample.Guess{Format: "json", Values: []string{"a", "b", "c", "d"}, Counters: []string{"b", "d"}}
		text, err := Create(c.kind, CreateOptions{Guess: g, Detector: c.detector, Exclude: c.exclude})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := Parse("created", text, nothing)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		var got []string
		for _, d := range parsed.Streams[0].Detectors {
			one := fmt.Sprint(d.Values)
			if m, ok := d.Params.(*detectors.MetricConfig); ok && m.Counter {
				one += "+counter"
			}
			got = append(got, one)
		}
		if strings.Join(got, " ") != c.want || strings.Contains(string(text), "# Note: b only grows") != c.noted {
			t.Errorf("%s: detectors %q, want %s; a note: want %v, in\n%s", name, got, c.want, c.noted, text)
		}
	}
}

// A key that stops is told of where the sample says after how long, and forgotten a month or more later; else the reason stands there.
func TestCreateTellsOfSilence(t *testing.T) {
	for _, kind := range []string{"metrics", "points"} {
		for silence, want := range map[time.Duration][2]time.Duration{
			0:                            {},
			93 * time.Second:             {95 * time.Second, 720 * time.Hour}, // in steps of 5s
			10*time.Minute + time.Second: {11 * time.Minute, 720 * time.Hour},
			240 * time.Hour:              {240 * time.Hour, 960 * time.Hour},
		} {
			text, err := Create(kind, CreateOptions{Guess: sample.Guess{Format: "json", Values: []string{"v"}, Interval: time.Second, Silence: silence, WhySilence: "for a reason"}})
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse("created", text, nothing)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if s := c.Streams[0]; s.Alert.Silence != want[0] || s.Idle != want[1] || !strings.Contains(string(text), "for a reason") {
				t.Errorf("%s with silence %v: %v, idle %v, want %v and the reason in\n%s", kind, silence, s.Alert.Silence, s.Idle, want, text)
			}
		}
	}
}

// A service that stops is told by what create writes, and of other kinds nobody is told where there is no sample.
func TestSilenceOfRequests(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{0: 10 * time.Minute, time.Second: 10 * time.Minute, 5 * time.Minute: 50 * time.Minute} {
		for kind, want := range map[string]time.Duration{"requests": want, "metrics": 0, "points": 0} {
			text, err := Create(kind, CreateOptions{Guess: sample.Guess{Format: "json", Values: []string{"v"}, Interval: interval}})
			if err != nil {
				t.Fatal(err)
			}
			if c, err := Parse("created", text, nothing); err != nil || c.Streams[0].Alert.Silence != want {
				t.Errorf("%s with an event every %v: %v, want the silence %v in\n%s", kind, interval, err, want, text)
			}
		}
	}
}

// Nobody is told of each night's rest, nor to the second.
func TestSilenceIsLongerThanRests(t *testing.T) {
	for rest, want := range map[time.Duration]string{
		time.Minute:                     "10m",
		5*time.Minute + time.Second:     "11m", // twice that is 10m2s
		170 * time.Minute:               "5h45m",
		9*time.Hour + time.Millisecond:  "19h",
		20000 * time.Hour:               "2000h",
		17*time.Minute + 59*time.Second: "36m",
	} {
		if got := (pipeline.Span{Time: silence("requests", time.Minute, sample.Guess{Rest: rest})}).Plain(); got != want {
			t.Errorf("silence where a series rested for %v = %q, want %q", rest, got, want)
		}
	}
}

// How often a person is disturbed for nothing stands beside the rate in points, in a time.
func TestPaceOfFalseAlarms(t *testing.T) {
	for _, c := range []struct {
		detector string
		interval time.Duration
		want     string
	}{
		{"metric", 10 * time.Second, "1 per 1000 points # how many ordinary points may raise an alert; the limit follows from it; of a key here about 1 in 3 hours\n"},
		{"metric", 30 * time.Minute, "about 1 in 21 days\n"}, // 20.8
		{"ewma", time.Second, "1 per 10000 points # how many ordinary points may raise an alert; the limit follows from it; of a key here about 1 in 3 hours\n"},
		{"metric", time.Second, "about 1 in 17 minutes\n"},
		{"metric", time.Millisecond, "about 1 in 1 seconds\n"},
		{"metric", 0, "the limit follows from it\n"},
	} {
		o := CreateOptions{Guess: sample.Guess{Format: "json", Values: []string{"v"}, Interval: c.interval}, Detector: c.detector}
		if text, err := Create("metrics", o); err != nil || !strings.Contains(string(text), c.want) {
			t.Errorf("%s with a point every %v: %v, want %s in\n%s", c.detector, c.interval, err, c.want, text)
		}
	}
}
