package doctor_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/gonomaly/gonomaly/service/doctor"
)

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(context.WithoutCancel(t.Context()))
}

// Of a service that runs well nothing is bad, and every area has something good to say.
func TestHealthy(t *testing.T) {
	w := newWorld(t).topics("machines")
	w.produce(300, time.Now())
	url := w.run()
	var r *doctor.Report
	var text string
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if r, text = w.examine(url); r.Count(doctor.Bad)+r.Count(doctor.Warning) == 0 && has(r, doctor.Good, "checkpoints", "2 of 2 partitions") {
			break
		}
	}
	if r.Count(doctor.Bad)+r.Count(doctor.Warning) > 0 {
		t.Fatalf("of a service that is well it says\n%s", text)
	}
	for area, words := range map[string]string{
		"brokers": "broker 1 at 127.0.0.1:", "topics": "machines has 2 partitions, all in sync, 600 offsets", "rights": "the user may read machines, write machines.alerts",
		"groups": "gonomaly.machines is stable, 1 member (one on ", "offsets": "gonomaly.machines is 0 offsets behind in machines, nothing waits",
		"redis": "1.0 MiB of 100.0 MiB, maxmemory-policy noeviction", "checkpoints": "of machines in machines: 2 of 2 partitions",
		"clocks": "3 clocks compared", "versions": "the file's settings of 1 stream", "instances": url + " is ready",
	} {
		w.want(r, doctor.Good, area, words)
	}
	w.edit("half_life: 10", "half_life: 20")
	r, _ = w.examine(url)
	w.want(r, doctor.Warning, "versions", "other settings than the file: machines (", "/-/reload")
}

// The password of a proxy before an instance is for the proxy alone.
func TestPasswordsAreNotTold(t *testing.T) {
	asked := make(chan string, 10)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		asked <- password
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer proxy.Close()
	w := newWorld(t).all()
	r, text := w.examine(strings.Replace(proxy.URL, "://", "://operator:hunter2@", 1))
	if password := <-asked; password != "hunter2" || strings.Contains(text, "hunter2") {
		t.Errorf("the proxy was given %q, and the report says\n%s", password, text)
	}
	w.want(r, doctor.Bad, "instances", "/metrics answers 403 Forbidden")
}

