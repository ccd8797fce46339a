package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/gonomaly/gonomaly/internal/local"
	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/pipeline/checkpoint"
)

// onRedis runs a test against miniredis, and a real server where there is one.
func onRedis(t *testing.T, test func(t *testing.T, s *Redis, client redis.UniversalClient)) {
	for what, addr := range map[string]func(*testing.T) string{
		"redis": func(t *testing.T) string { return miniredis.RunT(t).Addr() },
		"real redis": func(t *testing.T) string {
			return local.RedisFor(t)
		},
	} {
		t.Run(what, func(t *testing.T) {
			c := checkpoint.DefaultRedis()
			c.Address = addr(t)
			client, err := c.Client(nil)
			if err != nil {
				t.Fatal(err)
			}
			sink, err := Kinds["redis"]().New(Env{Redis: client, KeyPrefix: fmt.Sprintf("test-%x", rand.Uint64())})
			if err != nil {
				t.Fatal(err)
			}
			s := sink.(*Redis)
			t.Cleanup(func() {
				client.Del(context.Background(), s.keys...)
				_ = client.Close()
			})
			test(t, s, client)
		})
	}
}

var somewhere = pipeline.Partition{Topic: "a", TopicID: "7f", ID: 3}

func delivery(t *testing.T, a *pipeline.Alert, offset, after int64) *Delivery {
	return &Delivery{Alert: *a, Data: data(t, a), Partition: somewhere, Offset: offset, After: after}
}

func TestRedisSkipsWhatItHas(t *testing.T) {
	onRedis(t, func(t *testing.T, s *Redis, client redis.UniversalClient) {
		for _, d := range []*Delivery{
			delivery(t, alert(0), 0, 0), delivery(t, alert(0), 0, 0), delivery(t, alert(1), 5, 1), delivery(t, alert(0), 0, 0), delivery(t, alert(1), 5, 1),
		} {
			if err := send(t, s, d); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := client.XRange(t.Context(), s.keys[0], "-", "+").Result()
		if err != nil || len(entries) != 2 || entries[0].Values["id"] != alert(0).ID || entries[1].Values["data"] != string(data(t, alert(1))) {
			t.Errorf("stream is %v, %v, want alerts 0 and 1", entries, err)
		}
		if n, err := s.Position(t.Context(), somewhere); n != 6 || err != nil {
			t.Errorf("Position = %d, %v, want 6", n, err)
		}
		if n, err := s.Position(t.Context(), pipeline.Partition{Topic: "a", TopicID: "80", ID: 3}); n != 0 || err != nil {
			t.Errorf("Position in a topic made again = %d, %v, want 0", n, err)
		}
	})
}

func TestRedisTellsWhatItLost(t *testing.T) {
	onRedis(t, func(t *testing.T, s *Redis, client redis.UniversalClient) {
		if err := send(t, s, delivery(t, alert(0), 10, 0)); err != nil {
			t.Fatal(err)
		}
		err := send(t, s, delivery(t, alert(1), 20, 15))
		var lost *Behind
		if !errors.As(err, &lost) || lost.Stored != 11 || lost.Expected != 15 || lost.Partition != somewhere {
			t.Fatalf("Send = %v, want Behind at 11", err)
		}
		if n := client.XLen(t.Context(), s.keys[0]).Val(); n != 1 {
			t.Errorf("%d entries, want 1: nothing is written before what is missing", n)
		}
		if err := send(t, s, delivery(t, alert(1), 20, -1)); err != nil {
			t.Errorf("Send from a topic that cannot be read again = %v, want nil", err)
		}
	})
}

func TestIncidentsGoByRevision(t *testing.T) {
	onRedis(t, func(t *testing.T, s *Redis, client redis.UniversalClient) {
		incident := alert(0).Incident
		offset := int64(0)
		for _, step := range []struct{ send, want int }{{0, 0}, {1, 1}, {0, 1}, {2, -1}} { // open, update, open of another partition, resolve
			if err := send(t, s, delivery(t, alert(step.send), offset, 0)); err != nil {
				t.Fatal(err)
			}
			offset++
			got, err := client.HGet(t.Context(), s.keys[1], incident).Result()
			if step.want < 0 {
				if !errors.Is(err, redis.Nil) {
					t.Errorf("after the resolve the incident is %q, %v", got, err)
				}
			} else if got != string(data(t, alert(step.want))) {
				t.Errorf("incident is %s, %v, want that of alert %d", got, err, step.want)
			}
		}
	})
}

// A key of another type must not make the script write the half of an alert, and then again with each attempt.
func TestRedisWritesAllOrNothing(t *testing.T) {
	onRedis(t, func(t *testing.T, s *Redis, client redis.UniversalClient) {
		for _, i := range []int{1, 2} {
			client.Del(t.Context(), s.keys...)
			client.Set(t.Context(), s.keys[i], "not a hash", 0)
			for range 3 {
				if err := send(t, s, delivery(t, alert(0), 0, 0)); err == nil {
					t.Fatalf("%s is no hash, and Send = nil", s.keys[i])
				}
			}
			if n := client.XLen(t.Context(), s.keys[0]).Val(); n != 0 {
				t.Errorf("%d entries, want 0", n)
			}
		}
	})
}

func TestStreamIsBounded(t *testing.T) {
	onRedis(t, func(t *testing.T, s *Redis, client redis.UniversalClient) {
		s.maxLength = 100
		for i := range 1000 {
			if err := send(t, s, delivery(t, alert(i), int64(i), 0)); err != nil {
				t.Fatal(err)
			}
		}
		// Redis trims whole nodes of 100 entries.
		if n := client.XLen(t.Context(), s.keys[0]).Val(); n < 100 || n > 200 {
			t.Errorf("%d entries, want 100 to 200", n)
		}
	})
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	for i := range 2 { // opened again, it goes on at its end
		sink, err := (&FileConfig{Path: path, Format: formatJSON}).New(Env{})
		if err != nil {
			t.Fatal(err)
		}
		if err := send(t, sink, delivery(t, alert(i), 0, 0)); err != nil {
			t.Fatal(err)
		}
		if err := sink.(*File).Close(); err != nil {
			t.Fatal(err)
		}
		if err := send(t, sink, delivery(t, alert(i), 0, 0)); err == nil {
			t.Error("Send to a closed file = nil")
		}
	}
	got, err := os.ReadFile(path)
	want := append(append(append(data(t, alert(0)), '\n'), data(t, alert(1))...), '\n')
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("file is %s, %v, want %s", got, err, want)
	}
}

