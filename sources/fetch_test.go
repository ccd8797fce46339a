package sources

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A timestamp that nanoseconds cannot tell, of a producer that writes microseconds say, is none. It is not another one.
func TestTimestampsBeyondNanoseconds(t *testing.T) {
	const now, none = 1_714_979_289_000, -1e6 // milliseconds, nanoseconds
	for millis, want := range map[int64]int64{
		now:                 now * 1e6,
		-1:                  -1e6, // of a record that has none
		9_223_372_036_854:   9_223_372_036_854e6,
		9_223_372_036_855:   none,
		253_402_300_799_000: none, // the end of 9999
		now * 1000:          none,
		9223372036854775807: none,
		20_000_000_000_000:  none, // of 2603, which was 2019
	} {
		got := new(owned).convert([]*kgo.Record{{Timestamp: time.UnixMilli(millis)}})[0].Timestamp
		if got != want {
			t.Errorf("timestamp of %d ms is %d, want %d", millis, got, want)
		}
	}
}
