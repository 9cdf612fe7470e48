package dmesg_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"dmasim/sim/explain/dmesg"
)

// FuzzRead holds the reader to its promises for any log: no panic, no error,
// figures that do not contradict each other.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"cma-16MiB-linux-6.12.log", "system-heap-oom-192MiB-linux-6.12.log"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[len(data)/3:])
	}
	for _, log := range []string{
		"cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\ncma: number of available pages: " + cmaList,
		"cma: cma_alloc: alloc failed, req-size: 129 pages, ret: -16\ncma: number of available pages: range 0: 1@5\nrange 1: +2@7=> 3 free of 9 total pages",
		"cma: Reserved 64 MiB at 0x2b000000\ncma: alloc failed, req-size: 17592186044416 pages, ret: -12\ncma: number of available pages: 17592186044415@1=> 17592186044415 free of 17592186044416 total pages",
		"a: page allocation failure: order:8, mode:0xcc1(GFP_KERNEL|GFP_DMA)\n" + memInfo(littleLow, plentyHigh),
		"a invoked oom-killer: gfp_mask=0xcc0, order=99999999999\nMemory cgroup out of memory: Killed process 1 (\x00)\n",
		"x: swiotlb buffer is full (sz: 99999999999999 bytes), total 4294967295 (slots), used 9 (slots)\nx: overflow 0xffffffffffffffff+9 of DMA mask ffffffffffffffff bus limit 0",
		"[drm:vc4_bo_create [vc4]] *ERROR* Failed to allocate from CMA:\n[drm] V3D: 126112kb BOs (389)\n[drm] size bos allocated: 99999999999999kb",
	} {
		f.Add([]byte(log))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		log, err := dmesg.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(log.Failures); err != nil {
			t.Fatal(err)
		}
		for _, failure := range log.Failures {
			if failure.Kind == "" || failure.Cause == "" || failure.Line < 1 || failure.Line > log.Lines || len(failure.Explanation) == 0 {
				t.Errorf("%+v", failure)
			}
			failure.Area.Bar(64)
			if failure.Area == nil || failure.Area.Need == nil {
				continue
			}
			if need := failure.Area.Need; need.VacatePages > *failure.RequestedPages || need.FitsPages >= *failure.RequestedPages {
				t.Errorf("%d pages were asked for, %+v", *failure.RequestedPages, need)
			}
		}
	})
}