// Each fault is found, told with its figure and a remedy, and hides nothing else.
func TestFaults(t *testing.T) {
	const yesterday = -24 * time.Hour
	for name, c := range map[string]struct {
		more   []kfake.Opt
		inject func(w *world) (urls []string)
		level  doctor.Level
		area   string
		words  []string
	}{
		"topic missing": {inject: func(w *world) []string {
			w.topics("machines.alerts", "machines.dead-letters")
			return nil
		}, level: doctor.Bad, area: "topics", words: []string{"machines does not exist", "kafka-topics.sh --create --topic machines"}},
		"outputs missing": {inject: func(w *world) []string {
			w.topics("machines")
			return nil
		}, level: doctor.Warning, area: "topics", words: []string{"machines.alerts does not exist", "run makes it"}},
		"nobody reads": {inject: func(w *world) []string { w.all(); return nil }, level: doctor.Warning, area: "groups",
			words: []string{"gonomaly.machines has no member", "gonomaly run"}},
		"nothing committed": {inject: func(w *world) []string { w.all().produce(10, time.Now()); return nil }, level: doctor.Warning, area: "offsets",
			words: []string{"nothing for 2 partitions of machines", "begins at the start"}},
		"a transaction is not ended": {inject: func(w *world) []string {
			w.all().writers(map[int32]time.Duration{0: time.Second, 1: 5*time.Hour + 30*time.Minute})
			return nil
		}, level: doctor.Bad, area: "topics", words: []string{"keeps records from readers: partitions 1 (from offset 10 on: producer 71 has written nothing for 5h ", "kafka-transactions.sh"}},
		"retention overtook": {inject: func(w *world) []string {
			w.all().produce(100, time.Now())
			w.commit(10)
			if err := w.cluster.DeleteRecords("machines", 1, 60); err != nil {
				w.Fatal(err)
			}
			return nil
		}, level: doctor.Bad, area: "offsets", words: []string{"machines/1 (50 offsets: next is 10, the log begins at 60)", "retention.ms"}},
		"retention is near": {inject: func(w *world) []string {
			w.topics("machines.alerts", "machines.dead-letters")
			if err := w.cluster.CreateTopic("machines", partitions, map[string]string{"retention.ms": "90000000"}); err != nil { // 25 h
				w.Fatal(err)
			}
			w.produce(100, time.Now().Add(yesterday))
			w.commit(10)
			return nil
		}, level: doctor.Warning, area: "offsets", words: []string{"about to delete", "machines/0 (24h 00m old of 25h 00m)"}},
		"far behind": {inject: func(w *world) []string {
			w.all().produce(100, time.Now().Add(yesterday))
			w.commit(10)
			return nil
		}, level: doctor.Warning, area: "offsets", words: []string{"180 offsets behind in machines, the next has waited 24h 00m"}},
		"offsets of another log": {inject: func(w *world) []string {
			w.all().produce(100, time.Now())
			w.commit(101)
			return nil
		}, level: doctor.Bad, area: "offsets", words: []string{"machines/0 (next is 101, the log ends at 100)", "--reset-offsets"}},
		"Redis down": {inject: func(w *world) []string { w.all(); w.redis.Close(); return nil }, level: doctor.Bad, area: "redis",
			words: []string{"takes no writes", "refused", "start Redis"}},
		"Redis full": {inject: func(w *world) []string {
			w.all()
			w.redis.SetError("OOM command not allowed when used memory > 'maxmemory'.")
			return nil
		}, level: doctor.Bad, area: "redis", words: []string{"takes no writes", "OOM", "raise maxmemory"}},
		"Redis evicts": {inject: func(w *world) []string {
			w.all()
			w.info.Store(strings.Replace(healthy, "noeviction", "allkeys-lru", 1))
			return nil
		}, level: doctor.Bad, area: "redis", words: []string{"is allkeys-lru", "CONFIG SET maxmemory-policy noeviction"}},
		"Redis may evict": {inject: func(w *world) []string {
			w.all()
			w.info.Store(strings.NewReplacer("noeviction", "volatile-ttl", "maxmemory:104857600", "maxmemory:0", "evicted_keys:0", "evicted_keys:7").Replace(healthy))
			return nil
		}, level: doctor.Warning, area: "redis", words: []string{"is volatile-ttl, which will delete"}},
		"a replica": {inject: func(w *world) []string {
			w.all()
			w.info.Store(strings.Replace(healthy, "role:master", "role:slave\r\nmaster_host:redis-0\r\nmaster_port:6379", 1))
			return nil
		}, level: doctor.Bad, area: "redis", words: []string{"is a replica (of redis-0:6379)", "sentinel.master"}},
		"Redis without a file": {inject: func(w *world) []string {
			w.all()
			w.info.Store(strings.Replace(healthy, "aof_enabled:1", "aof_enabled:0", 1))
			return nil
		}, level: doctor.Warning, area: "redis", words: []string{"no append-only file", "appendonly yes"}},
		"a clock an hour off": {inject: func(w *world) []string {
			w.all()
			w.redis.SetTime(time.Now().Add(-time.Hour))
			return nil
		}, level: doctor.Bad, area: "clocks", words: []string{"1h 00m behind this machine's", "chronyc"}},
		"records of the future": {inject: func(w *world) []string {
			w.all().produce(10, time.Now().Add(time.Hour))
			return nil
		}, level: doctor.Warning, area: "clocks", words: []string{"newest record of machines is dated", "ahead", "producer"}},
		"no broker": {inject: func(w *world) []string {
			w.env["BROKERS"] = nobody(w.T)
			return nil
		}, level: doctor.Bad, area: "brokers", words: []string{"does not answer", "refused", "start the broker"}},
		"one of the brokers": {inject: func(w *world) []string {
			w.all()
			w.env["BROKERS"] += "," + nobody(w.T)
			return nil
		}, level: doctor.Warning, area: "brokers", words: []string{"of kafka.brokers does not answer"}},
		"no such name": {inject: func(w *world) []string {
			w.env["BROKERS"] = "kafka.invalid:9092"
			return nil
		}, level: doctor.Bad, area: "brokers", words: []string{"kafka.invalid:9092", "kafka.brokers"}},
		"brokers too old": {more: []kfake.Opt{kfake.MaxVersions(kversion.V3_7_0())}, inject: func(w *world) []string {
			w.all()
			w.edit("topics: [machines]", "topics: [machines]\n    group_protocol: consumer")
			return nil
		}, level: doctor.Bad, area: "versions", words: []string{"KIP-848", "or set group_protocol to classic"}},
		"an instance that is not ready": {inject: func(w *world) []string { return []string{w.run()} }, level: doctor.Bad, area: "instances",
			words: []string{"is not ready: stream machines: "}},
		"an instance that is away": {inject: func(w *world) []string { w.all(); return []string{"http://" + nobody(w.T)} }, level: doctor.Bad, area: "instances",
			words: []string{"does not answer: ", "refused", "--url"}},
		"no directory": {inject: func(w *world) []string {
			w.all()
			w.edit("every: 50ms", `store: file, directory: "${DIR}/none"`)
			return nil
		}, level: doctor.Bad, area: "disk", words: []string{"checkpoints: ", "none cannot be written to", "make the directory"}},
		"kept in memory": {inject: func(w *world) []string {
			w.all()
			w.edit("every: 50ms", "store: memory")
			return nil
		}, level: doctor.Warning, area: "checkpoints", words: []string{"kept in memory"}},
		"no checkpoint": {inject: func(w *world) []string {
			w.all().produce(100, time.Now())
			w.commit(100)
			return nil
		}, level: doctor.Warning, area: "checkpoints", words: []string{"none of partitions 0, 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.more...)
			r, _ := w.examine(c.inject(w)...)
			w.want(r, c.level, c.area, c.words...)
			if (r.Count(doctor.Bad) > 0) != (c.level == doctor.Bad) && name != "an instance that is not ready" {
				t.Errorf("%d are bad where one finding is %v:\n%s", r.Count(doctor.Bad), c.level, r.Text())
			}
			if c.area != "redis" && !strings.Contains(w.yaml, "store:") { // whatever happens to others, Redis is looked at
				w.want(r, doctor.Good, "redis", "takes writes")
			}
			if c.area == "redis" {
				w.want(r, doctor.Good, "brokers", "answers in")
			}
		})
	}
}

