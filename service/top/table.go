package top

import (
	"strings"

	"charm.land/lipgloss/v2"
)

// tone says how loud a text is.
type tone int

const (
	plain tone = iota
	faint
	bold
	good
	warning
	bad
)

// cell is a text of a table.
type cell struct {
	text string
	tone tone
}

// column is one of a table; numbers stand to the right.
type column struct {
	name  string
	right bool
}

// paint turns a text into what a terminal shows, or leaves it as it is.
type paint func(tone, string) string

// Plain is for files, pipes and tests.
func Plain(_ tone, text string) string { return text }

// Colours are the terminal's own sixteen, which its user has chosen to be readable.
func Colours(t tone, text string) string {
	s := lipgloss.NewStyle()
	switch t {
	case faint:
		s = s.Faint(true)
	case bold:
		s = s.Bold(true)
	case good:
		s = s.Foreground(lipgloss.Green)
	case warning:
		s = s.Foreground(lipgloss.Yellow)
	case bad:
		s = s.Foreground(lipgloss.Red).Bold(true)
	default:
		return text
	}
	return s.Render(text)
}

// table lays rows out under their columns, a line each. Columns that are empty in all rows are left out.
func table(columns []column, rows [][]cell, show paint) []string {
	widths := make([]int, len(columns))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], lipgloss.Width(c.text))
		}
	}
	head := make([]cell, len(columns))
	for i, c := range columns {
		head[i] = cell{c.name, faint}
		if widths[i] > 0 {
			widths[i] = max(widths[i], lipgloss.Width(c.name))
		}
	}
	var lines []string
	for _, row := range append([][]cell{head}, rows...) {
		var line strings.Builder
		gap := 0 // put before the next text, so that no line ends in spaces
		for i, c := range row {
			if widths[i] == 0 {
				continue
			}
			fill := widths[i] - lipgloss.Width(c.text)
			if columns[i].right {
				gap += fill
			}
			if c.text != "" {
				line.WriteString(strings.Repeat(" ", gap) + show(c.tone, c.text))
				gap = 0
			}
			if !columns[i].right {
				gap += fill
			}
			gap += 2
		}
		lines = append(lines, line.String())
	}
	return lines
}
