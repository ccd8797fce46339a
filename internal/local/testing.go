package local

import (
	"os"
	"testing"
)

// RedisFor returns the address of the Redis of REDIS_ADDR, or else of one that lasts as long as the test. Without the build tag
// integration, and without REDIS_ADDR, it skips the test: make test needs nothing but Go.
func RedisFor(t testing.TB) string {
	t.Helper()
	if address := os.Getenv("REDIS_ADDR"); address != "" {
		return address
	}
	if !integration {
		t.Skip("a real Redis is for make integration, or for REDIS_ADDR")
	}
	return OwnRedis(t).Address()
}

// OwnRedis starts a Redis that a test may stop and flush. It lasts as long as the test.
func OwnRedis(t testing.TB) *Redis {
	t.Helper()
	r, err := StartRedis(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop() }) // it may be stopped already
	return r
}
