package pipeline

import "testing"

// What all partitions may hold is compared with what the process may take, and the remedy fits.
func TestRoomFor(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		partitions  int
		each, limit int64
		maxBytes    int64
		enough      bool
	}{
		{4, 21 * mib, 252 * mib, 21 * mib, true},
		{4, 31 * mib, 252 * mib, 21 * mib, true},
		{4, 32 * mib, 252 * mib, 21 * mib, false},
		{1, 1024 * mib, 4096 * mib, 4096 * mib / 3, true},
		{0, mib, 30 * mib, 10 * mib, true},
	} {
		if maxBytes, enough := roomFor(c.partitions, c.each, c.limit); maxBytes != c.maxBytes || enough != c.enough {
			t.Errorf("roomFor(%d, %d, %d) = %d, %v, want %d, %v", c.partitions, c.each, c.limit, maxBytes, enough, c.maxBytes, c.enough)
		}
		if _, enough := roomFor(c.partitions, c.maxBytes, c.limit); !enough {
			t.Errorf("max_bytes of %d would not be enough", c.maxBytes)
		}
	}
}
