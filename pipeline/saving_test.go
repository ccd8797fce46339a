package pipeline

import (
	"testing"
	"time"
)

// A large state is given longer to be stored than a small one.
func TestTimeToSave(t *testing.T) {
	for bytes, want := range map[int64]time.Duration{0: 30 * time.Second, 4 << 20: 31 * time.Second, 1 << 30: 286 * time.Second} {
		if got := timeToSave(bytes); got != want {
			t.Errorf("a state of %d bytes has %v, want %v", bytes, got, want)
		}
	}
}
