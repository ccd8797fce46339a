package quality

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// goal is what one figure is held against. Peers' figures are the best published ones or those that others measured on the same files; where
// they are from stands in the question's own table.
type goal struct {
	figure string // of Report.Figures
	what   string
	peer   string  // the best of others; empty where nobody has told any
	theirs float64 // its figure
	wanted float64
	format string
}

// goals of each question. A figure that is negated there, so that higher is better, is negated here.
var goals = map[string][]goal{
	"nab": {
		{"nab.in_sample", "standard, threshold chosen on the files scored", "ARTime", 78.2, 82, "%.1f"},
		{"nab.leave_one_out", "standard, threshold chosen on the other categories", "ARTime", 74.7, 80, "%.1f"},
		{"nab.half", "threshold of a random half, the other scored: mean", "", 0, 80, "%.1f"},
		{"nab.half_low", "the same, 10 % quantile", "", 0, 73, "%.1f"},
		{"nab.copies_in_sample", "changed copies, threshold chosen on the files scored", "", 0, 76, "%.1f"},
		{"nab.copies_leave_one_out", "changed copies, threshold chosen on the other categories", "", 0, 74, "%.1f"},
		{"nab.own_limit", "at the product's own limit (wanted: within 2 of in-sample)", "", 0, 80, "%.1f"},
	},
	"points": {
		{"points.file.mammography.points", "mammography", "AWS RCF", .861, .891, "%.3f"},
		{"points.file.annthyroid.points", "annthyroid", "online iForest", .748, .875, "%.3f"},
		{"points.file.shuttle.points", "shuttle", "AWS RCF", .987, .995, "%.3f"},
		{"points.file.smtp.points", "smtp", "AWS RCF", .902, .930, "%.3f"},
		{"points.file." + strings.ReplaceAll(lateCover, " ", "_") + ".points", lateCover, "online iForest", .928, .975, "%.3f"},
		{"points.file.satimage-2.points", "satimage-2", "AWS RCF", .990, .998, "%.3f"},
		{"points.shuffled.mammography.points", "mammography, shuffled", "online iForest", .868, .886, "%.3f"},
		{"points.shuffled.annthyroid.points", "annthyroid, shuffled", "online iForest", .784, .854, "%.3f"},
		{"points.shuffled.shuttle.points", "shuttle, shuffled", "online iForest", .994, .996, "%.3f"},
		{"points.shuffled.smtp.points", "smtp, shuffled", "", 0, .926, "%.3f"},
		{"points.shuffled.cover.points", "cover, shuffled", "online iForest", .872, .881, "%.3f"},
		{"points.shuffled.satimage-2.points", "satimage-2, shuffled", "", 0, .992, "%.3f"},
	},
	"sensors": {
		{"sensors.f1.points", "F1 of alerts, `points`", "EWMA", .50, .80, "%.3f"},
		{"sensors.quiet.points", "false per 1,000 rows, negated", "EWMA", -.09, -.4, "%.2f"},
	},
	"tails": {
		{"tails.least", "alarms that come for each asked for: the least of all laws and rates", "", 0, .5, "%.2f"},
		{"tails.inverse_of_most", "1 over the most of all", "", 0, .5, "%.2f"},
		{"tails.points.least", "rows of independent fields, `points`: the least of all", "", 0, .5, "%.2f"},
		{"tails.points.inverse_of_most", "1 over the most of all of these", "", 0, .5, "%.2f"},
	},
	"charts": {
		{"charts.worst", "standard errors from the exact run length: the most of all, negated", "", 0, -3, "%.1f"},
	},
	"cost": {
		{"cost.ten_fields.points", "µs a point of 10 fields, `points`, negated", "river HST", -12, -7, "%.1f"},
		{"cost.ten_fields.forest", "µs a point of 10 fields, `forest`, negated", "oIFOR in Python", -300, -10, "%.1f"},
	},
	"drift": {
		{"drift.x_perm", "F1, abrupt x_perm, `adwin`, rises of the error", "SEED", .896, .90, "%.3f"},
		{"drift.y_swap", "F1, abrupt y_swap, `adwin`, rises of the error", "SEED", .566, .60, "%.3f"},
		{"drift.x_perm_and_attributes", "F1, abrupt x_perm, attributes watched too", "SEED", .896, .90, "%.3f"},
		{"drift.y_swap_and_attributes", "F1, abrupt y_swap, attributes watched too", "SEED", .566, .60, "%.3f"},
	},
}

