package heap_test

import (
	"fmt"
	"testing"

	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// BenchmarkPages allocates and frees one buffer.
func BenchmarkPages(b *testing.B) {
	for _, kind := range []struct {
		name string
		kind heap.PageKind
	}{{"system", heap.System}, {"cma", heap.CMA}, {"pooled", heap.Pooled}} {
		for _, size := range []uint64{1 * mib, 12 * mib, 12441600} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, size), func(b *testing.B) {
				m, owner := machine(b, 256*mib, physmem.Area{Name: "reserved", Range: mem.Range{Lo: 64 * mib, Hi: 128 * mib}})
				h := heap.NewPages(pages(m, kind.kind, v612))
				b.ReportAllocs()
				for b.Loop() {
					if err := h.Free(take(b, h, owner, size), 0); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