// nobody is an address where nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // that is what it is for
	return l.Addr().String()
}

// Somebody who takes connections and says nothing holds up no other question, and each for no longer than it may take.
func TestFrozen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody waits for it
	w := newWorld(t).all()
	w.each = 300 * time.Millisecond
	w.env["BROKERS"] = l.Addr().String()
	begin := time.Now()
	r, _ := w.examine("http://" + l.Addr().String())
	w.want(r, doctor.Bad, "brokers", l.Addr().String(), "firewall")
	w.want(r, doctor.Bad, "instances", "does not answer", "deadline")
	w.want(r, doctor.Good, "redis", "takes writes")
	w.env["BROKERS"], w.env["REDIS"] = strings.Join(w.cluster.ListenAddrs(), ","), l.Addr().String()
	w.each = 2 * time.Second // the cluster answers in less, on a busy machine too
	r, _ = w.examine()
	w.want(r, doctor.Bad, "redis", "takes no writes", "SLOWLOG")
	if took := time.Since(begin); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
}

// A user with too few rights is told each that is missing, and how to give it.
func TestRights(t *testing.T) {
	const user, password = "gonomaly", "secret"
	allow := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	w := newWorld(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(partitions, "machines", "machines.alerts", "machines.dead-letters"), kfake.User("PLAIN", user, password,
		allow(kmsg.ACLResourceTypeTopic, "machines", kmsg.ACLOperationDescribe),
		allow(kmsg.ACLResourceTypeTopic, "machines.alerts", kmsg.ACLOperationWrite),
		allow(kmsg.ACLResourceTypeTopic, "machines.alerts", kmsg.ACLOperationRead),
		allow(kmsg.ACLResourceTypeGroup, "gonomaly.machines", kmsg.ACLOperationRead)))
	w.edit(`kafka: {brokers: ["${BROKERS}"]}`, fmt.Sprintf(`kafka: {brokers: ["${BROKERS}"], sasl: {mechanism: plain, username: %s, password: %s}}`, user, password))
	r, _ := w.examine()
	w.want(r, doctor.Bad, "rights", "topic machines: the user may not read it", "--operation Read --topic machines")
	w.want(r, doctor.Bad, "rights", "transactional id gonomaly.gonomaly.machines.one", "--transactional-id")
	w.want(r, doctor.Bad, "topics", "machines.dead-letters cannot be asked about", "Describe")
	w.want(r, doctor.Bad, "groups", "gonomaly.machines.sink.redis cannot be asked about", "Describe")
	w.want(r, doctor.Good, "rights", "write machines.alerts")
	w.edit(password, "wrong")
	r, _ = w.examine()
	w.want(r, doctor.Bad, "brokers", "does not answer", "kafka.sasl")
}

// Where the store has lost a part of a state, that is told before a restart needs it.
func TestLostCheckpoint(t *testing.T) {
	w := newWorld(t).topics("machines")
	w.produce(300, time.Now())
	url := w.run()
	var r *doctor.Report
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if r, _ = w.examine(url); has(r, doctor.Good, "checkpoints", "2 of 2 partitions") {
			break
		}
	}
	w.quit() // it would mend it
	for _, key := range w.redis.Keys() {
		if strings.HasSuffix(key, ":0") { // the first bit of a piece
			w.redis.Del(key)
		}
	}
	r, _ = w.examine()
	w.want(r, doctor.Bad, "checkpoints", "bits are gone of partitions 0 (", "noeviction")
}
