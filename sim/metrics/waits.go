package metrics

import (
	"math"
	"math/bits"
	"time"
)

// waits is a histogram of times, whose buckets are exact below 64 ns and then 32 to each
// doubling, as those of G. Tene's HdrHistogram. The zero value is empty.
type waits struct {
	counts []uint64 // by bucket, to the last that is not empty
	n      uint64
	sum    wide
	most   time.Duration
}

// waitBits are the leading bits of a time that tell its bucket.
const waitBits = 6

// add counts a time, which is not negative.
func (w *waits) add(t time.Duration) {
	shift := max(bits.Len64(uint64(t))-waitBits, 0)
	bucket := shift<<(waitBits-1) + int(t>>shift)
	for bucket >= len(w.counts) {
		w.counts = append(w.counts, 0)
	}
	w.counts[bucket]++
	w.n++
	w.sum.add(uint64(t), 1)
	w.most = max(w.most, t)
}

// mean is exact; that of nothing is 0.
func (w *waits) mean() float64 { return w.sum.over(time.Duration(w.n)) }

// quantile returns the least time that a share of all do not exceed, or up to 1/32 more:
// the end of its bucket.
func (w *waits) quantile(share float64) time.Duration {
	rank := uint64(math.Ceil(share * float64(w.n)))
	for bucket, n := range w.counts {
		if n >= rank && n > 0 {
			shift := max(bucket>>(waitBits-1)-1, 0)
			lo := time.Duration(bucket-shift<<(waitBits-1)) << shift
			return min(lo+1<<shift-1, w.most)
		}
		rank -= min(n, rank)
	}
	return 0
}
