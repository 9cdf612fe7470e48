package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dmasim/allocator"
	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

// The widest that the columns of [Table] get: 80 characters with the gaps.
const (
	variantColumn = 20
	failedColumn  = 14
)

// Table writes the rows of [TableRows], no wider than 80 columns.
func Table(w io.Writer, r *result.Result) error {
	rows := TableRows(r)
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s", widths[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", widths[i+1], cell)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// TableRows returns a head and a row for each variant:
//
//   - asked: how many requests for buffers there were
//   - failed: the share of its requests that the client which fared worst did
//     not get, and its name
//   - first: when the first request failed
//   - used: the mean reserved share of all heaps
//   - index: the mean largest-free index of the heap where it is highest; of pages,
//     the unusable index
//   - reach: the same of what one device reaches of a heap
//   - waste: the share of the mean reserved bytes that nobody asked for
func TableRows(r *result.Result) [][]string {
	rows := [][]string{{"variant", "asked", "failed", "first", "used", "index", "reach", "waste"}}
	for _, v := range r.Variants {
		rows = append(rows, tableRow(v.Name, &v.Run.Summary))
	}
	return rows
}

func tableRow(variant string, s *metrics.Summary) []string {
	var requests uint64
	var worst *metrics.ClientTotals
	for i := range s.Clients {
		c := &s.Clients[i]
		requests += c.Requests
		if c.Failures > 0 && (worst == nil || failedShare(*c) > failedShare(*worst)) {
			worst = c
		}
	}
	failed, first := "none", "never"
	if worst != nil {
		share := formatShare(failedShare(*worst))
		failed = cutName(worst.Name, failedColumn-1-len(share)) + " " + share
	}
	if s.First != nil {
		first = shortDuration(s.First.At)
	}
	var capacity, reserved, wasted, index, reach float64
	reaches := false
	for i := range s.Heaps {
		h := &s.Heaps[i]
		capacity += float64(h.Capacity)
		reserved += h.MeanReserved
		wasted += wasteShare(h) * h.MeanReserved
		mean, _ := indexOf(h)
		index = max(index, mean)
		for _, r := range h.Reaches {
			reaches = true
			reach = max(reach, r.MeanLargestFreeIndex)
		}
	}
	inReach := "-"
	if reaches {
		inReach = formatIndex(reach)
	}
	return []string{cutName(variant, variantColumn), shortCount(requests), failed, first,
		formatShare(ratio(reserved, capacity)), formatIndex(index), inReach, formatShare(ratio(wasted, reserved))}
}

func ratio(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}

func formatIndex(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// cutName shortens a name to n characters, ending it in an ellipsis.
func cutName(name string, n int) string {
	if utf8.RuneCountInString(name) <= n {
		return name
	}
	return string([]rune(name)[:n-1]) + "…"
}

// shortDuration prints d cut to about three digits, in at most six characters
// below a hundred days.
func shortDuration(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < time.Millisecond:
		return threeDigits(d, time.Microsecond) + "µs"
	case d < time.Second:
		return threeDigits(d, time.Millisecond) + "ms"
	case d < 100*time.Second:
		return threeDigits(d, time.Second) + "s"
	case d < 100*time.Minute:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// threeDigits prints d in a unit of which it has less than a thousand.
func threeDigits(d, unit time.Duration) string {
	whole, hundredths := d/unit, d%unit/(unit/100)
	text := fmt.Sprintf("%d.%02d", whole, hundredths)
	text = text[:max(4, len(text)-3)]
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// FirstFailure says in a sentence which variant failed first, and why.
func FirstFailure(r *result.Result) string {
	var variant string
	var f *metrics.Failure
	for _, v := range r.Variants {
		if first := v.Run.Summary.First; first != nil && (f == nil || first.At < f.At) {
			variant, f = v.Name, first
		}
	}
	if f == nil {
		return "no request failed"
	}
	size := f.Size.Short()
	if reserve := f.Reserve.Short(); f.Reserve > f.Size && reserve != size && f.Cause != allocator.Bounce {
		size += " (" + reserve + " with padding and rounding)"
	}
	cause := f.Cause.String()
	if f.Polluted > 0 && inReach(f.Cause) {
		cause += fmt.Sprintf("; %s of the window held by buffers that don't need it", f.Polluted.Short())
	}
	return fmt.Sprintf("%s: first failure at %s: %s asked for %s; %s (cause: %s)",
		variant, shortDuration(f.At), f.Client, size, circumstances(f), cause)
}

// inReach reports whether a cause is about the memory that devices reach.
func inReach(c allocator.Cause) bool {
	switch c {
	case allocator.WindowFull, allocator.Fragmented, allocator.Alignment, allocator.Boundary, allocator.RuleBroken,
		allocator.Segments, allocator.Policy, allocator.Unreachable:
		return true
	}
	return false
}

// circumstances says what stood in the way of a request.
func circumstances(f *metrics.Failure) string {
	free := fmt.Sprintf("%s were free, %s of it in its reach", f.Free.Short(), f.InReach.Short())
	switch f.InReach {
	case 0:
		free = f.Free.Short() + " were free, none of it in its reach"
	case f.Free:
		free = f.Free.Short() + " were free, all in its reach"
	}
	largest := "largest run " + f.Largest.Short()
	switch f.Cause {
	case allocator.Permission:
		return "it may not use the heap " + f.Heap
	case allocator.Limit:
		return "a limit would have been passed, though " + f.Free.Short() + " were free"
	case allocator.Exhausted:
		return "only " + f.Free.Short() + " were free in " + f.Heap
	case allocator.WindowFull:
		if f.InReach == 0 {
			return free
		}
		return free + " (" + largest + ")"
	case allocator.Fragmented:
		return free + ", in runs of at most " + f.Largest.Short()
	case allocator.Alignment:
		return free + ", but no run (" + largest + ") had an aligned start for it"
	case allocator.Boundary:
		return free + ", but from every aligned start (" + largest + ") it would cross a boundary"
	case allocator.RuleBroken:
		return free + ", but a rule of its devices left no start (" + largest + ")"
	case allocator.Segments:
		return free + ", but in too many pieces (" + largest + ")"
	case allocator.Busy:
		return "the pages in its place could not be moved then"
	case allocator.Pinned:
		return "the pages in its place can never be moved"
	case allocator.Policy:
		return free + ", but the allocator did not look where a legal place was (" + largest + ")"
	case allocator.Unreachable:
		if f.Free == 0 { // at map, where nobody looks what would have been in reach
			return "it lies where its device cannot reach"
		}
		return "it was placed where its devices cannot reach; " + free + " (" + largest + ")"
	case allocator.IOVA, allocator.Bounce:
		return noRoom(f)
	}
	return free + " (" + largest + ")"
}
