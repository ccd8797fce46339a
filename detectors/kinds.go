package detectors

// Kinds maps the name of each kind, as a configuration spells it, to a function that returns its defaults. Adding a detector is its
// file, its line here, and its known values in a test; the laws in detectors_test.go run over this table.
var Kinds = map[string]func() Config{
	"cusum":            func() Config { return &CUSUMConfig{Slack: 0.5, HalfLife: 1000, WarmUp: 100} },
	"cut_forest":       func() Config { return &CutForestConfig{Trees: 50, Sample: 256, Memory: 2560, Seed: 1} },
	"ewma":             func() Config { return &EWMAConfig{HalfLife: 100, WarmUp: 30} },
	"ewma_chart":       func() Config { return &EWMAChartConfig{Weight: 0.1, HalfLife: 1000, WarmUp: 100} },
	"forest":           func() Config { return &ForestConfig{Trees: 32, Window: 2048, LeafPoints: 32, WarmUp: 256, Seed: 1} },
	"half_space_trees": func() Config { return &HalfSpaceTreesConfig{Trees: 25, Depth: 8, Window: 250, Seed: 1} },
	"holt_winters": func() Config {
		return &HoltWintersConfig{Season: 24, Level: 0.1, Trend: 0.01, Seasonal: 0.1, Damping: 0.98}
	},
	"median": func() Config { return &MedianConfig{Window: 101} },
	"metric": func() Config { return &MetricConfig{Zone: "UTC"} },
	"points": func() Config { return &PointsConfig{Memory: 5000, Lasting: 2000, Seed: 1} },
}
