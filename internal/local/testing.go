package local

import (
	"os"
	"testing"
)

// RedisFor returns the address of the Redis of REDIS_ADDR, or else of one that lasts as long as the test. Without the build tag
// integration, and without REDIS_ADDR, it skips the test.
func RedisFor(t testing.TB) string {
	t.Helper()
	if address := os.Getenv("REDIS_ADDR"); address != "" {
		return address
	}
	NeedsServers(t)
	return OwnRedis(t).Address()
}

// NeedsServers skips a test that starts servers of its own without the build tag integration: make test needs nothing but Go.
func NeedsServers(t testing.TB) {
	t.Helper()
	if !Integration {
		t.Skip("real servers are for make integration")
	}
}

// OwnRedis starts a Redis that a test may stop and flush, with settings as for StartRedis. It lasts as long as the test.
func OwnRedis(t testing.TB, settings ...string) *Redis {
	t.Helper()
	r, err := StartRedis(t.Context(), t.TempDir(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop() }) // it may be stopped already
	return r
}
