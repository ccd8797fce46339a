package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gonomaly/gonomaly/pipeline"
)

// probed are the records of a log with probes between them: of the stream itself, of another one that reads the same topic, and answers, as who
// reads an alerts topic finds them. The records have the same offsets in bare, which has no probes.
func probed(records []pipeline.Record, seed uint64) (bare, with []pipeline.Record, own int) {
	r := rand.New(rand.NewPCG(seed, 2))
	for _, record := range records {
		record.Offset *= 2
		bare, with = append(bare, record), append(with, record)
		p := pipeline.Record{Offset: record.Offset + 1, Timestamp: record.Timestamp, Key: []byte(pipeline.ProbeKey), Value: []byte("{}")}
		header := fmt.Sprintf("s/a/%d", record.Offset)
		switch r.IntN(12) {
		case 0, 1:
			own++
		case 2:
			header = "t/a/1"
		case 3:
			p.Key = []byte(pipeline.ProbeKey + "/t/0")
		default:
			continue
		}
		p.Headers = []pipeline.Header{{Key: "traceparent", Value: []byte("00-1")}, {Key: pipeline.ProbeHeader, Value: []byte(header)}}
		with = append(with, p)
	}
	last := records[len(records)-1]
	last.Offset = 2*last.Offset + 1000
	return append(bare, last), append(with, last), own
}

// part takes the answers out of what was told.
func part(t *testing.T, messages []pipeline.Message) (rest []pipeline.Message, answers []string) {
	t.Helper()
	for _, m := range messages {
		if !strings.HasPrefix(string(m.Key), pipeline.ProbeKey) {
			rest = append(rest, m)
			continue
		}
		a, err := pipeline.ParseAnswer(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		header := m.Headers[len(m.Headers)-1]
		if m.Topic != "t.alerts" || m.Status != "" || header.Key != pipeline.ProbeHeader || string(header.Value) != a.Probe || a.Origin.Offset != m.Offset {
			t.Errorf("%+v answers %q with %q %q to %s", a, a.Probe, header.Key, header.Value, m.Topic)
		}
		answers = append(answers, a.ID+" "+a.Stream+" "+a.Probe)
	}
	return rest, answers
}

// Alerts, dead letters and states are byte for byte the same with probes as without; a worker that is lost and restored answers each probe of its
// stream once, and others never.
func TestProbesDisturbNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
	for name, yaml := range settings {
		t.Run(name, func(t *testing.T) {
			c := settingsOf(t, yaml)
			bare, with, own := probed(log(3000, 7, keysOf(name)), 1)
			undisturbed, once := newWorker(t, c), newWorker(t, c)
			want := slices.Clone(undisturbed.Process(bare, 0))
			got, answers := part(t, once.Process(with, 0))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-without +with probes):\n%s", diff)
			}
			if !slices.Equal(stateOf(t, undisturbed), stateOf(t, once)) {
				t.Error("the states differ")
			}
			if n := once.Counts().Outcomes[pipeline.Probed]; len(answers) != own || n != uint64(len(with)-len(bare)) || n < 500 {
				t.Errorf("%d answers to %d probes; %d records count as probes, of %d", len(answers), own, n, len(with)-len(bare))
			}
			w := newWorker(t, c)
			r := rand.New(rand.NewPCG(3, 3))
			var told []string
			saved := stateOf(t, w)
			for at := 0; at < len(with); {
				next := min(at+1+r.IntN(300), len(with))
				_, some := part(t, w.Process(with[:next], with[at].Offset))
				told, at = append(told, some...), next
				switch r.IntN(3) {
				case 0:
					saved = stateOf(t, w)
				case 1: // lost: what came since is folded again, in silence
					w = newWorker(t, c)
					if err := w.UnmarshalBinary(saved); err != nil {
						t.Fatal(err)
					}
				}
			}
			if diff := cmp.Diff(answers, told); diff != "" {
				t.Errorf("(-undisturbed +recovered):\n%s", diff)
			}
		})
	}
}

