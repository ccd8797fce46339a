package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
)

// What a state continues may be deleted while the state is written. Then it is no checkpoint, and a whole one follows.
func TestDeletedMeanwhile(t *testing.T) {
	s := benches["file"](t)
	s.save(t, 100)
	err := s.Store.Save(t.Context(), someLog, after(200, 100).Checkpoint, func(yield func([]byte, error) bool) {
		if err := os.Remove(filepath.Join(s.shelf.(*files).log(someLog), nameOf(1, 100, pipeline.Whole))); err != nil {
			t.Error(err)
		}
		yield([]byte("changes"), nil)
	})
	if !errors.Is(err, pipeline.ErrBroken) {
		t.Errorf("Save = %v, want ErrBroken", err)
	}
	s.save(t, 200)
	s.want(t, forever, 200)
}
