package pipeline

import (
	"slices"
	"strconv"
	"testing"
)

// A message that a broker would refuse for its size is cut, or it would be refused for ever. What is said of its record stays, whatever
// headers of such names the record has itself.
func TestFit(t *testing.T) {
	small := Message{Topic: "t", Key: []byte("k"), Value: []byte("v")}
	if got, cut := small.Fit(); cut || string(got.Value) != "v" {
		t.Errorf("Fit() of a small one = %v, %v", got, cut)
	}
	text := make([]byte, 5<<20)
	said := Header{Key: "gonomaly.offset", Value: []byte("7")}
	alike := slices.Repeat([]Header{{Key: "gonomaly.detail", Value: text[:9000]}}, 500)
	for name, m := range map[string]Message{
		"value":   {Value: text, Key: []byte("k"), Headers: []Header{said}},
		"key":     {Value: []byte("v"), Key: text, Headers: []Header{said}},
		"header":  {Value: []byte("v"), Headers: []Header{{Key: "x", Value: text}, said}},
		"name":    {Value: []byte("v"), Headers: []Header{{Key: "gonomaly." + string(text)}, said}},
		"headers": {Value: []byte("v"), Headers: append(alike, said)},
	} {
		got, cut := m.Fit()
		if !cut || got.Size() > maxMessage+100 {
			t.Errorf("%s: Fit leaves %d bytes, cut %v", name, got.Size(), cut)
		}
		if cap(got.Value) > 2*maxMessage {
			t.Errorf("%s: what was cut away is still held", name)
		}
		n := len(got.Headers)
		if n < 2 || got.Headers[n-1].Key != "gonomaly.cut" || string(got.Headers[n-1].Value) != strconv.Itoa(len(m.Value)) {
			t.Errorf("%s: the last of %d headers does not say that it was cut", name, n)
		} else if got.Headers[n-2].Key != said.Key {
			t.Errorf("%s: header %s before it, want %s", name, got.Headers[n-2].Key, said.Key)
		}
	}
}
