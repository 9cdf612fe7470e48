package explain

import (
	"fmt"
	"strings"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
)

// reasons say in words what the causes mean.
var reasons = map[allocator.Cause]string{
	allocator.None:        "nothing stands in the way",
	allocator.Permission:  "the caller may not use the heap",
	allocator.Limit:       "a limit would have been passed",
	allocator.Exhausted:   "less was free than was asked for",
	allocator.WindowFull:  "enough was free, but too little of it where the devices reach",
	allocator.Fragmented:  "enough was free in reach, but in no run that long",
	allocator.Alignment:   "a run was long enough, but held no aligned start",
	allocator.Boundary:    "an aligned start was there, but each would have crossed a boundary",
	allocator.RuleBroken:  "a rule of the device could not be kept",
	allocator.Segments:    "enough pages, in too many pieces for the devices",
	allocator.Busy:        "pages were in the way that could not be moved then",
	allocator.Pinned:      "pages were in the way that can never be moved",
	allocator.Policy:      "a legal place was there, but the strategy did not look at it",
	allocator.Unreachable: "the heap placed the buffer where its devices cannot use it",
	allocator.IOVA:        "no room in the IOMMU's address space",
	allocator.Bounce:      "no bounce buffer of that size was to be had",
}

// Reason says in words what the cause means.
func (e *Explanation) Reason() string { return reasons[e.Cause] }

// Headline says who asked for what, and when.
func (e *Explanation) Headline() string {
	who := e.Client
	if who == "" {
		who = "what if somebody"
	}
	devices := ""
	if len(e.Devices) > 0 {
		devices = ", for " + strings.Join(e.Devices, " and ")
	}
	at := Clock(e.At)
	if e.Variant != "" {
		at = e.Variant + " at " + at
	}
	if e.Payload == 0 {
		return fmt.Sprintf("%s: %s wanted to open heap %s", at, who, e.Heap)
	}
	return fmt.Sprintf("%s: %s asked heap %s for %s%s", at, who, e.Heap, e.Payload.Short(), devices)
}

// Died returns the first stage of the funnel that leaves less than is needed; -1 if
// none does, or the request would be served.
func (e *Explanation) Died() int {
	if e.Cause == allocator.None {
		return -1
	}
	for i := range e.Funnel {
		if !e.Funnel[i].Enough() {
			return i
		}
	}
	return -1
}

// String tells of a buffer in the way, as of now.
func (b *Buffer) String() string {
	text := fmt.Sprintf("%s: %s at %s", b.Owner, b.Bytes.Short(), b.Addr)
	if b.Op > 0 {
		text += ", there since " + Clock(b.Since)
	}
	if len(b.Devices) > 0 {
		text += ", for " + strings.Join(b.Devices, " and ")
	}
	return text
}

// String prints the range as [lo, hi).
func (r *Range) String() string { return mem.Range{Lo: uint64(r.Lo), Hi: uint64(r.Hi)}.String() }

// Clock prints a time to the millisecond, one below a second to the microsecond.
func Clock(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
