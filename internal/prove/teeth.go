package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// mutant is the product with one rule switched off.
type mutant struct {
	rule     string
	what     string // is done instead
	file     string
	old, new string
}

// teeth builds each mutant, has the simulation look for it, and where that finds nothing the tests of its package. It writes a table.
func teeth(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("prove teeth", flag.ExitOnError)
	only := f.String("only", "", "take the mutants whose rule or description contains this `text`")
	seeds := f.Uint64("seeds", 200, "how many `runs` the simulation has for each")
	name := f.String("o", "", "write the page to this `file`")
	resume := f.Bool("resume", false, "keep what the page says already")
	_ = f.Parse(args)

	var known []byte
	if *resume {
		var err error
		if known, err = os.ReadFile(*name); err != nil {
			return err
		}
	}
	chosen := slices.DeleteFunc(slices.Clone(mutants), func(m mutant) bool { return !strings.Contains(m.rule+" "+m.what, *only) })
	rows := make([]string, len(chosen))
	var mu sync.Mutex // of rows
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, m := range chosen {
		if row := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(m.row("")) + `.* \|$`).Find(known); row != nil {
			mu.Lock()
			rows[i] = string(row)
			mu.Unlock()
			continue
		}
		g.Go(func() error {
			by, err := m.caught(inner, *seeds)
			if err != nil {
				return fmt.Errorf("mutant %q of %s: %w", m.what, m.file, err)
			}
			mu.Lock()
			defer mu.Unlock()
			rows[i] = m.row(cmp.Or(by, nobody) + " |")
			say("%s", rows[i])
			return write(*name, *seeds, rows)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if text := strings.Join(rows, "\n"); strings.Contains(text, nobody) {
		return fmt.Errorf("%d mutants were caught by nobody", strings.Count(text, nobody))
	}
	return nil
}

func (m mutant) row(by string) string {
	return fmt.Sprintf("| %s | %s | `%s` | %s", m.rule, m.what, m.file, by)
}

// write writes the page as far as it is known: an hour's work is not lost to its last minute.
func write(name string, seeds uint64, rows []string) error {
	if name == "" {
		return nil
	}
	done := slices.DeleteFunc(slices.Clone(rows), func(row string) bool { return row == "" })
	table := strings.Join(done, "\n") + "\n"
	page := fmt.Sprintf(header, seeds, len(done), len(rows), len(done)-strings.Count(table, nobody)) + table
	return os.WriteFile(name, []byte(page), 0o600)
}

const (
	atOnce = 3 // mutants: tests wait more than they compute
	nobody = "**nobody**"
)

const header = `# Teeth

A rule that no test misses when it is gone is a rule that will be gone one day. Each line switches one off, and says who notices: the
simulation, by the first of up to %d seeds that fails and what it fails with, or else the tests of the package. ` + "`make teeth`" + ` makes this page.
Tried were %d of %d mutants, and %d are caught.

The rules 1 to 11 are those of exactly once; see [how it is kept](exactly-once.md).

| rule | instead | in | caught by |
| --- | --- | --- | --- |
`

// overlay is the file below a directory with the change.
func (m mutant) overlay(root string) (overlay, error) {
	path, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return nil, err
	}
	o := overlay{}
	err = o.change(path, m.old, m.new)
	if second, ok := seconds[m.what]; ok && err == nil {
		err = o.change(path, second[0], second[1])
	}
	return o, err
}

// caught says who catches the mutant; "" is nobody.
func (m mutant) caught(ctx context.Context, seeds uint64) (by string, err error) {
	dir, err := os.MkdirTemp("", "gonomaly-teeth-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of the temporary files
	changed, err := m.overlay(".")
	if err != nil {
		return "", err
	}
	file, err := build(ctx, dir, changed, false)
	if err != nil {
		return "", err
	}
	t, err := live(ctx, native(file, "SIM_SHRINK=no"), 1, seeds, false)
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case t.failed > 0:
		return "simulation: " + reason(t.first), nil
	case err != nil:
		return "simulation: it does not end, or breaks", nil //nolint:nilerr // that is how it is caught
	}
	return m.tested(ctx, dir, changed)
}

var complaint = regexp.MustCompile(`(seed \d+) failed: (.*)`)

// reason is what a run fails with, in short.
func reason(out string) string {
	m := complaint.FindStringSubmatch(out)
	if m == nil {
		return "it breaks"
	}
	what, _, _ := strings.Cut(m[2], ": [")
	if strings.HasPrefix(what, "stuck") {
		what = "stuck"
	}
	return m[1] + ", " + what
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// tested runs the tests of the file's package, and of those that use it most.
func (m mutant) tested(ctx context.Context, dir string, changed overlay) (by string, err error) {
	list, err := changed.write(dir)
	if err != nil {
		return "", err
	}
	packages := []string{"./" + filepath.Dir(m.file)}
	for _, above := range []string{"./sources", "./pipeline"} {
		if strings.HasPrefix(packages[0], above+"/") {
			packages = append(packages, above)
		}
	}
	c := exec.CommandContext(ctx, "go", append([]string{"test", "-vet=off", "-timeout", "5m", "-overlay", list}, packages...)...) //nolint:gosec // of ours
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if exit := new(exec.ExitError); err == nil || !errors.As(err, &exit) {
		return "", err
	}
	var names []string
	for _, f := range failed.FindAllStringSubmatch(string(out), -1) {
		name, _, _ := strings.Cut(f[1], "/")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "tests: they do not end, or break", nil
	}
	return "tests: `" + strings.Join(names, "`, `") + "`", nil
}
