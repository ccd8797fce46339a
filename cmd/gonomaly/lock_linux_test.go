package main

import (
	"errors"
	"testing"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

func TestTheProgramIsLockedInMemory(t *testing.T) {
	bytes, err := lockProgram()
	if errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EPERM) {
		t.Skipf("%d bytes may not be locked here: %v", bytes, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	self, err := procfs.Self()
	if err != nil {
		t.Fatal(err)
	}
	status, err := self.NewStatus()
	if err != nil {
		t.Fatal(err)
	}
	if bytes < 1<<20 || status.VmLck < bytes {
		t.Errorf("%d bytes are locked, of %d of the program", status.VmLck, bytes)
	}
}
