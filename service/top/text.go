package top

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Layout says what of a View is shown, and how.
type Layout struct {
	Sort   Order
	Stream string // only streams whose name has this in it
	Most   int    // partitions, the first in the order; 0 for all
	Told   int    // keys, and alerts
	Brief  bool   // of troubles only those that go on now
	Paint  paint
}

// Order is what partitions are sorted by, the worst first.
type Order int

// The orders, in the order in which a key goes through them.
const (
	ByLag Order = iota
	ByRecords
	ByCheckpoint
	ByWatermark
	BySeries
	ByName
)

var orders = []struct {
	name string
	of   func(Partition) float64
}{
	ByLag:        {"lag", func(p Partition) float64 { return p.Lag }},
	ByRecords:    {"records", func(p Partition) float64 { return p.Records }},
	ByCheckpoint: {"checkpoint", func(p Partition) float64 { return p.Checkpoint }},
	ByWatermark:  {"watermark", func(p Partition) float64 { return p.Watermark }},
	BySeries:     {"series", func(p Partition) float64 { return p.Series }},
	ByName:       {"name", func(Partition) float64 { return 0 }},
}

func (o Order) String() string { return orders[o].name }

// Next is the order after this one.
func (o Order) Next() Order { return (o + 1) % Order(len(orders)) }

// ParseOrder finds an order by its name.
func ParseOrder(name string) (Order, error) {
	var names []string
	for o, named := range orders {
		if named.name == name {
			return Order(o), nil
		}
		names = append(names, named.name)
	}
	return 0, fmt.Errorf("the order is %q, want one of %s", name, strings.Join(names, ", "))
}

// When a figure is coloured. Nothing is measured against them: they draw the eye to where a healthy instance does not come.
const (
	lateAfter     = 10.0 // seconds of lag
	veryLateAfter = 60.0
)

// Text is a view in lines.
func Text(v View, l Layout) []string {
	lines := instances(v, l)
	section := func(title string, more ...string) {
		lines = append(lines, "", l.Paint(bold, title))
		lines = append(lines, more...)
	}
	if streams := l.streams(v); len(streams) > 0 {
		section("STREAMS", streams...)
	}
	title, rows := l.partitions(v)
	section(title, rows...)
	if len(v.Sinks) > 0 {
		section("SINKS", sinks(v, l)...)
	}
	if len(v.Troubles) > 0 {
		section("TROUBLES", troublesTable(v, l)...)
	} else if slices.ContainsFunc(v.Instances, func(in Instance) bool { return in.Err == nil }) {
		section("NO TROUBLES since the start")
	}
	if l.Told > 0 && !v.Since.IsZero() {
		title, rows := l.keys(v)
		section(title, rows...)
		if rows := l.alerts(v); rows != nil {
			section("LAST ALERTS", rows...)
		}
	}
	return lines
}

func instances(v View, l Layout) []string {
	columns := []column{
		{"INSTANCE", false}, {"VERSION", false}, {"STATE", false}, {"UP", true}, {"RECORDS/S", true}, {"ALERTS/MIN", true}, {"WORST LAG", true},
		{"PARTITIONS", true}, {"CPU", true}, {"MEMORY", true},
	}
	var rows [][]cell
	var notes []string
	for _, in := range v.Instances {
		if in.Err != nil {
			rows = append(rows, []cell{{in.Name, plain}, {"", plain}, {"unreachable", bad}})
			notes = append(notes, l.Paint(bad, fmt.Sprintf("%s does not answer: %v", in.Name, in.Err)))
			continue
		}
		state, loud := cell{"ready", good}, faint
		switch {
		case in.Stuck:
			state, loud = cell{"stuck", bad}, bad
		case !in.Ready:
			state, loud = cell{"not ready", bad}, bad
		}
		for _, line := range in.Says {
			notes = append(notes, l.Paint(loud, in.Name+": "+First(line)))
		}
		rows = append(rows, []cell{
			{in.Name, plain}, {in.Version, plain}, state, {Span(in.Up), plain}, {perSecond(in.Records), plain}, {perMinute(in.Alerts), plain},
			{Span(in.Lag), late(in.Lag)}, {amount(float64(in.Partitions)), plain}, {cores(in.CPU), plain}, {size(in.Memory), plain},
		})
	}
	head := "gonomaly top  " + v.At.UTC().Format(time.DateTime) + " UTC"
	return append(append([]string{l.Paint(bold, head), ""}, table(columns, rows, l.Paint)...), notes...)
}

// First is the first of several reasons on a line, and how many there are besides: those of many partitions are mostly one. A remedy in
// brackets has parts of its own.
func First(line string) string {
	depth, end, more := 0, len(line), 0
	for i, r := range line {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case depth == 0 && strings.HasPrefix(line[i:], "; "):
			if more++; more == 1 {
				end = i
			}
		}
	}
	if more == 0 {
		return line
	}
	return fmt.Sprintf("%s (and %d more)", line[:end], more)
}

func late(seconds float64) tone {
	switch {
	case seconds >= veryLateAfter, math.IsNaN(seconds):
		return bad
	case seconds >= lateAfter:
		return warning
	}
	return plain
}

// has says whether a stream is among those that are shown.
func (l Layout) has(stream string) bool { return strings.Contains(stream, l.Stream) }

