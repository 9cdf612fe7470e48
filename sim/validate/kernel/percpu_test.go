//go:build linux

package kernel

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"dmasim/allocator/kernel/buddy"
	"dmasim/devices/machine"
	"dmasim/sim/validate"
)

func TestReadPageEvents(t *testing.T) {
	const text = `
 x-1 [000] ..... 1.0: mm_page_alloc_zone_locked: page=0 pfn=0x2000 order=0 migratetype=0 percpu_refill=1
 x-1 [000] ..... 1.0: mm_page_alloc_zone_locked: page=0 pfn=0x2001 order=0 migratetype=0 percpu_refill=1
 x-1 [000] ..... 1.0: mm_page_alloc: page=0 pfn=0x2000 order=0 migratetype=0 gfp_flags=GFP_KERNEL
 x-1 [000] ..... 1.1: mm_page_alloc: page=0 pfn=0x2001 order=0 migratetype=0 gfp_flags=GFP_KERNEL
 x-1 [000] ..... 1.2: mm_page_alloc_zone_locked: page=0 pfn=0x3000 order=4 migratetype=0 percpu_refill=0
 x-1 [000] ..... 1.2: mm_page_alloc: page=0 pfn=0x3000 order=4 migratetype=0 gfp_flags=GFP_KERNEL
 x-1 [000] ..... 1.3: mm_page_alloc: page=0 pfn=0x10 order=0 migratetype=0 gfp_flags=GFP_DMA
 x-1 [000] ..... 1.4: mm_page_free: page=0 pfn=0x2001 order=0
 x-1 [000] ..... 1.4: mm_page_free: page=0 pfn=0x2000 order=0
 x-1 [000] ..... 1.5: mm_page_free_batched: page=0 pfn=0x2001
 kworker/0:1-9 [000] ..... 1.6: workqueue_execute_start: work struct 00000000c0ffee00: function flush_to_ldisc
 kworker/0:1-9 [000] ..... 1.7: workqueue_execute_start: work struct 00000000c0ffee00: function vmstat_update
 kworker/0:1-9 [000] ..... 1.7: mm_page_pcpu_drain: page=0 pfn=0x2000 order=0 migratetype=0
 x-1 [000] ..... 1.8: tracing_mark_write: 
`
	state := &machine.State{Zones: []machine.ZoneState{{Name: "DMA", Start: 1, Spanned: 4095}, {Name: "DMA32", Start: 4096, Spanned: 100000}}}
	var w validate.PerCPUWindow
	whole, err := readPageEvents(&w, text, state, "DMA32")
	want := []validate.PageEvent{
		{Kind: validate.Taken, PFN: 0x2000, Moved: 2},
		{Kind: validate.Taken, PFN: 0x2001},
		{Kind: validate.Freed, PFN: 0x2000},
		{Kind: validate.Freed, PFN: 0x2001},
		{Kind: validate.Decayed, Moved: 1},
	}
	if diff := cmp.Diff(want, w.Events); err != nil || !whole || diff != "" {
		t.Errorf("%v, whole %v\n%s", err, whole, diff)
	}
	if whole, err := readPageEvents(&w, " x-1 [000] ..... 1.4: mm_page_free: page=0 pfn=0x2009 order=0", state, "DMA32"); err != nil || whole {
		t.Errorf("a page that was not taken: %v, whole %v", err, whole)
	}
}

func TestReadPageset(t *testing.T) {
	const text = `Node 0, zone      DMA
  pagesets
    cpu: 0
              count: 1
              high:  2
              batch: 3
Node 0, zone    DMA32
  pagesets
    cpu: 0
              count: 4084
              high:  4605
              batch: 31
  vm stats threshold: 6
`
	got, err := readPageset(text, "DMA32")
	if want := (pageset{4084, 4605, 31}); err != nil || got != want {
		t.Errorf("%v: %v, want %v", err, got, want)
	}
	if _, err := readPageset(text, "Normal"); err == nil {
		t.Error("a zone that is not there")
	}
}

func TestLimitsAreThoseOfTheKernel(t *testing.T) {
	if l := (buddy.Sizing{PageSize: 4096, Managed: 115024, LowWatermark: 816}).Limits(); l.Batch != 31 {
		t.Errorf("%+v, want the batch that Linux 6.12 had with 512 MiB", l)
	}
}
