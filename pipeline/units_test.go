package pipeline_test

import (
	"testing"
	"time"

	"github.com/gonomaly/gonomaly/pipeline"
)

func TestPlainSpan(t *testing.T) {
	for want, s := range map[string]pipeline.Span{
		"6h15m": {Time: 6*time.Hour + 15*time.Minute}, "75h": {Time: 75 * time.Hour}, "10m": {Time: 10 * time.Minute}, "1m30s": {Time: 90 * time.Second},
		"20s": {Time: 20 * time.Second}, "75 points": {Points: 75},
	} {
		if got := s.Plain(); got != want {
			t.Errorf("Plain of %v is %s, want %s", s, got, want)
		}
	}
}
