package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gonomaly/gonomaly/sources/embedded"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

// Resend says what it has sent, and calls nothing sent that may not be.
func TestResend(t *testing.T) {
	broker, err := embedded.Start(1, "in", "letters")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	opts, err := kafka.Config{Brokers: broker.Addresses()}.Options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	resend := func(code int, says string, args ...string) {
		t.Helper()
		got, out, errs := run(t, append([]string{"resend", "--letters", "letters", "--brokers", strings.Join(broker.Addresses(), ",")}, args...)...)
		if got != code || out != says || (errs != "") != (code == exitFailed) {
			t.Errorf("resend %q: exit %d, want %d; it says %q, want %q; and %s", args, got, code, out, says, errs)
		}
	}
	letter := func(topic string) {
		t.Helper()
		r := &kgo.Record{Topic: "letters", Value: []byte("x"), Headers: []kgo.RecordHeader{
			{Key: "gonomaly.topic", Value: []byte(topic)}, {Key: "gonomaly.partition", Value: []byte("0")}, {Key: "gonomaly.reason", Value: []byte("not_json")},
		}}
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	wantIn := func(want int) {
		t.Helper()
		if got, err := kafka.ReadAll(t.Context(), opts, "in"); err != nil || len(got) != want {
			t.Errorf("%d records are in the topic, %v, want %d", len(got), err, want)
		}
	}

	resend(exitGood, "no letters to send\n")
	letter("in")
	resend(exitGood, "in: 1 to be sent\n", "--dry-run")
	wantIn(0)
	resend(exitGood, "in: 1 sent again\n")
	wantIn(1)
	resend(exitGood, "no letters to send\n1 left out: 1 by --since or --reason, or for they are no letters, 0 for they were cut\n", "--reason", "missing_field")
	letter("gone")
	resend(exitFailed, "gone: 1 begun, and not all of them sent\nin: 1 begun, and not all of them sent\n")
}
