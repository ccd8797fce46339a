package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestRedacted(t *testing.T) {
	c := parseString(t, "kafka: {sasl: {mechanism: plain, username: u, password: hunter2}}\nredis: {address: \"r:1\", username: u, password: hunter2}\ninstance: \"${TEXT}\"\n"+minimal)
	got := c.Redacted()
	if strings.Contains(got, "hunter2") || !strings.Contains(got, "password: (secret)") {
		t.Errorf("Redacted has the password, or not that there is one:\n%s", got)
	}
	for _, want := range []string{"instance: machines", "max_series: 100000", "group: gonomaly.a", "topic: in.alerts", "half_life: "} {
		if !strings.Contains(got, want) {
			t.Errorf("Redacted lacks %q:\n%s", want, got)
		}
	}
}

// Without secrets it is the same configuration, spelled out.
func TestRedactedReadsBack(t *testing.T) {
	for _, file := range glob(t, "examples/*.yaml", 3) {
		c := parseString(t, string(read(t, file)))
		again := parseString(t, c.Redacted())
		c.effective, again.effective = nil, nil
		if !reflect.DeepEqual(again, c) {
			t.Errorf("%s reads back as %+v, want %+v", file, again, c)
		}
	}
}
