//go:build linux

package kernel

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"dmasim/devices/machine"
	"dmasim/sim/validate"
)

// TestReadTakes reads lines as Linux 6.12 traces them.
func TestReadTakes(t *testing.T) {
	const heap = " gfp_flags=__GFP_HIGHMEM|__GFP_IO|__GFP_FS|__GFP_ZERO|__GFP_COMP|__GFP_HARDWALL"
	const text = `# tracer: nop
 dmasim-131 [000] ..... 4.1: mm_page_alloc_zone_locked: page=00000000a pfn=0x2700 order=8 migratetype=0 percpu_refill=0
 dmasim-131 [000] ..... 4.2: mm_page_alloc: page=00000000a pfn=0x2700 order=8 migratetype=0` + heap + `
 dmasim-131 [000] ..... 4.3: mm_page_alloc_extfrag: page=00000000b pfn=0x2800 alloc_order=8 fallback_order=10 pageblock_order=9 alloc_migratetype=0 fallback_migratetype=1 fragmenting=0 change_ownership=1
 dmasim-131 [000] ..... 4.4: mm_page_alloc: page=00000000b pfn=0x2800 order=8 migratetype=0` + heap + `
 dmasim-131 [000] ..... 4.5: mm_page_alloc_zone_locked: page=00000000c pfn=0x3000 order=0 migratetype=0 percpu_refill=1
 dmasim-131 [000] ..... 4.5: mm_page_alloc_extfrag: page=00000000c pfn=0x3000 alloc_order=0 fallback_order=3 pageblock_order=9 alloc_migratetype=0 fallback_migratetype=1 fragmenting=1 change_ownership=1
 dmasim-131 [000] ..... 4.6: mm_page_alloc: page=00000000c pfn=0x10 order=0 migratetype=0 gfp_flags=GFP_HIGHUSER|__GFP_ZERO
 dmasim-131 [000] ..... 4.7: mm_page_alloc: page=00000000d pfn=0x3001 order=0 migratetype=1 gfp_flags=GFP_HIGHUSER_MOVABLE|__GFP_ZERO
 dmasim-131 [000] ..... 4.8: mm_page_free: page=00000000d pfn=0x3001 order=0
`
	state := &machine.State{Zones: []machine.ZoneState{{Name: "DMA", Start: 1, Spanned: 4095}, {Name: "DMA32", Start: 4096, Spanned: 100000}}}
	a := validate.Allocation{Before: state}
	if err := readTakes(&a, text); err != nil {
		t.Fatal(err)
	}
	want := validate.Allocation{
		Before: state,
		Blocks: []validate.PageBlock{{PFN: 0x2700, Zone: "DMA32", Order: 8}, {PFN: 0x2800, Zone: "DMA32", Order: 8}, {PFN: 0x10, Zone: "DMA"}},
		Takes:  []validate.Take{{Order: 8}, {Order: 8}, {}},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Error(diff)
	}
	for _, line := range []string{
		" x-1 [000] ..... 1.1: mm_page_pcpu_drain: page=0 pfn=0x1 order=0 migratetype=1",
		" x-1 [000] ..... 1.1: mm_page_free: page=0 pfn=0x1 order=4",
		" x-1 [000] ..... 1.1: mm_page_alloc_zone_locked: page=0 pfn=0x1 order=1 migratetype=1 percpu_refill=1",
		" x-1 [000] ..... 1.1: mm_page_alloc_zone_locked: page=0 pfn=0x1 order=0 migratetype=2 percpu_refill=1",
	} {
		a := validate.Allocation{Before: state}
		if err := readTakes(&a, line); err != nil || !a.Disturbed {
			t.Errorf("%s: %v, disturbed %v", line, err, a.Disturbed)
		}
	}
	if err := readTakes(&a, " x-1 [000] ..... 1.1: mm_page_alloc_zone_locked: page=0 pfn=0x1 order=many migratetype=2"); err == nil {
		t.Error("a torn line is read")
	}
}

// TestReadAllocation has pages taken at every moment: while the free lists are looked
// at, it is not known whether the look saw it.
func TestReadAllocation(t *testing.T) {
	mark := func(text string) string { return " x-1 [000] ..... 1.0: tracing_mark_write: " + text + "\n" }
	const taken = " x-1 [000] ..... 1.1: mm_page_alloc_zone_locked: page=0 pfn=0x1 order=0 migratetype=0 percpu_refill=1\n"
	const cached = " x-1 [000] ..... 1.1: mm_page_alloc: page=0 pfn=0x1 order=0 migratetype=0 gfp_flags=GFP_KERNEL\n"
	for _, test := range []struct {
		name      string
		text      string
		takes     int
		disturbed bool
	}{
		{"only by the request", mark(markBefore) + cached + mark(markCounted) + taken + taken + mark(markAgain) + mark(markAfter), 2, false},
		{"before and after", taken + mark(markBefore) + mark(markCounted) + taken + mark(markAgain) + mark(markAfter) + taken, 1, false},
		{"during the first look", mark(markBefore) + taken + mark(markCounted) + taken + mark(markAgain) + mark(markAfter), 1, true},
		{"during the second", mark(markBefore) + mark(markCounted) + mark(markAgain) + taken + mark(markAfter), 0, true},
	} {
		a := validate.Allocation{Before: &machine.State{}}
		if err := readAllocation(&a, test.text); err != nil || len(a.Takes) != test.takes || a.Disturbed != test.disturbed {
			t.Errorf("%s: %v, %d taken, disturbed %v", test.name, err, len(a.Takes), a.Disturbed)
		}
	}
	var a validate.Allocation
	if err := readAllocation(&a, mark(markBefore)+mark(markAgain)+mark(markAfter)); err == nil {
		t.Error("a lost mark goes unnoticed")
	}
}

func TestReadFrees(t *testing.T) {
	blocks := []validate.PageBlock{{PFN: 0x2700, Order: 8}, {PFN: 0x11, Zone: "DMA"}, {PFN: 0x12}}
	const text = ` x-1 [000] ..... 1.1: mm_page_free: page=0 pfn=0x2700 order=8
 x-1 [000] ..... 1.1: mm_page_free: page=0 pfn=0x99 order=0
 x-1 [000] ..... 1.1: mm_page_free: page=0 pfn=0x12 order=0
 x-1 [000] ..... 1.1: mm_page_alloc: page=0 pfn=0x12 order=0 migratetype=0 gfp_flags=GFP_KERNEL
 x-1 [000] ..... 1.1: mm_page_free: page=0 pfn=0x12 order=0
`
	got, err := readFrees(blocks, text)
	want := []validate.PageBlock{{PFN: 0x2700, Order: 8}, {PFN: 0x12}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