// What only looks like a probe is judged as any other record; what is one and cannot be answered has no answer.
func TestWhatIsAProbe(t *testing.T) {
	good := []byte(`{"key":"k","ts":1767225600000,"v":1,"w":2}`)
	header := func(key, value string) []pipeline.Header { return []pipeline.Header{{Key: key, Value: []byte(value)}} }
	for name, c := range map[string]struct {
		key     string
		headers []pipeline.Header
		want    pipeline.Outcome
		answers int
	}{
		"a record":                          {"k", nil, pipeline.Warming, 0},
		"its key alone":                     {pipeline.ProbeKey, nil, pipeline.Warming, 0},
		"its key, and another's header":     {pipeline.ProbeKey, header("gonomaly.other", "s/1"), pipeline.Warming, 0},
		"its header, forwarded to another":  {"k", header(pipeline.ProbeHeader, "s/1"), pipeline.Warming, 0},
		"a probe":                           {pipeline.ProbeKey, header(pipeline.ProbeHeader, "s/1"), pipeline.Probed, 1},
		"an answer":                         {pipeline.ProbeKey + "/in/0", header(pipeline.ProbeHeader, "s/1"), pipeline.Probed, 0},
		"another stream's":                  {pipeline.ProbeKey, header(pipeline.ProbeHeader, "s2/1"), pipeline.Probed, 0},
		"no stream's":                       {pipeline.ProbeKey, header(pipeline.ProbeHeader, "s"), pipeline.Probed, 0},
		"one with a header of a megabyte":   {pipeline.ProbeKey, header(pipeline.ProbeHeader, "s/"+strings.Repeat("x", 1<<20)), pipeline.Probed, 0},
		"one of bytes that are not in text": {pipeline.ProbeKey, header(pipeline.ProbeHeader, "s/\xff\x00\n"), pipeline.Probed, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, settingsOf(t, settings["records"]))
			told := w.Process([]pipeline.Record{{Timestamp: midnight.UnixNano(), Key: []byte(c.key), Value: good, Headers: c.headers}}, 0)
			if w.Counts().Outcomes[c.want] != 1 || len(told) != c.answers {
				t.Errorf("outcomes are %v with %d answers, want %v with %d", w.Counts().Outcomes, len(told), c.want, c.answers)
			}
		})
	}
}

// Nobody takes an answer for an alert, or an alert for an answer.
func TestAnswersAreNoAlerts(t *testing.T) {
	w := newWorker(t, settingsOf(t, settings["records"]))
	p := pipeline.Record{Offset: 7, Key: []byte(pipeline.ProbeKey), Headers: []pipeline.Header{{Key: pipeline.ProbeHeader, Value: []byte("s/1")}}}
	answer := w.Process([]pipeline.Record{p}, 0)[0]
	if a, err := pipeline.ParseAlert(answer.Value); err == nil {
		t.Errorf("an answer was taken for the alert %+v", a)
	}
	alert, err := pipeline.EncodeAlert(&pipeline.Alert{ID: "1", Stream: "s", Kind: pipeline.Anomaly, Status: pipeline.Open})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{string(alert), "{", "null", `{"type":"io.gonomaly.probe.v1","id":"1"}`} {
		if a, err := pipeline.ParseAnswer([]byte(b)); err == nil {
			t.Errorf("%s was taken for the answer %+v", b, a)
		}
	}
	const want = `"source":"/gonomaly/streams/s","type":"io.gonomaly.probe.v1","subject":"t/0","time":"1970-01-01T00:00:00Z",` +
		`"datacontenttype":"application/json","data":{"stream":"s","probe":"s/1","origin":{"topic":"t","partition":0,"offset":7}}}`
	if !strings.HasSuffix(string(answer.Value), want) {
		t.Errorf("the answer is %s, want one that ends %s", answer.Value, want)
	}
}
