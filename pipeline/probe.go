package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// A probe is a record that a stream's prober writes into a partition, to see whether an answer comes out at the other end of the way: one that
// has both this key and a header of this name. A record of somebody's own that only has the header, because a program copies the headers of
// what it reads, is judged like any other.
const (
	ProbeKey    = "gonomaly.probe"
	ProbeHeader = "gonomaly.probe" // its value: the stream that sent it, a slash, and what the prober calls the probe
)

// maxProbe is the longest header that is answered, in bytes: whoever may write to the topic chooses it.
const maxProbe = 512

var probeKey = []byte(ProbeKey)

// ProbeValue is the value of a probe, for whoever reads the topic with other means: an object, and no tombstone.
func ProbeValue(header string) []byte {
	b, err := json.Marshal(map[string]string{ProbeHeader: header})
	if err != nil {
		panic("a text that cannot be written as JSON: " + err.Error())
	}
	return b
}

// probe is the header of a record that is a probe, or an answer to one, read by a stream that reads an alerts topic.
func (r *Record) probe() (header []byte, ok bool) {
	if len(r.Headers) == 0 || !bytes.HasPrefix(r.Key, probeKey) {
		return nil, false
	}
	for i := range r.Headers {
		if r.Headers[i].Key == ProbeHeader {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// Answer is what a worker tells, on the alerts topic, of a probe that its stream has sent. On the wire it is the data of a CloudEvent.
type Answer struct {
	ID     string `json:"-"` // the CloudEvent's id: the same whenever the same probe is folded
	Stream string `json:"stream"`
	Probe  string `json:"probe"` // the header
	Origin Origin `json:"origin"`
}

// answerType is the CloudEvents type of an answer.
const answerType = "io.gonomaly.probe.v1"

// probed is the path of a probe. Nothing of the state but the position knows of it, so that series, windows and watermark are the same with
// probes as without. One of another stream that reads the same topic has its answer there.
func (w *Worker) probed(r *Record, header []byte) Outcome {
	stream, _, ok := bytes.Cut(header, []byte("/"))
	if !w.silent && ok && string(stream) == w.stream && string(r.Key) == ProbeKey && len(header) <= maxProbe {
		w.answer(r, header)
	}
	return Probed
}

// answer hands the answer to a probe out. Its key is the partition's, so that the answers of all partitions go to several of the alerts topic,
// and one that is compacted keeps few of them. It has no time of a record, for it is no alert, and alerts have a latency.
func (w *Worker) answer(r *Record, header []byte) {
	a := Answer{
		ID:     identity{stream: w.stream, partition: w.partition, offset: r.Offset, key: ProbeKey}.id(),
		Stream: w.stream, Probe: string(header), Origin: Origin{Topic: w.partition.Topic, Partition: w.partition.ID, Offset: r.Offset},
	}
	value, err := json.Marshal(event[Answer]{
		SpecVersion: "1.0", ID: a.ID, Source: sourceOf(w.stream), Type: answerType, Subject: w.partition.String(), Time: utc(max(0, r.Timestamp)),
		DataContentType: "application/json", Data: &a,
	})
	if err != nil {
		panic("an answer that cannot be written as JSON: " + err.Error())
	}
	w.told = append(w.told, Message{
		Topic: w.config.Alert.Topic, Key: []byte(ProbeKey + "/" + w.partition.String()), Value: value,
		Headers: []Header{alertHeaders[0], {Key: ProbeHeader, Value: bytes.Clone(header)}}, Offset: r.Offset,
	})
}

// ParseAnswer reads what a worker told of a probe.
func ParseAnswer(b []byte) (Answer, error) {
	var e event[Answer]
	if err := json.Unmarshal(b, &e); err != nil {
		return Answer{}, fmt.Errorf("parse answer: %w", err)
	}
	if e.Type != answerType || e.ID == "" || e.Data == nil {
		return Answer{}, fmt.Errorf("parse answer: type is %q, want %q with an id and data", e.Type, answerType)
	}
	e.Data.ID = e.ID
	return *e.Data, nil
}
