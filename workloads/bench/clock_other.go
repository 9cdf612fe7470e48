//go:build !linux

package bench

import "time"

// Clock says what Now measures.
const Clock = "wall time"

var start = time.Now()

// Now returns the time since the program started.
func Now() (time.Duration, error) { return time.Since(start), nil }
