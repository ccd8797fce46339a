package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/gonomaly/gonomaly/sources/embedded"
)

// What is wrong of the use is told as such; what is wrong of the world, by the exit code.
func TestTopAndDoctorExit(t *testing.T) {
	good := write(t, "good.yaml", must(t, "create", "metrics"))
	bad := write(t, "bad.yaml", "streams: 5\n")
	for _, c := range []struct {
		args string
		code int
		says string // on standard error
	}{
		{"top --url localhost:9464", exitUsage, `want one such as http://localhost:9464`},
		{"top --sort size", exitUsage, "want one of lag, records"},
		{"top --every 1ms", exitUsage, "--every is 1ms"},
		{"top --limit -1", exitUsage, "--limit is -1"},
		{"top", exitUsage, "use --once"}, // a buffer is no terminal
		{"top --once --every 100ms --url http://127.0.0.1:1", exitFailed, ""},
		{"doctor", exitUsage, "which configuration?"},
		{"doctor -c " + good + " --url nonsense", exitUsage, "want one such as"},
		{"doctor -c " + good + " --timeout 0s", exitUsage, "--timeout is 0s"},
		{"doctor -c " + bad, exitFailed, bad + ":1:"},
	} {
		code, _, errs := run(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errs, c.says) || c.says == "" && errs != "" {
			t.Errorf("%s: exit %d, want %d, saying %q; standard error: %s", c.args, code, c.code, c.says, errs)
		}
	}
}

// Doctor looks at what a configuration names, and exits by what it finds.
func TestDoctorLooks(t *testing.T) {
	broker, err := embedded.Start(2, "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	redis := miniredis.RunT(t)
	t.Setenv("KAFKA_BROKERS", strings.Join(broker.Addresses(), ","))
	t.Setenv("REDIS_ADDR", redis.Addr())
	file := write(t, "g.yaml", must(t, "create", "metrics"))
	out := must(t, "doctor", "-c", file)
	for _, want := range []string{"✓ brokers", "metrics has 2 partitions", "! groups", "no member", "✓ redis", "takes writes", "\n0 ✗"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing from\n%s", want, out)
		}
	}
	redis.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + free.Addr().String()
	_ = free.Close()
	code, out, errs := run(t, "doctor", "-c", file, "--json", "--url", url)
	var report struct {
		Bad      int
		Findings []struct{ Area, Level, Says, Remedy string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != exitFailed || report.Bad < 2 || errs != "" {
		t.Fatalf("exit %d, %v, standard error %q, want Redis and the instance to be bad:\n%s", code, err, errs, out)
	}
	for _, f := range report.Findings {
		if f.Level == "bad" && f.Area != "redis" && f.Area != "instances" && f.Area != "checkpoints" {
			t.Errorf("also bad: %+v", f)
		}
	}
}
