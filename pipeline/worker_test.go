package pipeline_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/pipeline"
)

// TestScripts plays each testdata/*.txt: the stream's settings as YAML up to a line of dashes, then commands, one a line.
//
//	feed KEY,… N VALUE[±SD]…  N records of each KEY, a minute apart, one value for each of v, w, …
//	at KEY HH:MM VALUE…     one record of KEY at that time of 2026-01-01; it moves no clock
//	raw TEXT                a record with these bytes
//	tick KEY HH:MM          sets the clock of KEY
//	restart                 goes on in a new worker from the saved state
//	want ALERT              the next alert: kind status key, and what else is to be compared as field=text
//	want nothing            no alert since the last want
//	dead REASON             the next dead letter has this reason
//	untold KIND REASON N    so many were not told for this reason since the last restart
//	outcome NAME N          so many records had this outcome since the last restart
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { newScript(t, file).play(t) })
	}
}

type script struct {
	file     string
	config   pipeline.Config
	commands []string
	first    int // line of the first command

	worker *pipeline.Worker
	random *rand.Rand
	offset int64
	clocks map[string]time.Time
	told   []pipeline.Message
}

var midnight = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newScript(t *testing.T, file string) *script {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	settings, commands, ok := strings.Cut(string(b), "\n---\n")
	if !ok {
		t.Fatalf("%s: no line of dashes", file)
	}
	s := &script{
		file: file, config: settingsOf(t, settings), commands: strings.Split(commands, "\n"), first: strings.Count(settings, "\n") + 3,
		random: rand.New(rand.NewPCG(1, 2)), clocks: map[string]time.Time{},
	}
	s.worker = newWorker(t, s.config)
	return s
}