// What is no file on a disk has nothing to be made durable: it takes each alert once.
func TestFileThatIsNone(t *testing.T) {
	sink, err := (&FileConfig{Path: os.DevNull, Format: formatJSON}).New(Env{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(send(t, sink, delivery(t, alert(0), 0, 0)), sink.(*File).Close()); err != nil {
		t.Error(err)
	}
}

func TestText(t *testing.T) {
	a := alert(0)
	bare := &pipeline.Alert{Stream: "taxi", Kind: pipeline.Drift, Status: pipeline.Open, Time: a.Time, Reason: "two\nlines\x1b[2J"}
	for want, a := range map[string]*pipeline.Alert{
		"2026-03-01 12:30:00Z machines m-00 anomaly open: temp is high": a,
		"2026-03-01 12:30:00Z taxi drift open: two lines [2J":           bare,
	} {
		if got := line(a); got != want {
			t.Errorf("Text = %q, want %q", got, want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for kind, config := range Kinds {
		c := SinkConfig{Kind: kind, Params: config()}
		if kind == "file" {
			c.Params.(*FileConfig).Path = "x"
		}
		if err := c.Check(); err != nil || c.ID() != kind {
			t.Errorf("the defaults of %s: %v", kind, err)
		}
	}
	for want, c := range map[string]SinkConfig{
		`kind is nats, want one of file, redis, stdout`: {Kind: "nats"},
		`name is a b, want letters`:                     {Name: "a b", Kind: "stdout", Params: Kinds["stdout"]()},
		`format is xml, want json or text`:              {Kind: "stdout", Params: &StdoutConfig{"xml"}},
		`path is "", want the path of a file`:           {Kind: "file", Params: Kinds["file"]()},
		`max_length is 0, want ≥ 1`:                     {Kind: "redis", Params: &RedisConfig{"a", "b", "c", 0}},
		`positions is "a", want a name of its own`:      {Kind: "redis", Params: &RedisConfig{"a", "b", "a", 1}},
	} {
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check() = %v, want %s", err, want)
		}
	}
	if _, err := Kinds["redis"]().New(Env{}); err == nil || !strings.Contains(err.Error(), "redis section") {
		t.Errorf("a redis sink without Redis: %v", err)
	}
}

// send has a sink take one alert.
func send(t *testing.T, s Sink, d *Delivery) error {
	t.Helper()
	n, err := s.Send(t.Context(), []*Delivery{d})
	if (n == 1) != (err == nil) {
		t.Errorf("Send takes %d, %v", n, err)
	}
	return err
}
