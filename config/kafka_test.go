package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The section kafka of a file is one of any other file, too, whatever it borrows from what stands around it.
func TestKafkaSectionStandsAlone(t *testing.T) {
	const file = `
inner: &inner ["${TEXT}:9092"]
kafka:
  brokers: *inner # within the cluster
  sasl: &sasl {mechanism: plain, username: &name gonomaly, password: *name}
`
	cfg, section, err := parseKafka("kafka.yaml", []byte(file), environment)
	if err != nil {
		t.Fatal(err)
	}
	c := parseString(t, section+"streams: [{name: a, topics: [in], decode: {values: x}, detectors: [{kind: ewma}]}]\n")
	if diff := cmp.Diff(cfg, c.Kafka); diff != "" || cfg.Brokers[0] != "machines:9092" || cfg.SASL.Password != "gonomaly" {
		t.Errorf("from\n%sone reads %+v (-where it stood +alone):\n%s", section, c.Kafka, diff)
	}
	if !strings.Contains(section, "${TEXT}") || strings.ContainsAny(section, "*&") {
		t.Errorf("the section is\n%swant its variables, and no alias", section)
	}
}

func TestKafkaSectionOfTooManyAliases(t *testing.T) {
	file := "one: &one \"a:1\"\nkafka: {brokers: [" + strings.Repeat("*one, ", maxAliased+1) + "]}\n"
	var problems Problems
	if _, _, err := parseKafka("kafka.yaml", []byte(file), environment); !errors.As(err, &problems) || !strings.Contains(err.Error(), "aliases stand for more than") {
		t.Errorf("parseKafka: %v, want a word about aliases", err)
	}
}
