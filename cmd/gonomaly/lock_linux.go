package main

import (
	"fmt"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// lockProgram keeps the executable's own pages in memory, and returns how many bytes they are. A machine that is short of memory drops pages
// of files first, and of a program those that are seldom used, such as the tables that the runtime looks into to stop a thread: all others
// wait while they are read from a disk, which may be busy. The heap is no file's, and stays.
func lockProgram() (bytes uint64, err error) {
	self, err := procfs.Self()
	if err != nil {
		return 0, err
	}
	executable, err := self.Executable()
	if err != nil {
		return 0, err
	}
	maps, err := self.ProcMaps()
	if err != nil {
		return 0, err
	}
	for _, m := range maps {
		if m.Pathname == executable {
			bytes += uint64(m.EndAddr - m.StartAddr)
		}
	}
	for _, m := range maps {
		if m.Pathname != executable {
			continue
		}
		// unix.Mlock would want these addresses as a slice, which they are not.
		if _, _, errno := unix.Syscall(unix.SYS_MLOCK, m.StartAddr, m.EndAddr-m.StartAddr, 0); errno != 0 {
			return bytes, fmt.Errorf("mlock: %w", errno)
		}
	}
	return bytes, nil
}
