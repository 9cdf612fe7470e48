//go:build !linux

package bench

import "time"

// Clock says how time is measured.
const Clock = "wall time"

var start = time.Now()

// now returns the time since the program started.
func now() (time.Duration, error) { return time.Since(start), nil }
