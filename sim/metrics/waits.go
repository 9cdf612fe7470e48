package metrics

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// waits counts times. The zero value has none.
type waits struct {
	histogram *hdrhistogram.Histogram // of ns, to 1 %; nil: of nothing
	sum       wide
	most      time.Duration
}

// add counts a time, which is not negative.
func (w *waits) add(t time.Duration) {
	if w.histogram == nil {
		w.histogram = hdrhistogram.New(1, math.MaxInt64, 2)
	}
	w.sum = w.sum.add(uint64(t), 1)
	w.most = max(w.most, t)
	w.histogram.RecordValue(int64(t)) // there is no error: all times are in its range
}

// mean is exact; that of nothing is 0.
func (w *waits) mean() float64 {
	if w.histogram == nil {
		return 0
	}
	return w.sum.over(time.Duration(w.histogram.TotalCount()))
}

// percentile returns the time that so many of a hundred do not exceed, or up to 1 %
// more; that of nothing is 0.
func (w *waits) percentile(percent float64) time.Duration {
	if w.histogram == nil {
		return 0
	}
	return min(time.Duration(w.histogram.ValueAtPercentile(percent)), w.most)
}
