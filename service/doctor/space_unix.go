//go:build linux || darwin || freebsd

package doctor

import "golang.org/x/sys/unix"

// space is what a file system has for a user without privileges.
func space(dir string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	size := uint64(s.Bsize)                              //nolint:gosec // its type differs by system, and it is positive
	return uint64(s.Bavail) * size, s.Blocks * size, nil //nolint:unconvert // as above
}