func (l Layout) streams(v View) []string {
	columns := []column{
		{"STREAM", false}, {"RECORDS/S", true}, {"ALERTS/MIN", true}, {"SUPPRESSED/MIN", true}, {"DEAD LETTERS/MIN", true}, {"REPLAYED/S", true}, {"TO RESTORE", true},
		{"UNOWNED", true},
	}
	var rows [][]cell
	for _, s := range v.Streams {
		if !l.has(s.Name) {
			continue
		}
		dead, left, unowned := plain, plain, cell{}
		if s.Dead.Rate > 0 {
			dead = warning
		}
		if s.Left > 0 {
			left = warning
		}
		if s.Unowned > 0 { // else the column is left out
			unowned = cell{amount(s.Unowned), bad}
		}
		rows = append(rows, []cell{
			{s.Name, plain}, {perSecond(s.Records), plain}, {perMinute(s.Alerts), plain}, {perMinute(s.Suppressed), plain},
			{perMinute(s.Dead), dead}, {perSecond(s.Replayed), plain}, {amount(s.Left), left}, unowned,
		})
	}
	if len(rows) == 0 {
		return nil
	}
	return table(columns, rows, l.Paint)
}

// partitions are the rows of the worst ones, under a title that says how many there are.
func (l Layout) partitions(v View) (title string, lines []string) {
	var shown []Partition
	for _, p := range v.Partitions {
		if l.has(p.Stream) {
			shown = append(shown, p)
		}
	}
	value := orders[l.Sort].of
	slices.SortFunc(shown, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(rank(value(b)), rank(value(a))), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Topic, b.Topic),
			cmp.Compare(a.ID, b.ID), cmp.Compare(a.Instance, b.Instance))
	})
	title = fmt.Sprintf("PARTITIONS %d, by %v", len(shown), l.Sort)
	if l.Stream != "" {
		title = fmt.Sprintf("PARTITIONS %d of %d, stream has %q, by %v", len(shown), len(v.Partitions), l.Stream, l.Sort)
	}
	left := 0
	if l.Most > 0 && len(shown) > l.Most {
		left = len(shown) - l.Most
		shown = shown[:l.Most]
	}
	columns := []column{
		{"STREAM", false}, {"TOPIC", false}, {"PARTITION", true}, {"INSTANCE", false}, {"STATUS", false}, {"LAG", true}, {"LAG RECORDS", true}, {"SERIES", true},
		{"LEARNING", true}, {"WATERMARK", true}, {"CHECKPOINT", true},
	}
	var rows [][]cell
	for _, p := range shown {
		in, status, learning := "", plain, plain
		if len(v.Instances) > 1 {
			in = p.Instance
		}
		if p.Status != "" && p.Status != statusOK {
			status = bad
		}
		if p.Learning > 0 {
			learning = warning
		}
		rows = append(rows, []cell{
			{p.Stream, plain}, {p.Topic, plain}, {fmt.Sprint(p.ID), plain}, {in, plain}, {p.Status, status}, {Span(p.Lag), late(p.Lag)},
			{amount(p.Records), plain}, {amount(p.Series), plain}, {amount(p.Learning), learning}, {Span(p.Watermark), plain}, {Span(p.Checkpoint), plain},
		})
	}
	if len(rows) == 0 {
		return title, nil
	}
	lines = table(columns, rows, l.Paint)
	if left > 0 {
		lines = append(lines, l.Paint(faint, fmt.Sprintf("and %d more, none of them worse", left)))
	}
	return title, lines
}

// rank puts first what is not known: its broker is silent, or its state is on its way.
func rank(x float64) float64 {
	if math.IsNaN(x) {
		return math.Inf(1)
	}
	return x
}

// statusOK is that of a partition with which all is well.
const statusOK = "ok"

func sinks(v View, l Layout) []string {
	columns := []column{
		{"SINK", false}, {"BREAKER", false}, {"DELIVERED/S", true}, {"DELIVERED", true}, {"SET ASIDE", true}, {"LAG", true}, {"OLDEST", true}, {"RETRIES/MIN", true},
	}
	var rows [][]cell
	for _, s := range v.Sinks {
		breaker := cell{"closed", good}
		switch s.Breaker {
		case 1:
			breaker = cell{"half open", warning}
		case 2:
			breaker = cell{"open", bad}
		}
		aside := plain
		if s.Aside.Total > 0 {
			aside = warning
		}
		rows = append(rows, []cell{
			{s.Name, plain}, breaker, {perSecond(s.Delivered), plain}, {amount(s.Delivered.Total), plain}, {amount(s.Aside.Total), aside},
			{amount(s.Lag), plain}, {Span(s.Oldest), late(s.Oldest)}, {perMinute(s.Retries), plain},
		})
	}
	return table(columns, rows, l.Paint)
}

// troublesTable has what goes on now above what is over.
func troublesTable(v View, l Layout) []string {
	all := slices.Clone(v.Troubles)
	slices.SortStableFunc(all, func(a, b Trouble) int { return cmp.Compare(b.Count.Rate, a.Count.Rate) })
	var rows [][]cell
	over := ""
	for i, t := range all {
		now := plain
		if t.Count.Rate > 0 {
			now = bad
		} else if l.Brief && len(all)-i > 1 {
			over = l.Paint(faint, fmt.Sprintf("and %d that do not go on now", len(all)-i))
			break
		}
		rows = append(rows, []cell{{t.What, now}, {perMinute(t.Count), now}, {amount(t.Count.Total), plain}})
	}
	var lines []string
	if len(rows) > 0 {
		lines = table([]column{{"WHAT", false}, {"PER MIN", true}, {"SINCE THE START", true}}, rows, l.Paint)
	}
	if over != "" {
		lines = append(lines, over)
	}
	return lines
}
