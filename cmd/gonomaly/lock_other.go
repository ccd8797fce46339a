//go:build !linux

package main

import "errors"

// lockProgram is for Linux only: other systems do not tell a process where its executable lies.
func lockProgram() (bytes uint64, err error) { return 0, errors.ErrUnsupported }