// settingsOf reads the settings of one stream as the configuration's reader does.
func settingsOf(t testing.TB, yaml string) pipeline.Config {
	t.Helper()
	indented := "    " + strings.ReplaceAll(strings.TrimSpace(yaml), "\n", "\n    ")
	c, err := config.Parse("settings", []byte("streams:\n  - name: s\n    topics: [t]\n"+indented+"\n"), os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return c.Streams[0].Config
}

func newWorker(t testing.TB, c pipeline.Config) *pipeline.Worker {
	t.Helper()
	w, err := pipeline.NewWorker("s", c, pipeline.Partition{Topic: "t"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func restored(t *testing.T, w *pipeline.Worker, c pipeline.Config) *pipeline.Worker {
	t.Helper()
	again := newWorker(t, c)
	if err := again.UnmarshalBinary(stateOf(t, w)); err != nil {
		t.Fatal(err)
	}
	return again
}

func stateOf(t *testing.T, w *pipeline.Worker) []byte {
	t.Helper()
	b, err := w.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *script) play(t *testing.T) {
	for i, line := range s.commands {
		command, _, _ := strings.Cut(line, "#")
		words := strings.Fields(command)
		if len(words) == 0 {
			continue
		}
		at := fmt.Sprintf("%s:%d: %s", s.file, s.first+i, line)
		switch words[0] {
		case "feed":
			n, err := strconv.Atoi(words[2])
			if err != nil {
				t.Fatalf("%s: %v", at, err)
			}
			for range n {
				for key := range strings.SplitSeq(words[1], ",") {
					s.sample(key, s.tick(key), words[3:])
				}
			}
		case "at":
			s.sample(words[1], clock(t, at, words[2]), words[3:])
		case "raw":
			s.record([]byte(strings.TrimSpace(strings.TrimPrefix(line, "raw"))))
		case "tick":
			s.clocks[words[1]] = clock(t, at, words[2])
		case "restart":
			s.worker = restored(t, s.worker, s.config)
		case "untold":
			n := s.worker.Counts().Untold[pipeline.Kind(words[1])][pipeline.Untold(words[2])]
			if got := strconv.FormatUint(n, 10); got != words[3] {
				t.Errorf("%s: got %s", at, got)
			}
		case "outcome":
			for o, n := range s.worker.Counts().Outcomes {
				if got := strconv.FormatUint(n, 10); pipeline.Outcome(o).String() == words[1] && got != words[2] {
					t.Errorf("%s: got %s", at, got)
				}
			}
		case "want", "dead":
			if err := s.want(words); err != nil {
				t.Fatalf("%s: %v", at, err)
			}
		default:
			t.Fatalf("%s: no such command", at)
		}
	}
	if err := s.want([]string{"want", "nothing"}); err != nil {
		t.Errorf("%s: at its end: %v", s.file, err)
	}
}

func clock(t *testing.T, at, hhmm string) time.Time {
	t.Helper()
	c, err := time.Parse("15:04", hhmm)
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	return midnight.Add(time.Duration(c.Hour())*time.Hour + time.Duration(c.Minute())*time.Minute)
}

func (s *script) tick(key string) time.Time {
	if s.clocks[key].IsZero() {
		s.clocks[key] = midnight
	}
	now := s.clocks[key]
	s.clocks[key] = now.Add(time.Minute)
	return now
}

func (s *script) sample(key string, at time.Time, values []string) {
	b := fmt.Appendf(nil, `{"key":%q,"ts":%d`, key, at.UnixMilli())
	for i, v := range values {
		if v == "-" { // missing
			continue
		}
		mean, sd, _ := strings.Cut(v, "±")
		x, err1 := strconv.ParseFloat(mean, 64)
		spread, err2 := strconv.ParseFloat("0"+sd, 64)
		if err := errors.Join(err1, err2); err != nil {
			panic(err)
		}
		if spread > 0 {
			x += spread * s.random.NormFloat64()
		}
		b = fmt.Appendf(b, `,%q:%v`, string(rune('v'+i)), x)
	}
	s.record(append(b, '}'))
}

func (s *script) record(value []byte) {
	r := pipeline.Record{Offset: s.offset, Timestamp: midnight.AddDate(1, 0, 0).UnixNano(), Value: value}
	s.offset++
	s.told = append(s.told, s.worker.Process([]pipeline.Record{r}, 0)...)
}

// sizes are the numbers in a reason, which are compared as integers.
var sizes = regexp.MustCompile(`[0-9]+\.[0-9]+`)

// want compares the next message with the words of a command.
func (s *script) want(words []string) error {
	if words[1] == "nothing" {
		if len(s.told) > 0 {
			return fmt.Errorf("got %d messages, the first is %s", len(s.told), s.told[0].Value)
		}
		return nil
	}
	if len(s.told) == 0 {
		return errors.New("got nothing")
	}
	m := s.told[0]
	s.told = s.told[1:]
	if words[0] == "dead" {
		for _, h := range m.Headers {
			if h.Key == "gonomaly.reason" && string(h.Value) == words[1] && m.Topic == "t.dead-letters" {
				return nil
			}
		}
		return fmt.Errorf("got %s with %s to %s", m.Value, m.Headers, m.Topic)
	}
	a, err := pipeline.ParseAlert(m.Value)
	if err != nil {
		return err
	}
	got := map[string]string{
		"time": a.Time.Format("15:04"), "rev": strconv.Itoa(a.Revision), "offset": strconv.FormatInt(a.Origin.Offset, 10),
	}
	for f, v := range a.Values {
		got[f] = strconv.FormatFloat(v, 'g', -1, 64)
	}
	if a.Window != nil {
		got["window"] = a.Window.Start.Format("15:04") + "-" + a.Window.End.Format("15:04")
	}
	if a.Change != nil {
		got["of"] = a.Change.Of
		got["before"], got["after"] = fmt.Sprintf("%.0f", a.Change.Before), fmt.Sprintf("%.0f", a.Change.After)
	}
	got["reason"] = sizes.ReplaceAllStringFunc(strings.ReplaceAll(a.Reason, " ", "_"), func(x string) string {
		v, _ := strconv.ParseFloat(x, 64)
		return fmt.Sprintf("%.0f", v)
	})
	is := []string{"want", string(a.Kind), string(a.Status), a.Key}
	for _, w := range words[min(4, len(words)):] {
		name, _, _ := strings.Cut(w, "=")
		is = append(is, name+"="+got[name])
	}
	if diff := cmp.Diff(words, is); diff != "" {
		return fmt.Errorf("(-want +got) %s\n%s", diff, m.Value)
	}
	return nil
}

// An alert of a point so wide that a broker would not take all that there is to say of it is told with the fields that matter.
func TestAlertOfAWidePointIsTold(t *testing.T) {
	const values = 100
	var names []string
	for i := range values {
		names = append(names, fmt.Sprintf("temperature_of_sensor_%03d", i))
	}
	c := settingsOf(t, "decode: {values: ["+strings.Join(names, ", ")+"]}\nwindow: {last: 64}\ndetectors: [{kind: ewma}]")
	w := newWorker(t, c)
	var told []pipeline.Message
	for i := range 200 {
		b := []byte("{")
		for j, name := range names {
			v := float64((7*i+3*j)%11) + 0.1234567
			if i == 190 && j == values-1 {
				v = 1e6
			}
			b = fmt.Appendf(b, `"%s":%v,`, name, v)
		}
		b[len(b)-1] = '}'
		told = append(told, w.Process([]pipeline.Record{{Offset: int64(i), Timestamp: midnight.UnixNano(), Value: b}}, 0)...)
	}
	if len(told) != 1 {
		t.Fatalf("%d alerts, want 1", len(told))
	}
	m, cut := told[0].Fit()
	a, err := pipeline.ParseAlert(m.Value)
	if cut || err != nil {
		t.Fatalf("cut %v, %v", cut, err)
	}
	if got := a.Values[names[values-1]]; got != 1e6 {
		t.Errorf("%d of the fields, %s is %v", len(a.Values), names[values-1], got)
	}
}

// ids are the alerts and dead letters among messages, for tests that compare runs.
func ids(t *testing.T, messages []pipeline.Message) []string {
	t.Helper()
	var ids []string
	for _, m := range messages {
		if m.Topic == "t.dead-letters" {
			ids = append(ids, "dead "+string(m.Value))
			continue
		}
		a, err := pipeline.ParseAlert(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, fmt.Sprintf("%s %s %s %s of %s", a.ID, a.Kind, a.Status, a.Key, a.Incident))
	}
	return ids
}
