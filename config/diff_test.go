package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	const stream = "{name: NAME, topics: [in], decode: {values: x}, detectors: [{kind: ewma, half_life: LIFE}], alert: {topic: NAME}}"
	file := func(head string, streams ...string) *Config {
		for i, s := range streams {
			name, life, _ := strings.Cut(s, " ")
			streams[i] = strings.NewReplacer("NAME", name, "LIFE", life).Replace(stream)
		}
		return parseString(t, head+"streams: ["+strings.Join(streams, ", ")+"]")
	}
	old := file("", "a 10", "b 10", "c 10")
	for _, test := range []struct {
		new  *Config
		want Changes
	}{
		{file("log: {level: debug}\n", "a 10", "b 10", "c 10"), Changes{}},
		{file("", "c 10", "d 10", "a 20"), Changes{Added: []string{"d"}, Removed: []string{"b"}, Changed: []string{"a"}}},
		{file("listen: 127.0.0.1:0\nredis: {}\n", "a 10", "b 10", "c 10"), Changes{Restart: []string{"listen", "redis", "checkpoints"}}},
		{file("sinks: [{kind: stdout}]\n", "a 10", "b 10", "c 10"), Changes{Sinks: true}},
	} {
		if got := Diff(old, test.new); !reflect.DeepEqual(got, test.want) {
			t.Errorf("Diff = %+v, want %+v", got, test.want)
		}
	}
}
