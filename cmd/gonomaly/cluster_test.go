package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Brokers that want a password: what needs no configuration takes its section kafka, and create hands it on as it stands.
func TestBrokersThatWantAPassword(t *testing.T) {
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "u", "right"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(brokers.Close)
	section := "kafka:\n  brokers: [\"" + brokers.ListenAddrs()[0] + "\"] # the inner listener\n" +
		"  sasl: {mechanism: scram-sha-512, username: u, password: \"${GONOMALY_TEST_PASSWORD:?of the user u}\"}\n"
	file := write(t, "kafka.yaml", section+"streams: later\n")

	code, _, errs := run(t, "create", "metrics", "--kafka", file)
	if code != exitFailed || !strings.HasSuffix(errs, "kafka.sasl.password needs the environment variable GONOMALY_TEST_PASSWORD: of the user u\n") || strings.Count(errs, "\n") != 1 {
		t.Errorf("create without the password: exit %d, %s", code, errs)
	}
	t.Setenv("GONOMALY_TEST_PASSWORD", "right")
	must(t, "produce", "--topic", "machines", "--events", "300", "--kafka", file)
	made := must(t, "create", "metrics", "--from", "machines", "--kafka", file)
	if !strings.Contains(made, "\n\n"+section+"\n") || !strings.Contains(made, "key: [machine]") {
		t.Errorf("created:\n%s\nwant in it\n%s\nand what the topic holds", made, section)
	}
	must(t, "validate", write(t, "made.yaml", made))
	if code, _, errs := run(t, "create", "metrics", "--kafka", file, "--brokers", "localhost:9092"); code != exitUsage || !strings.Contains(errs, "leave --brokers out") {
		t.Errorf("--kafka and --brokers: exit %d, %s", code, errs)
	}
	for says, text := range map[string]string{
		"kafka is missing":                       "streams: []\n",
		"kafka.brokerz is not a known key":       "kafka: {brokerz: [a:1]}\n",
		"kafka.sasl.mechanism is \"md5\", want":  "kafka: {brokers: [a:1], sasl: {mechanism: md5}}\n",
		"kafka.brokers[0] is \"a\", want host:p": "kafka: {brokers: [a]}\n",
		"the file is \"nonsense\"":               "nonsense\n",
	} {
		if code, _, errs := run(t, "create", "metrics", "--kafka", write(t, "bad.yaml", text)); code != exitFailed || !strings.Contains(errs, "bad.yaml:1:") || !strings.Contains(errs, says) {
			t.Errorf("--kafka with %q: exit %d, %s, want %s", text, code, errs, says)
		}
	}
}
