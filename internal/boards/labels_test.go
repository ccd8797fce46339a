package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// Panels and rules select and group by labels that there are.
func TestLabels(t *testing.T) {
	names := emitted(t)
	target := []string{"job", "instance", "le"}
	for _, r := range rules(t) {
		if r.Record != "" {
			names[r.Record] = []string{"stream", "sink"}
		}
	}
	check := func(where, expr string) {
		e, err := parser.NewParser(parser.Options{}).ParseExpr(grafana.Replace(expr))
		if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		missing := func(s *parser.VectorSelector, label string) bool {
			has, ok := names[base(names, s.Name)] // if not, it is pending, or Prometheus's own
			return ok && label != "__name__" && !slices.Contains(has, label) && !slices.Contains(target, label)
		}
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			switch n := n.(type) {
			case *parser.VectorSelector:
				for _, m := range n.LabelMatchers {
					if missing(n, m.Name) {
						t.Errorf("%s selects %s by %s, a label that it has not", where, n.Name, m.Name)
					}
				}
			case *parser.AggregateExpr:
				for _, s := range operands(n.Expr) {
					for _, label := range n.Grouping {
						if !n.Without && missing(s, label) {
							t.Errorf("%s groups %s by %s, a label that it has not", where, s.Name, label)
						}
					}
				}
			}
			return nil
		})
	}
	for _, b := range boards {
		for _, r := range b.rows {
			for _, p := range r.panels {
				for _, q := range p.queries {
					check(b.title+", "+p.title, q.promQL())
				}
			}
		}
	}
	for _, r := range rules(t) {
		check(r.name(), r.Expr)
	}
}

// operands are the series whose labels an expression has: not those that only decide which of them stay.
func operands(e parser.Expr) []*parser.VectorSelector {
	var all []*parser.VectorSelector
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for i, above := range append(path, n) {
			if b, ok := above.(*parser.BinaryExpr); ok && (b.Op == parser.LAND || b.Op == parser.LUNLESS) && append(path, n)[i+1] == b.RHS {
				return nil
			}
		}
		all = append(all, s)
		return nil
	})
	return all
}

// base is the name of the histogram that a series belongs to, or its own.
func base(names map[string][]string, name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if cut, ok := strings.CutSuffix(name, suffix); ok && names[cut] != nil {
			return cut
		}
	}
	return name
}
