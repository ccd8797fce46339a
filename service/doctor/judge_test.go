package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/internal/golden"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
	"github.com/gonomaly/gonomaly/service/top"
	"github.com/gonomaly/gonomaly/sources"
	"github.com/gonomaly/gonomaly/sources/kafka"
)

const settings = `
kafka: {brokers: ["kafka-1:9092", "kafka-2:9092"]}
redis: {address: "redis:6379", username: gonomaly, password: secret}
instance: gonomaly-0
streams:
  - name: machines
    topics: [machines]
    decode: {format: json, key: k, time: {field: ts, unit: ms}, values: [x]}
    detectors: [{kind: ewma}]
sinks: [{kind: redis}, {kind: file, path: /var/lib/gonomaly/alerts.jsonl}]
`

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// well are facts with which all is well.
func well(t *testing.T) *facts {
	t.Helper()
	c, err := config.Parse("g.yaml", []byte(settings), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	topic := func(start, end int64) kafka.TopicState {
		p := kafka.PartitionState{Replicas: 3, InSync: 3, Start: start, End: end, Newest: now.Add(-time.Second)}
		return kafka.TopicState{ID: "3f2a", At: now, Operations: []string{"describe", "read", "write"}, Partitions: map[int32]kafka.PartitionState{0: p, 1: p}, Retention: 7 * 24 * time.Hour}
	}
	group := func(topic string, at int64, next time.Time) kafka.GroupState {
		return kafka.GroupState{
			State: stable, Operations: []string{"describe", "read"}, At: now,
			Members:   []kafka.Member{{Client: "gonomaly", Instance: "gonomaly-0", Host: "/10.0.0.7", Assigned: map[string][]int32{topic: {0, 1}}}},
			Committed: map[string]map[int32]int64{topic: {0: at, 1: at}}, Next: map[string]map[int32]time.Time{topic: {0: next, 1: next}},
		}
	}
	f := &facts{
		now: now, config: c, version: "v1.2.0",
		kafka: &kafka.Examined{
			Seeds: []kafka.Broker{{ID: -1, Address: "kafka-1:9092"}, {ID: -1, Address: "kafka-2:9092"}},
			Brokers: []kafka.Broker{
				{ID: 1, Address: "kafka-1:9092", Took: 3 * time.Millisecond, Version: "v4.3"}, {ID: 2, Address: "kafka-2:9092", Took: 4 * time.Millisecond, Version: "v4.3"},
			},
			Topics: map[string]kafka.TopicState{"machines": topic(1000, 5000), "machines.alerts": topic(0, 12), "machines.dead-letters": topic(0, 0)},
			Groups: map[string]kafka.GroupState{
				"gonomaly.machines":            group("machines", 4990, now.Add(-300*time.Millisecond)),
				"gonomaly.machines.sink.redis": group("machines.alerts", 12, time.Time{}),
				"gonomaly.machines.sink.file":  group("machines.alerts", 12, time.Time{}),
			},
			Writers: map[string]error{"gonomaly.gonomaly.machines.gonomaly-0": nil},
		},
		redis: &checkpoint.Examined{Took: 2 * time.Millisecond, Nodes: []checkpoint.Node{{
			Address: "redis:6379", Ahead: 20 * time.Millisecond, Unsure: time.Millisecond, Info: map[string]string{
				"role": "master", "used_memory": "10485760", "maxmemory": "104857600", "maxmemory_policy": "noeviction", "aof_enabled": "1", "aof_last_write_status": "ok",
			},
		}}},
		states: map[pipeline.Log]standing{},
		disks:  []disk{{what: "sink file", dir: "/var/lib/gonomaly", free: 50 << 30, total: 100 << 30}},
		instances: []top.Scrape{instance(t, "http://gonomaly-0:9464", `
gonomaly_config_last_reload_successful 1
gonomaly_build_info{version="v1.2.0"} 1
gonomaly_config_info{stream="machines",hash="`+c.Streams[0].Hash()+`"} 1
gonomaly_checkpoint_age_seconds{stream="machines",topic="machines",partition="0"} 4.2
gonomaly_records_received_total{stream="machines"} 8000
gonomaly_dead_letters_total{stream="machines",reason="not_json"} 7
gonomaly_watermark_timestamp_seconds{stream="machines",topic="machines",partition="0"} 1767225600
`)},
	}
	for id := range int32(2) {
		f.states[pipeline.Log{Group: "gonomaly.machines", Partition: pipeline.Partition{Topic: "machines", TopicID: "3f2a", ID: id}}] =
			standing{Standing: checkpoint.Standing{Offset: 4800, Pieces: 3}}
	}
	return f
}

func instance(t *testing.T, url, metrics string) top.Scrape {
	t.Helper()
	s := top.Scrape{URL: url, At: now, Clock: now, Ready: true}
	if err := s.Parse(metrics); err != nil {
		t.Fatal(err)
	}
	return s
}

// sick are facts with which hardly anything is well.
func sick(t *testing.T) *facts {
	t.Helper()
	f := well(t)
	k := f.kafka
	k.Seeds[1].Err = errors.New("unable to dial: dial tcp: lookup kafka-2: no such host")
	k.Brokers[0].Took = 1300 * time.Millisecond
	k.Brokers[0].Version = "v4.2"
	k.Brokers = append(k.Brokers, kafka.Broker{ID: 3, Address: "10.9.9.9:9092", Err: errors.New("i/o timeout")})
	m := k.Topics["machines"]
	m.Partitions[0] = kafka.PartitionState{Replicas: 3, InSync: 1, Start: 6000, End: 9000, Newest: now.Add(3 * time.Hour)}
	m.Partitions[1] = kafka.PartitionState{Replicas: 3, InSync: 3, Err: errors.New("LEADER_NOT_AVAILABLE")}
	m.Operations = []string{"describe"}
	k.Topics["machines"] = m
	k.Topics["machines.dead-letters"] = kafka.TopicState{Err: kafka.ErrNoTopic}
	g := k.Groups["gonomaly.machines"]
	g.Members[0].Assigned = map[string][]int32{"machines": {1}}
	g.Next["machines"][0] = now.Add(-150 * time.Hour) // of 168
	k.Groups["gonomaly.machines"] = g
	k.Groups["gonomaly.machines.sink.redis"] = kafka.GroupState{State: "PreparingRebalance", Members: g.Members}
	k.Groups["gonomaly.machines.sink.file"] = kafka.GroupState{State: empty, OffsetsErr: errors.New("COORDINATOR_NOT_AVAILABLE")}
	k.Writers["gonomaly.gonomaly.machines.gonomaly-0"] = errors.New("COORDINATOR_LOAD_IN_PROGRESS")
	f.redis.Nodes[0].Info = map[string]string{
		"role": "slave", "master_host": "redis-1", "master_port": "6379", "loading": "1", "used_memory": "104000000", "maxmemory": "104857600",
		"maxmemory_policy": "allkeys-lru", "evicted_keys": "1", "aof_enabled": "1", "aof_last_write_status": "err", "rdb_last_bgsave_status": "err",
	}
	f.redis.Nodes[0].Ahead = -90 * time.Second
	f.redis.Denied = []checkpoint.Right{{Name: "+hset", Err: errors.New("NOPERM")}, {Name: "+xadd", Err: errors.New("NOPERM")}}
	for l := range f.states {
		s := standing{Standing: checkpoint.Standing{Offset: 4800, Pieces: 3, Missing: 1}}
		if l.ID == 1 {
			s = standing{err: pipeline.ErrNoCheckpoint}
		}
		f.states[l] = s
	}
	f.disks = []disk{
		{what: "sink file", dir: "/var/lib/gonomaly", free: 3 << 30, total: 100 << 30}, {what: "sink other", dir: "/mnt", free: 10 << 30, total: 100 << 30},
		{what: "sink third", dir: "/none", err: errors.New("no such file or directory")}, {what: "sink fourth", dir: "/odd", spaceErr: errors.ErrUnsupported},
	}
	f.instances[0] = instance(t, "http://gonomaly-0:9464", `
gonomaly_config_last_reload_successful 0
gonomaly_build_info{version="v1.1.0"} 1
gonomaly_config_info{stream="machines",hash="0123456789ab"} 1
gonomaly_config_info{stream="old",hash="0123456789ab"} 1
gonomaly_records_received_total{stream="machines"} 8000
gonomaly_records_received_total{stream="old"} 200
gonomaly_dead_letters_total{stream="machines",reason="missing_field"} 7990
gonomaly_dead_letters_total{stream="machines",reason="not_json"} 10
gonomaly_dead_letters_total{stream="machines",reason="too_deep"} 0
gonomaly_dead_letters_total{stream="old",reason="bad_time"} 2
gonomaly_watermark_timestamp_seconds{stream="machines",topic="machines",partition="0"} 1767225.6
gonomaly_watermark_timestamp_seconds{stream="old",topic="old",partition="0"} 1767225.6
`)
	f.instances[0].Ready, f.instances[0].Says = false, []string{"stream machines: not a member of the group yet"}
	f.instances[0].Clock = now.Add(5 * time.Second)
	f.instances = append(f.instances, top.Scrape{URL: "http://gonomaly-1:9464", Err: errors.New("connection refused")})
	return f
}

func TestReports(t *testing.T) {
	for name, f := range map[string]*facts{"well": well(t), "sick": sick(t)} {
		r := &Report{Findings: judge(f), Took: 1234 * time.Millisecond}
		asJSON, err := r.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var parsed struct {
			Bad, Warnings, Good int
			Findings            []struct{ Area, Level, Says, Remedy string }
		}
		if err := json.Unmarshal(asJSON, &parsed); err != nil || len(parsed.Findings) != len(r.Findings) || parsed.Bad != r.Count(Bad) || parsed.Warnings != r.Count(Warning) {
			t.Errorf("%s: %v, JSON has %+v", name, err, parsed)
		}
		for _, one := range parsed.Findings {
			if one.Area == "" || one.Says == "" || one.Level != "good" && one.Remedy == "" || one.Level == "good" && one.Remedy != "" {
				t.Errorf("%s: finding %+v lacks something, or has a remedy for what is good", name, one)
			}
		}
		if name == "well" && parsed.Bad+parsed.Warnings > 0 {
			t.Errorf("of what is well %d are bad and %d warnings", parsed.Bad, parsed.Warnings)
		}
		golden.Check(t, filepath.Join("testdata", name+".want"), strings.ReplaceAll(r.Text(), f.config.Streams[0].Hash(), "HASH"))
	}
}

// One fact at a time that is not as it should be, where the rest is well.
func TestOneFact(t *testing.T) {
	for name, c := range map[string]struct {
		change func(f *facts)
		level  Level
		says   string
	}{
		"Redis is slow": {func(f *facts) { f.redis.Took = time.Second }, Warning, "takes 1.0 s to answer"},
		"Redis has no limit": {func(f *facts) { f.redis.Nodes[0].Info["maxmemory"] = "0" }, Warning,
			"holds 10.0 MiB and has no maxmemory"},
		"Redis fills up": {func(f *facts) { f.redis.Nodes[0].Info["used_memory"] = "83886080" }, Warning, "fills up: 80.0 MiB of 100.0 MiB"},
		"Redis tells nothing": {func(f *facts) {
			f.redis.Nodes[0] = checkpoint.Node{Address: "redis:6379", InfoErr: errors.New("EOF"), ClockErr: errors.New("EOF")}
		}, Warning,
			"does not say how it does: EOF"},
		"checkpoints cannot be asked for": {func(f *facts) {
			for l := range f.states {
				f.states[l] = standing{err: errors.New("permission denied")}
			}
		}, Bad, "of machines in machines cannot be looked at: permission denied"},
		"checkpoints are old": {func(f *facts) {
			f.instances[0] = instance(t, f.instances[0].URL, "gonomaly_config_last_reload_successful 1\ngonomaly_config_info{stream=\"machines\",hash=\""+f.config.Streams[0].Hash()+
				"\"} 1\ngonomaly_checkpoint_age_seconds{stream=\"machines\",topic=\"machines\",partition=\"0\"} 600\n")
		}, Warning, "at most 190 offsets behind what is committed, the oldest 10m 00s old"},
		"checkpoints above": {func(f *facts) {
			for l := range f.states {
				f.states[l] = standing{Standing: checkpoint.Standing{Offset: 4999, Pieces: 1}}
			}
		}, Warning, "0 (at 4999, committed is 4990), 1 (at 4999"},
		"checkpoints are gone": {func(f *facts) {
			offsets := map[int32]int64{}
			for id := range int32(12) {
				offsets[id] = 5000
				f.states[pipeline.Log{Group: "gonomaly.machines", Partition: pipeline.Partition{Topic: "machines", TopicID: "3f2a", ID: id}}] =
					standing{err: pipeline.ErrNoCheckpoint}
			}
			f.kafka.Groups["gonomaly.machines"].Committed["machines"] = offsets
		}, Warning, "none of partitions 0, 1, 2, 3, 4 and 7 more"},
		"checkpoints of what was committed since": {func(f *facts) {
			for l := range f.states {
				f.states[l] = standing{Standing: checkpoint.Standing{Offset: 4999, Pieces: 1}}
			}
			f.later = map[string]kafka.GroupState{"gonomaly.machines": {Committed: map[string]map[int32]int64{"machines": {0: 5000, 1: 5000}}}}
		}, Good, "2 of 2 partitions, at most 1 offset behind"},
		"a stream less": {func(f *facts) {
			f.instances[0] = instance(t, f.instances[0].URL, "gonomaly_config_last_reload_successful 1\n")
		}, Warning, "machines does not run"},
		"a stream that nobody runs yet": {func(f *facts) {
			f.instances[0] = instance(t, f.instances[0].URL, "gonomaly_config_last_reload_successful 1\ngonomaly_config_info{stream=\"other\",hash=\"0\"} 1\n")
			f.kafka.Topics["machines.alerts"] = kafka.TopicState{Err: kafka.ErrNoTopic}
			for name := range f.kafka.Groups {
				f.kafka.Groups[name] = kafka.GroupState{State: empty}
			}
		}, Warning, "gonomaly.machines has no member: nobody reads machines"},
		"the client of Kafka":  {func(f *facts) { f.kafka, f.kafkaErr = nil, errors.New("read tls.ca_file: no such file") }, Bad, "read tls.ca_file"},
		"the client of Redis":  {func(f *facts) { f.redis, f.redisErr = nil, errors.New("read password_file: no such file") }, Bad, "read password_file"},
		"no brokers named":     {func(f *facts) { f.kafka.Err = errors.New("ask for the brokers: EOF") }, Bad, "ask for the brokers: EOF"},
		"another revision":     {func(f *facts) { f.version = build("v1.2.0", "0123456789abcdef") }, Warning, "runs v1.2.0, and this is v1.2.0 (0123456789ab)"},
		"no version":           {func(f *facts) { f.version = build("", "unknown") }, Good, "runs version v1.2.0, this is unknown"},
		"an instance is stuck": {func(f *facts) { f.instances[0].Stuck, f.instances[0].Loops = true, []string{"its loop is stuck"} }, Bad, "is not healthy: its loop is stuck"},
		"an instance is slow":  {func(f *facts) { f.instances[0].Loops = []string{"its loop is slow"} }, Warning, "is healthy, but its loop is slow"},
		"probes return":        {func(f *facts) { probed(t, f, 3*time.Second, 0) }, Good, "all of its 40 probes of topic machines, stream machines, have returned, the last 3.0 s ago"},
		"probes are lost":      {func(f *facts) { probed(t, f, 3*time.Second, 2) }, Warning, "2 were lost, 0 failed, and 40 returned"},
		"no probe returns":     {func(f *facts) { probed(t, f, 71*time.Second, 2) }, Bad, "no probe of topic machines, stream machines, has returned for 1m 11s"},
		"probes take their time": {func(f *facts) {
			f.config.Streams[0].Probe = &sources.ProbeConfig{Every: time.Minute, Timeout: 5 * time.Minute}
			probed(t, f, 71*time.Second, 0)
		}, Good, "the last 1m 11s ago"},
		"no right to write probes": {func(f *facts) {
			f.config.Streams[0].Probe = &sources.ProbeConfig{}
			m := f.kafka.Topics["machines"]
			m.Operations = []string{"describe", "read"}
			f.kafka.Topics["machines"] = m
		}, Bad, "topic machines: the user may not write it"},
		"a member less": {func(f *facts) {
			g := f.kafka.Groups["gonomaly.machines"]
			g.State, g.Members = dead, nil
			f.kafka.Groups["gonomaly.machines"] = g
		}, Bad, "gonomaly.machines has no member, and an instance is running"},
	} {
		f := well(t)
		c.change(f)
		found := false
		for _, one := range judge(f) {
			found = found || one.Level == c.level && strings.Contains(one.Says, c.says)
			if one.Level != Good && one.Level != c.level && one.Remedy != "cure this first" {
				t.Errorf("%s: also %+v", name, one)
			}
		}
		if !found {
			t.Errorf("%s: nothing is %v and says %q:\n%s", name, c.level, c.says, (&Report{Findings: judge(f)}).Text())
		}
	}
}

// probed has an instance tell of its probes: the last has returned some time ago, and so many were lost.
func probed(t *testing.T, f *facts, ago time.Duration, lost int) {
	t.Helper()
	const of = `stream="machines",topic="machines"`
	f.instances = append(f.instances, instance(t, "http://gonomaly-1:9464", fmt.Sprintf("gonomaly_config_last_reload_successful 1\ngonomaly_config_info{stream=\"machines\",hash=%q} 1\n"+
		"gonomaly_probes_total{%s,outcome=\"returned\"} 40\ngonomaly_probes_total{%s,outcome=\"lost\"} %d\ngonomaly_probes_total{%s,outcome=\"failed\"} 0\n"+
		"gonomaly_probe_last_return_timestamp_seconds{%s} %d\n", f.config.Streams[0].Hash(), of, of, lost, of, of, now.Add(-ago).Unix())))
}

func TestList(t *testing.T) {
	if got := list([]string{"a", "b", "c", "d", "e", "f", "g"}); got != "a, b, c, d, e and 2 more" {
		t.Errorf("list = %q", got)
	}
	if got := many(1, "offset") + ", " + many(2, "offset"); got != "1 offset, 2 offsets" {
		t.Errorf("many = %q", got)
	}
}
