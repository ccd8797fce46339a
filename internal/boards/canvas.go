package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"
)

// Measures of a picture, in pixels: Grafana's grid has 24 columns.
const (
	unitWidth  = 50
	unitHeight = 34
	gap        = 8 // between panels
	head       = 64
	margin     = 12
)

// Colours of Grafana's dark theme.
const (
	behind = "#111217"
	paper  = "#181b1f"
	edge   = "#2a2d33"
	ink    = "#d8d9da"
	pale   = "#9fa1a8"
	alarm  = "#f2495c"
)

// palette is what series are drawn in, one after the other.
var palette = []string{"#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#ffb357", "#37872d", "#e0b400"}

// filling is what a number stands on, by the name of its threshold's colour.
var filling = map[string]string{"green": "#1f6f3a", "red": "#b3243a"}

// canvas is an SVG under way.
type canvas struct{ strings.Builder }

func (c *canvas) add(format string, args ...any) { _, _ = fmt.Fprintf(c, format+"\n", args...) }

// words writes a text; style is further attributes.
func (c *canvas) words(x, y float64, style, text string) {
	c.add(`<text x="%s" y="%s" %s>%s</text>`, place(x), place(y), style, escape(text))
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes all
	return b.String()
}

// place is a coordinate to a tenth of a pixel, which keeps a picture small.
func place(x float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0") }

// broad is about how wide a text is. Nothing hangs on it but where the next one stands.
func broad(text string, size float64) float64 { return 0.59 * size * float64(len([]rune(text))) }

// cut is a text that is at most so wide.
func cut(text string, size, width float64) string {
	runes := []rune(text)
	most := int(width / (0.56 * size))
	if len(runes) <= most {
		return text
	}
	return string(runes[:max(most-1, 0)]) + "…"
}

// box is where something is drawn.
type box struct{ x, y, w, h float64 }

func (p *pane) box() box {
	g := p.GridPos
	return box{margin + float64(g.X*unitWidth), head + float64(g.Y*unitHeight), float64(g.W*unitWidth) - gap, float64(g.H*unitHeight) - gap}
}

// picture draws a dashboard.
func (v views) picture(ctx context.Context, s *sheet) ([]byte, error) {
	var c canvas
	bottom := 0
	for _, p := range s.Panels {
		bottom = max(bottom, p.GridPos.Y+p.GridPos.H)
	}
	width, height := 2*margin+24*unitWidth-gap, head+bottom*unitHeight+margin-gap
	c.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="Inter, Helvetica, Arial, sans-serif" font-size="12" fill="%s">`,
		width, height, width, height, ink)
	c.add(`<rect width="%d" height="%d" fill="%s"/>`, width, height, behind)
	c.words(margin, 28, `font-size="19" font-weight="600"`, s.Title)
	c.words(margin, 48, `fill="`+pale+`"`, cut(s.Description, 12, float64(width-2*margin)))
	from, to := v.from.UTC(), v.to.UTC()
	c.words(float64(width-margin), 28, `text-anchor="end" fill="`+pale+`"`, from.Format("2006-01-02 15:04:05")+" to "+to.Format("15:04:05")+" UTC")
	for i := range s.Panels {
		if err := v.panel(ctx, &c, &s.Panels[i]); err != nil {
			return nil, fmt.Errorf("panel %q: %w", s.Panels[i].Title, err)
		}
	}
	c.add(`</svg>`)
	return []byte(c.String()), nil
}

// panel draws one in its box.
func (v views) panel(ctx context.Context, c *canvas, p *pane) error {
	b := p.box()
	if p.Type == "row" {
		c.words(b.x, b.y+19, `font-size="14" font-weight="600"`, "⌄ "+p.Title)
		return nil
	}
	c.add(`<rect x="%s" y="%s" width="%s" height="%s" rx="3" fill="%s" stroke="%s"/>`, place(b.x), place(b.y), place(b.w), place(b.h), paper, edge)
	fetch := v.now
	if p.Type == "timeseries" {
		fetch = v.lines
	}
	found, err := fetch(ctx, p)
	if err != nil {
		return err
	}
	if p.Type == "stat" {
		c.number(p, b, found)
	}
	c.words(b.x+10, b.y+19, `font-size="11.5" font-weight="500"`, cut(p.Title, 11, b.w-18))
	inner := box{b.x + 10, b.y + 28, b.w - 20, b.h - 36}
	switch {
	case p.Type == "stat":
	case len(found) == 0:
		c.words(b.x+b.w/2, b.y+b.h/2+10, `text-anchor="middle" font-size="14" fill="`+pale+`"`, "No data")
	case p.Type == "table":
		c.table(p, inner, found)
	default:
		v.graph(c, p, inner, found)
	}
	return nil
}

// number is a value in large letters, on the colour of the threshold that it has passed.
func (c *canvas) number(p *pane, b box, found []line) {
	if len(found) == 0 || len(found[0].values) == 0 {
		c.words(b.x+b.w/2, b.y+b.h/2+18, `text-anchor="middle" font-size="22" fill="`+pale+`"`, "No data")
		return
	}
	x := float64(found[0].values[0].Value)
	if x != x { // of no records, for example
		c.words(b.x+b.w/2, b.y+b.h/2+18, `text-anchor="middle" font-size="22" fill="`+pale+`"`, "NaN")
		return
	}
	colour := ""
	for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value == nil || x >= *step.Value {
			colour = filling[step.Color]
		}
	}
	c.add(`<rect x="%s" y="%s" width="%s" height="%s" rx="3" fill="%s"/>`, place(b.x), place(b.y), place(b.w), place(b.h), colour)
	amount, of := written(x, p.FieldConfig.Defaults.Unit)
	c.add(`<text x="%s" y="%s" text-anchor="middle" font-size="38" font-weight="600" fill="#fff">%s<tspan font-size="20" dx="5">%s</tspan></text>`,
		place(b.x+b.w/2), place(b.y+b.h/2+24), escape(amount), escape(of))
}

// table has a row for each series: its labels, and the value. A column is as wide as its longest text, and shares what is left over, or
// lacking, with the others.
func (c *canvas) table(p *pane, b box, rows []line) {
	names := columns(rows)
	ends := make([]float64, len(names)+1) // of the columns
	for i, name := range names {
		wide := broad(string(name), 12)
		for _, r := range rows {
			wide = max(wide, broad(string(r.labels[name]), 12))
		}
		ends[i+1] = ends[i] + wide + 16
	}
	share := (b.w - 50) / ends[len(names)]
	for i := range ends {
		ends[i] *= share
	}
	const high = 24
	for i, name := range names {
		c.words(b.x+ends[i], b.y+16, `font-weight="600" fill="#6e9fff"`, cut(string(name), 12, ends[i+1]-ends[i]-4))
	}
	c.words(b.x+b.w, b.y+16, `text-anchor="end" font-weight="600" fill="#6e9fff"`, "Value")
	for i, r := range rows {
		y := b.y + float64(i+1)*high
		if y+high > b.y+b.h {
			c.words(b.x, y+14, `fill="`+pale+`"`, fmt.Sprintf("and %d more", len(rows)-i))
			return
		}
		c.add(`<path d="M%s %sh%s" stroke="%s"/>`, place(b.x), place(y), place(b.w), edge)
		for j, name := range names {
			c.words(b.x+ends[j], y+16, "", cut(string(r.labels[name]), 12, ends[j+1]-ends[j]-4))
		}
		c.words(b.x+b.w, y+16, `text-anchor="end"`, inUnit(float64(r.values[0].Value), p.FieldConfig.Defaults.Unit))
	}
}