// goalHeader is that of the table of goals.
var goalHeader = []string{"measured", "best of others", "wanted", "got", "reached"}

// loss marks the last column of what is short: of what was wanted, or of others.
const loss = "**"

// goals writes what a question's figures were to be, and draws them.
func (r *Report) goals(question string) {
	var rows [][]string
	var drawn []goal
	for _, g := range goals[question] {
		got, ok := r.Figures[g.figure]
		if !ok {
			continue
		}
		peer, reached := "–", "yes"
		if g.peer != "" {
			peer = fmt.Sprintf("%s "+g.format, g.peer, g.theirs)
		}
		number := func(v float64) string { return fmt.Sprintf(g.format, v) }
		below := func(v float64) bool { return got < v && number(got) != number(v) } // as exact as it is printed
		if below(g.wanted) {
			reached = loss + "no" + loss
		}
		if g.peer != "" && below(g.theirs) {
			reached += ", " + loss + "others are better" + loss
		}
		rows = append(rows, []string{g.what, peer, number(g.wanted), number(got), reached})
		if got >= 0 && g.wanted > 0 {
			drawn = append(drawn, g)
		}
	}
	if len(rows) == 0 {
		return
	}
	r.table(goalHeader, rows)
	if r.folder != "" && len(drawn) > 1 {
		r.plots[question] = r.plot(question, drawn)
		r.text("![%s](%s/%[1]s.svg)\n", question, r.folder)
	}
}

const (
	plotText  = 470 // pixels for words
	plotWidth = 400
	plotRow   = 22
)

// plot draws a line for each goal: a grey dot for the best of others, a bar across where it was wanted, and a blue dot for what was got.
func (r *Report) plot(title string, lines []goal) []byte {
	low, high := math.Inf(1), math.Inf(-1)
	for _, g := range lines {
		low, high = min(low, g.wanted, r.Figures[g.figure]), max(high, g.wanted, r.Figures[g.figure])
		if g.peer != "" {
			low, high = min(low, g.theirs), max(high, g.theirs)
		}
	}
	margin := (high - low) / 20
	low, high = low-margin, high+margin
	x := func(v float64) float64 { return plotText + plotWidth*(v-low)/(high-low) }
	var b strings.Builder
	height := plotRow * (len(lines) + 1)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12"><title>%s</title>`+"\n",
		plotText+plotWidth+60, height, html.EscapeString(title))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="8" y="15" fill="#666">grey: best of others; bar: wanted; blue: got. From %.3g to %.3g.</text>`+"\n", low, high)
	for i, g := range lines {
		y := plotRow*(i+1) + plotRow/2
		fmt.Fprintf(&b, `<text x="8" y="%d">%s</text><path d="M%d %dH%d" stroke="#ddd"/>`, y+4, html.EscapeString(strings.ReplaceAll(g.what, "`", "")), plotText, y, plotText+plotWidth)
		if g.peer != "" {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%d" r="4" fill="#999"/>`, x(g.theirs), y)
		}
		fmt.Fprintf(&b, `<path d="M%.1f %dv14" stroke="#333"/><circle cx="%.1f" cy="%d" r="4" fill="#2f5fd0"/>`, x(g.wanted), y-7, x(r.Figures[g.figure]), y)
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#2f5fd0">`+g.format+"</text>\n", plotText+plotWidth+8, y+4, r.Figures[g.figure])
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}
