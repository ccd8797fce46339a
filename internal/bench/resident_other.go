//go:build !linux

package bench

import "os"

// mostResident is 0: other systems tell it in other units, or not at all.
func mostResident(*os.ProcessState) float64 { return 0 }
