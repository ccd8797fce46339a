package detectors

// Kinds maps the name of each kind, as a configuration spells it, to a function that returns its defaults. Adding a detector is its
// file, its line here, and its known values in a test; the laws in detectors_test.go run over this table.
var Kinds = map[string]func() Config{
	"ewma":   func() Config { return &EWMAConfig{HalfLife: 100, WarmUp: 30} },
	"forest": func() Config { return &ForestConfig{Trees: 32, Window: 2048, LeafPoints: 32, WarmUp: 256, Seed: 1} },
	"metric": func() Config { return &MetricConfig{Zone: "UTC"} },
}
