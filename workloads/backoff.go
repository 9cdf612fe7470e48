package workloads

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Backoff is how long a refused request waits before it is tried again. The wait before
// retry n, counted from 1, is Initial·Factorⁿ⁻¹, but Most at most, of which Jitter is
// random: with Jitter j it is uniform over [(1-j)·w, w]. A jitter of 1 and one of 0.5 are
// the full and the equal jitter of M. Brooker, "Exponential Backoff And Jitter" (AWS
// Architecture Blog, 2015).
type Backoff struct {
	Initial time.Duration // 0: a retry comes at once
	Factor  float64       // at least 1; 1 is a fixed back-off, and so is 0
	Most    time.Duration // 0: no limit
	Jitter  float64       // 0 to 1
}

func (b *Backoff) check() error {
	switch {
	case b.Initial < 0 || b.Most < 0:
		return errors.New("a back-off must not be negative")
	case b.Most > 0 && b.Most < b.Initial:
		return fmt.Errorf("the back-off is at most %v, and begins with %v", b.Most, b.Initial)
	case b.Factor != 0 && !(b.Factor >= 1) || math.IsInf(b.Factor, 1):
		return fmt.Errorf("the factor of the back-off is %v, want 1 or more", b.Factor)
	case !(b.Jitter >= 0 && b.Jitter <= 1):
		return fmt.Errorf("the jitter of the back-off is %v, want 0 to 1", b.Jitter)
	}
	return nil
}

// wait returns the wait before a retry, whole nanoseconds and at least one, for a
// number in [0, 1) that is drawn. Beyond MaxDuration it is never.
func (b *Backoff) wait(retry uint64, random float64) time.Duration {
	if b.Initial == 0 {
		return 0
	}
	wait := float64(b.Initial) * math.Pow(max(b.Factor, 1), float64(retry-1))
	if b.Most > 0 {
		wait = min(wait, float64(b.Most))
	}
	if wait -= wait * b.Jitter * random; !(wait < float64(MaxDuration)) {
		return never
	}
	return max(time.Duration(wait), 1)
}

const never = time.Duration(math.MaxInt64)

// later returns a time after another; sums beyond MaxDuration are never.
func later(at, wait time.Duration) time.Duration {
	if at > MaxDuration-min(wait, MaxDuration) {
		return never
	}
	return at + wait
}
