package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// Measures of a terminal's picture, in pixels.
const (
	letterWidth = 8.4
	lineHeight  = 19
	letterSize  = 14
)

var colouring = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// styles are what the codes of colours and weights stand for in a picture; others are not used.
var styles = map[string]string{
	"1": `font-weight="bold"`, "2": `fill="#8b949e"`, "31": `fill="#ff7b72"`, "32": `fill="#56d364"`, "33": `fill="#e3b341"`,
}

// terminal draws what a terminal so many columns wide shows.
func terminal(screen string, width int) string {
	var c canvas
	lines := strings.Split(screen, "\n")
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %d" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="%d" fill="%s">`,
		place(float64(width)*letterWidth+2*margin), len(lines)*lineHeight+2*margin, letterSize, ink)
	c.add(`<rect width="100%%" height="100%%" rx="6" fill="%s"/>`, behind)
	for i, text := range lines {
		text = ansi.Truncate(text, width, "")
		column, style := 0, ""
		for text != "" {
			run, rest := text, ""
			codes := colouring.FindStringSubmatchIndex(text)
			if codes != nil {
				run, rest = text[:codes[0]], text[codes[1]:]
			}
			if words := strings.TrimLeft(run, " "); words != "" {
				x := float64(column+len(run)-len(words))*letterWidth + margin
				c.words(x, float64(i+1)*lineHeight+margin-5, style+` xml:space="preserve"`, strings.TrimRight(words, " "))
			}
			column += ansi.StringWidth(run)
			if codes != nil {
				style = ""
				for code := range strings.SplitSeq(text[codes[2]:codes[3]], ";") {
					style = strings.TrimSpace(style + " " + styles[code])
				}
			}
			text = rest
		}
	}
	c.add(`</svg>`)
	return c.String()
}

// Each text stands in its column, in its colour, and what is wider than the terminal is cut.
func TestTerminal(t *testing.T) {
	got := terminal("a  \x1b[1;31mbad < 1\x1b[m  ok\n\x1b[2mtoo wide for it\x1b[0m", 14)
	for _, want := range []string{
		`>a</text>`, `<text x="37.2" y="26" font-weight="bold" fill="#ff7b72" xml:space="preserve">bad &lt; 1</text>`,
		`<text x="112.8" y="26"  xml:space="preserve">ok</text>`, `y="45" fill="#8b949e" xml:space="preserve">too wide for i</text>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing from\n%s", want, got)
		}
	}
}
