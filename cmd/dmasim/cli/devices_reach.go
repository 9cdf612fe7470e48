package cli

import (
	"fmt"
	"math/bits"
	"strings"

	"dmasim/devices"
	"dmasim/mem"
)

// drawReaches draws what a device reaches, of memory and of addresses that are
// translated for it.
func drawReaches(b *strings.Builder, d *devices.Device) {
	if reach, _, err := d.Compile(); err == nil {
		drawReach(b, "Memory in reach", reach)
	}
	rule, err := d.CompileIOVA()
	if err != nil || rule == nil {
		return
	}
	var reach []mem.Range
	for _, w := range rule.Windows {
		reach = append(reach, w.Reach)
	}
	drawReach(b, "Translated addresses in reach", mem.NewRangeSet(reach...))
}

// barWidth is the number of cells of a bar: a power of two, so that most ends of
// windows are ends of cells.
const barWidth = 64

// drawReach draws a bar of the addresses from 0 to a power of two behind the last
// in reach.
func drawReach(b *strings.Builder, title string, reach mem.RangeSet) {
	if reach.Contains(mem.Everywhere) {
		fmt.Fprintf(b, "\n%s: all\n", title)
		return
	}
	order := max(bits.Len64(reach.Hull().Hi-1), 12)
	if order < 63 && reach.Hull().Hi == 1<<order {
		order++ // so that the end is seen
	}
	if order >= 64 {
		fmt.Fprintf(b, "\n%s: %s\n", title, reach)
		return
	}
	fmt.Fprintf(b, "\n%s (# all, + some, . none)\n  [%s]\n", title, reach.Bar(mem.Range{Hi: 1 << order}, barWidth))
	half, end := mem.Size(1<<order/2).String(), mem.Size(1<<order).String()
	left := max(barWidth/2-len(half)/2, 2)
	fmt.Fprintf(b, "   0%s%s%s%s\n", strings.Repeat(" ", left-1), half, strings.Repeat(" ", max(barWidth-left-len(half)-len(end), 1)), end)
}
