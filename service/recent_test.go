package service_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gonomaly/gonomaly/pipeline"
	"github.com/gonomaly/gonomaly/service/recent"
)

// The last alerts are those that stand in the alerts topics, and the keys are counted where incidents open. What a restart folds again is not told
// again, and a stream that is removed is forgotten.
func TestRecent(t *testing.T) {
	w := newWorld(t, strings.Replace(settings, `store: file, directory: "${DIR}/state"`, "store: memory", 1), "machines")
	p := w.start()
	w.produce("machines", 4000)
	var want []string
	opened := map[string]int{}
	incidents := 0
	for _, name := range []string{"records", "windows"} {
		w.caughtUp(w.stream(name))
		for _, a := range w.toldAlerts(w.stream(name).Alert.Topic) {
			want = append(want, a.ID)
			if a.Status == pipeline.Open {
				opened[a.Stream+"/"+a.Key]++
				incidents++
			}
		}
	}
	if len(want) < 10 || len(want) > recent.Most {
		t.Fatalf("%d alerts in the topics, want 10 to %d", len(want), recent.Most)
	}
	slices.Sort(want)
	p.eventually("all alerts are listed", func() error {
		var got recent.Alerts
		p.askJSON(fmt.Sprintf("/-/alerts?n=%d", recent.Most), &got)
		var ids []string
		for _, a := range got.Alerts {
			ids = append(ids, alertOf(t, a.Event).ID)
		}
		if slices.Sort(ids); !slices.Equal(ids, want) {
			return fmt.Errorf("%d alerts are listed, want the %d of the topics", len(ids), len(want))
		}
		return nil
	})
	var keys recent.Keys
	if p.askJSON("/-/keys?n=100", &keys); keys.Incidents != incidents || len(keys.Keys) != len(opened) {
		t.Errorf("%d incidents of %d keys, want %d of %d", keys.Incidents, len(keys.Keys), incidents, len(opened))
	}
	for _, k := range keys.Keys {
		if n := opened[k.Stream+"/"+k.Key]; n != k.Incidents || k.AtMost != 0 {
			t.Errorf("key %s of %s has %d incidents (%d), want %d", k.Key, k.Stream, k.Incidents, k.AtMost, n)
		}
	}
	for path, says := range map[string]string{"/-/alerts?n=0": `n is "0", want 1 to 100`, "/-/keys?n=x": `n is "x"`, "/-/keys?n=101": `n is "101"`} {
		p.want(get, path, http.StatusBadRequest, says)
	}
	var last recent.Alerts
	if p.askJSON("/-/alerts?n=3", &last); len(last.Alerts) != 3 {
		t.Errorf("of three alerts %d are listed", len(last.Alerts))
	}

	p.quit()
	p = w.start()
	p.eventually("ready", func() error { return p.says(get, "/-/ready", http.StatusOK, "ready") })
	p.eventually("all is folded again", func() error {
		if n, _ := p.metric("gonomaly_records_replayed_total"); n < 8000 {
			return fmt.Errorf("%v records are, want 8000 or more", n)
		}
		return nil
	})
	var again recent.Alerts
	if p.askJSON("/-/alerts", &again); len(again.Alerts) != 0 {
		t.Errorf("after a restart %d alerts are listed before one is told", len(again.Alerts))
	}

	w.produce("machines", 4000)
	p.eventually("both streams have told", func() error { return p.tells("records", "windows") })
	text := w.yaml
	w.configure(text[:strings.Index(text, "  - name: windows")])
	p.want(post, "/-/reload", http.StatusOK, "reloaded")
	if err := p.tells("records"); err != nil {
		t.Error(err)
	}
}

// tells wants the noisy keys to be of these streams, and of all of them.
func (p *process) tells(streams ...string) error {
	p.Helper()
	var keys recent.Keys
	p.askJSON("/-/keys?n=100", &keys)
	var of []string
	for _, k := range keys.Keys {
		of = append(of, k.Stream)
	}
	slices.Sort(of)
	if of = slices.Compact(of); !slices.Equal(of, streams) {
		return fmt.Errorf("keys of %v are listed, want of %v", of, streams)
	}
	return nil
}
