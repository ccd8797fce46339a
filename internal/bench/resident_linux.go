package bench

import (
	"os"
	"syscall"
)

// mostResident is the most memory, in bytes, that a process held at a time; or that this one did before it, which it was cloned from.
func mostResident(s *os.ProcessState) float64 {
	return float64(s.SysUsage().(*syscall.Rusage).Maxrss) * 1024 // it is nothing else on this system
}
