package doctor

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/gonomaly/gonomaly/config"
	"github.com/gonomaly/gonomaly/sinks"
)

// disk is a directory that is written to.
type disk struct {
	what, dir   string
	err         error // it cannot be written to
	free, total uint64
	spaceErr    error
}

// When a disk is worth a word.
const (
	spareBad     = 0.05 // of it free
	spareWarning = 0.15
)

// lookAtDisks looks at where the configuration has files written. It makes a file where it can, and deletes it.
func lookAtDisks(c *config.Config) []disk {
	var all []disk
	if c.Checkpoints.Store == config.StoreFile {
		all = append(all, lookAt("checkpoints", c.Checkpoints.Directory))
	}
	for i := range c.Sinks {
		if file, ok := c.Sinks[i].Params.(*sinks.FileConfig); ok {
			all = append(all, lookAt("sink "+c.Sinks[i].ID(), filepath.Dir(file.Path)))
		}
	}
	return all
}

func lookAt(what, dir string) disk {
	d := disk{what: what, dir: dir}
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	d.err = err
	if d.err == nil {
		d.free, d.total, d.spaceErr = space(dir)
	}
	return d
}

func disks(f *facts) []Finding {
	out := findings{area: "disk"}
	for _, d := range f.disks {
		switch share := float64(d.free) / float64(max(d.total, 1)); {
		case d.err != nil:
			out.bad("make the directory, and let the user that runs the service write to it", "%s: %s cannot be written to: %v", d.what, d.dir, d.err)
		case d.spaceErr != nil:
			out.good("%s: %s can be written to; how much is free is not known: %v", d.what, d.dir, d.spaceErr)
		case share < spareBad:
			out.bad("make room", "%s: %s has %.1f GiB free, %.0f %%", d.what, d.dir, gibi(d.free), 100*share)
		case share < spareWarning:
			out.warn("make room", "%s: %s has %.1f GiB free, %.0f %%", d.what, d.dir, gibi(d.free), 100*share)
		default:
			out.good("%s: %s can be written to, %.1f GiB free, %.0f %%", d.what, d.dir, gibi(d.free), 100*share)
		}
	}
	return out.all
}

func gibi(n uint64) float64 { return float64(n) / (1 << 30) }
