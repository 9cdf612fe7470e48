package dmesg_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"dmasim/sim/explain/dmesg"
)

// read reads a log that is expected to hold nothing that cannot be read.
func read(t interface {
	Helper()
	Fatal(...any)
}, log string) []dmesg.Failure {
	t.Helper()
	l, err := dmesg.Read(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	return l.Failures
}

// brief is a failure in one line: kind, requested, free, largest run, cause,
// and who asked.
func brief(f dmesg.Failure) string {
	count := func(n *uint64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	who := f.Device
	if who == "" {
		who = f.Process
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s/%s/%s %s %s", f.Kind, count(f.RequestedPages), count(f.FreePages), count(f.LargestRunPages), f.Cause, who))
}

func briefs(failures []dmesg.Failure) string {
	var list []string
	for _, f := range failures {
		list = append(list, brief(f))
	}
	return strings.Join(list, "\n")
}

const cmaList = "1@7+16@80+144@112+256@512=> 417 free of 1024 total pages"

// TestFormats reads messages of the shapes in which they occur: by kernel
// release, by what logged them, and by what happened to them since.
func TestFormats(t *testing.T) {
	for name, test := range map[string]struct{ log, want string }{
		"4.9, no list": {
			"[   20.125618] cma: cma_alloc: alloc failed, req-size: 2000 pages, ret: -12",
			"cma 2000/-/- unknown",
		},
		"5.4": {
			"[   11.1] cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\n[   11.2] cma: number of available pages: " + cmaList,
			"cma 300/417/256 fragmented",
		},
		"5.10, with the area's name": {
			"cma: cma_alloc: linux,cma: alloc failed, req-size: 500 pages, ret: -12\ncma: number of available pages: " + cmaList,
			"cma 500/417/256 exhausted",
		},
		"6.12": {
			"cma: __cma_alloc: reserved: alloc failed, req-size: 300 pages, ret: -12\ncma: number of available pages: " + cmaList,
			"cma 300/417/256 fragmented",
		},
		"6.16, frozen pages and ranges": {
			"cma: __cma_alloc_frozen: reserved: alloc failed, req-size: 300 pages, ret: -12\n" +
				"cma: number of available pages: \ncma: range 0: 1@7+16@80\ncma: range 1: +144@112+256@512\n=> 417 free of 1024 total pages",
			"cma 300/417/256 fragmented",
		},
		"alignment": {
			"cma: cma_alloc: alloc failed, req-size: 129 pages, ret: -12\ncma: number of available pages: 200@100+100@400=> 300 free of 1024 total pages",
			"cma 129/300/200 alignment",
		},
		"pages busy": {
			"cma: cma_alloc: alloc failed, req-size: 128 pages, ret: -16\ncma: number of available pages: " + cmaList,
			"cma 128/417/256 busy",
		},
		"the whole area free, and busy": {
			"[   29.2] cma: cma_alloc: alloc failed, req-size: 524288 pages, ret: -16\n[   29.3] cma: number of available pages: 524288@0=> 524288 free of 524288 total pages",
			"cma 524288/524288/524288 busy",
		},
		"busy, no list": {
			"cma: cma_alloc: reserved: alloc failed, req-size: 38 pages, ret: -16",
			"cma 38/-/- busy",
		},
		"two pages in a bit": {
			"cma: cma_alloc: alloc failed, req-size: 64 pages, ret: -12\ncma: number of available pages: 2@93+8@108+14@121+14@137+38@333+30@369=> 106 free of 1024 total pages",
			"cma 64/106/38 fragmented",
		},
		"without positions": {
			"[   11.616321]  [2:   Binder:711_1:  740] cma: cma_alloc: alloc failed, req-size: 256 pages, ret: -12\n" +
				"[   11.616365]  [2:   Binder:711_1:  740] number of available pages: 4+7+7+8+38+166+127=>357 pages, total: 2048 pages",
			"cma 256/357/166 fragmented",
		},
		"larger than the area": {
			"cma: Reserved 64 MiB at 0x000000002b000000 on node -1\n[  175.9] cma: cma_alloc: alloc failed, req-size: 19200 pages, ret: -12",
			"cma 19200/-/- exhausted",
		},
		"syslog": {
			"Oct 11 16:00:09 board kernel: [  263.537210] cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\r\n" +
				"Oct 11 16:00:09 board kernel: [  263.537220] cma: number of available pages: " + cmaList + "\r\n",
			"cma 300/417/256 fragmented",
		},
		"journalctl, quoted, coloured": {
			"> 2026-05-29T10:48:13.265528+10:00 board kernel: \x1b[31mcma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\x1b[0m\n" +
				"> 2026-05-29T10:48:13.265530+10:00 board kernel: cma: number of available pages: " + cmaList,
			"cma 300/417/256 fragmented",
		},
		"levels": {
			"<3>[  1.5] cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\n<6>[  1.5][    T7] cma: number of available pages: " + cmaList,
			"cma 300/417/256 fragmented",
		},
		"logcat": {
			"05-11 12:00:00.123     0     0 E cma     : cma_alloc: alloc failed, req-size: 300 pages, ret: -12\n" +
				"05-11 12:00:00.123     0     0 I cma     : number of available pages: " + cmaList,
			"cma 300/417/256 fragmented",
		},
		"as HTML": {
			"cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\ncma: number of available pages: " + strings.ReplaceAll(cmaList, ">", "&gt;"),
			"cma 300/417/256 fragmented",
		},
		"a list that a terminal wrapped": {
			"cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\ncma: number of available pages: 1@7+16@8\n0+144@112+256@512=> 417 free of 10\n24 total pages",
			"cma 300/417/256 fragmented",
		},
		"a list mixed with others' messages": {
			"[  1.1] cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\n[  1.1] usb 1-1: new high-speed USB device\n" +
				"[  1.2] cma: number of available pages: 1@7+16@80\n[  1.2] usb 1-1: New USB device found, idVendor=0424, idProduct=9514\n[  1.3] +144@112+256@512=> 417 free of 1024 total pages",
			"cma 300/417/256 fragmented",
		},
		"a list that is cut": {
			"cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\ncma: number of available pages: 1@7+16@80+14",
			"cma 300/17/16 unknown",
		},
		"two failures, then two lists": {
			"cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\ncma: cma_alloc: alloc failed, req-size: 500 pages, ret: -12\n" +
				"cma: number of available pages: " + cmaList + "\ncma: number of available pages: 30@5=> 30 free of 1024 total pages",
			"cma 300/417/256 fragmented\ncma 500/30/30 exhausted",
		},
		"the driver says the same": {
			"[   93.0] cma: cma_alloc: alloc failed, req-size: 1024 pages, ret: -12\n[   93.1] vc4-drm soc:gpu: failed to allocate buffer with size 4194304\n" +
				"[   93.2] [drm:vc4_bo_create [vc4]] *ERROR* Failed to allocate from CMA:\n[   93.2] [drm] num bos allocated: 54\n[   93.2] [drm] size bos allocated: 62520kb",
			"cma 1024/-/- unknown vc4-drm soc:gpu",
		},
		"the driver's account decides": {
			"cma: Reserved 64 MiB at 0x2b000000\n[   93.0] cma: cma_alloc: alloc failed, req-size: 1024 pages, ret: -12\n[   93.1] vc4-drm soc:gpu: failed to allocate buffer with size 4194304\n" +
				"[   93.2] [drm:vc4_bo_create [vc4]] *ERROR* Failed to allocate from CMA:\n[   93.2] [drm] num bos allocated: 54\n[   93.2] [drm] size bos allocated: 62520kb",
			"cma 1024/-/- exhausted vc4-drm soc:gpu",
		},
		"5.10: what the driver lists, alone": {
			"Reserved memory: created CMA memory pool at 0x000000002ac00000, size 128 MiB\n[ 4191.4] [drm:vc4_bo_create [vc4]] *ERROR* Failed to allocate from CMA:\n" +
				"[ 4191.4] vc4-drm gpu: [drm]                            V3D: 126112kb BOs (389)\n[ 4191.4] vc4-drm gpu: [drm]                total purged BO:   1544kb BOs (7)\n" +
				"[ 4191.5] vc4_v3d 3fc00000.v3d: Failed to allocate memory for tile binning: -12. You may need to enable CMA or give it more memory.",
			"cma -/-/- unknown vc4_v3d 3fc00000.v3d",
		},
		"4.9: only what was busy, and the driver": {
			"[25940.03] alloc_contig_range: [2f100, 2f20a) PFNs busy\n[25940.04] alloc_contig_range: [2f200, 2f30a) PFNs busy\n" +
				"[25940.05] vc4-drm soc:gpu: failed to allocate buffer with size 1089536",
			"cma 266/-/- busy vc4-drm soc:gpu",
		},
		"the driver alone": {
			"Oct 11 16:00:09 tv kernel: [  263.7] vc4-drm soc:gpu: failed to allocate buffer with size 16777216",
			"dma-alloc 4096/-/- unknown vc4-drm soc:gpu",
		},
		"a camera": {
			"[ 9102.1] cma: cma_alloc: alloc failed, req-size: 1846 pages, ret: -12\n[ 9102.2] sun6i-csi 1cb0000.csi: dma_alloc_coherent of size 7561216 failed",
			"cma 1846/-/- unknown sun6i-csi 1cb0000.csi",
		},
		"the area was not had at boot": {
			"[    0.0] cma: Failed to reserve 64 MiB", "cma-reserve 16384/-/- unknown",
		},
		"bounce buffers full": {
			"mt7615e 0000:01:00.0: swiotlb buffer is full (sz: 3776 bytes), total 32768 (slots), used 31983 (slots)",
			"swiotlb 1/392/- bounce mt7615e 0000:01:00.0",
		},
		"bounce buffers full, no figures": {
			"[  437.5] dwc3 38200000.dwc3: swiotlb buffer is full (sz: 16384 bytes)\n[  437.6] dwc3 38200000.dwc3: DMA: Out of SW-IOMMU space for 16384 bytes",
			"swiotlb 4/-/- bounce dwc3 38200000.dwc3",
		},
		"coherent memory by bounce buffers": {
			"[  675.8] udmabuf udmabuf@1: swiotlb buffer is full (sz: 134217728 bytes)\n[  675.9] udmabuf udmabuf@1: swiotlb: coherent allocation failed, size=134217728",
			"swiotlb 32768/-/- bounce udmabuf udmabuf@1",
		},
		"coherent memory by bounce buffers, 4.9": {
			"[  675.8] udmabuf udmabuf.0: swiotlb buffer is full (sz: 8388608 bytes)\n[  675.9] swiotlb: coherent allocation failed for device udmabuf.0 size=8388608",
			"swiotlb 2048/-/- bounce udmabuf udmabuf.0",
		},
		"beyond the mask, 5.4": {
			"[   97.2] vc4-drm gpu: overflow 0x00000001a7296000+708608 of DMA mask ffffffff bus limit ffffffff",
			"dma-mask 173/-/- unreachable vc4-drm gpu",
		},
		"beyond the mask, 6.5": {
			"simple-framebuffer 9e5064000.framebuffer: swiotlb addr 0x00000009de654000+16384 overflow (mask ffffffff, bus limit 0).",
			"dma-mask 4/-/- unreachable simple-framebuffer 9e5064000.framebuffer",
		},
		"an engine that reaches 4 GiB": {
			"[  575.509593] rga: 468 518 : RGA_MMU unsupported memory larger than 4G!", "dma-mask -/-/- unreachable rga: 468 518",
		},
		"a log without a kernel's failure, then vmalloc": {
			"[20761.375887] vmalloc: allocation failure: 8192000 bytes", "dma-alloc 2000/-/- unknown",
		},
		"a mapping that did not fit": {
			"[  12.5] dwc3 38200000.dwc3: swiotlb buffer is full (sz: 524288 bytes), total 32768 (slots), used 4 (slots)\n[  12.6] usb 1-1: dma_map_sg failed",
			"swiotlb 128/16382/- bounce dwc3 38200000.dwc3",
		},
		"an IOMMU without room": {
			"DMAR: Allocating 256-page iova for 0000:00:02.0 failed", "iova 256/-/- iova 0000:00:02.0",
		},
		"a heap that may not be opened": {
			"camera: /dev/dma_heap/linux,cma: Permission denied", "dma-heap -/-/- permission camera",
		},
		"a heap of a program": {
			"dmaHeap allocation failure for camera-app0", "dma-heap -/-/- unknown",
		},
		"nothing failed": {
			"[    0.0] cma: Reserved 16 MiB at 0x000000000ec00000\n[    0.1] Memory: 226924K/261624K available (16384K cma-reserved)\nrandom text: 3@5 => nothing\n", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := briefs(read(t, test.log)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// memInfo is a Mem-Info of a machine with two zones, in which little is free
// below, and much above.
func memInfo(dma, normal string) string {
	return `Mem-Info:
active_anon:10000 inactive_anon:0 isolated_anon:0
 active_file:3000 inactive_file:0 isolated_file:0
 unevictable:0 dirty:0 writeback:0
 slab_reclaimable:100 slab_unreclaimable:900
 mapped:3 shmem:9 pagetables:100 bounce:0
 free:20000 free_pcp:0 free_cma:8000
Node 0 active_anon:40000kB inactive_anon:0kB unevictable:0kB shmem_thp: 0kB kernel_stack:400kB pagetables:400kB all_unreclaimable? no
Node 0 DMA free:` + dma + ` present:65536kB managed:60000kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:32000kB
lowmem_reserve[]: 0 0 250 250
Node 0 Normal free:` + normal + ` present:131072kB managed:120000kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB
lowmem_reserve[]: 0 0 0 0
Node 0 DMA: 100*4kB (UME) 50*8kB (UMEC) 10*16kB (C) 8*4096kB (C) 0*8192kB = 34000kB
Node 0 Normal: 500*4kB (UM) 200*8kB (U) 5*32kB (M) 0*64kB = 46000kB
3009 total pagecache pages
49152 pages RAM
0 pages HighMem/MovableOnly
4152 pages reserved
8192 pages cma reserved
`
}

const (
	plentyLow  = "34000kB min:500kB low:600kB high:700kB"
	littleLow  = "34000kB min:2500kB low:2600kB high:2700kB"
	plentyHigh = "46000kB min:1000kB low:1200kB high:1400kB"
	littleHigh = "900kB min:1000kB low:1200kB high:1400kB"
)

func TestPageAllocations(t *testing.T) {
	for name, test := range map[string]struct{ log, want string }{
		"4.x to 6.x, fragmented": {
			"18:20:47 kernel: a.out: page allocation failure: order:8, mode:0xcc0(GFP_KERNEL), nodemask=(null),cpuset=/,mems_allowed=0\n" + memInfo(plentyLow, plentyHigh),
			"page-alloc 256/20000/8 fragmented a.out",
		},
		"only the low zone, whose rest is CMA": {
			"a.out: page allocation failure: order:0, mode:0xcc1(GFP_KERNEL|GFP_DMA), nodemask=(null)\n" + memInfo(littleLow, plentyHigh),
			"page-alloc 1/20000/2 window a.out",
		},
		"CMA is for movable pages": {
			"x y: page allocation failure: order:10, mode:0x100cca(GFP_HIGHUSER_MOVABLE)\n" + memInfo(plentyLow, plentyHigh),
			"page-alloc 1024/20000/1024 policy x y",
		},
		"everything used": {
			"sshd: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL)\n" + strings.ReplaceAll(memInfo("900kB min:2500kB low:2600kB high:2700kB", littleHigh), "free_cma:32000kB", "free_cma:0kB"),
			"page-alloc 1/20000/8 exhausted sshd",
		},
		"3.x": {
			"Apr  9 09:12:27 keylime kernel: [170238.8] sshd: page allocation failure: order:0, mode:0x20\nMem-info:\nNormal per-cpu:\nCPU    0: hi:  186, btch:  31 usd: 150\n" +
				"active_anon:100 inactive_anon:2 isolated_anon:0\n active_file:2 inactive_file:3 isolated_file:0\n unevictable:0 dirty:0 writeback:0 unstable:0\n" +
				" free:1200 slab_reclaimable:10 slab_unreclaimable:20\n mapped:1 shmem:1 pagetables:5 bounce:0\n" +
				"Normal free:4800kB min:8192kB low:9216kB high:10240kB active_anon:400kB present:500000kB managed:480000kB kernel_stack:800kB\nlowmem_reserve[]: 0 0\n" +
				"Normal: 1200*4kB (UR) 0*8kB 0*16kB = 4800kB\n123 total pagecache pages\n122880 pages of RAM\n1300 free pages\n2880 reserved pages\n",
			"page-alloc 1/1200/1 exhausted sshd",
		},
		"what zones keep back was cut": {
			"a.out: page allocation failure: order:2, mode:0xcc0(GFP_KERNEL)\nMem-Info:\n free:1000\nNode 0 Normal: 0*4kB 0*8kB 0*16kB 125*32kB (UM) = 4000kB",
			"page-alloc 4/1000/8 unknown a.out",
		},
		"without an account": {
			"dmwb_writeback_: page allocation failure. order:5, mode:0xd0", "page-alloc 32/-/- unknown dmwb_writeback_",
		},
		"out of memory, low memory is CMA (32 bit)": {
			"[  490.3] vdr invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\nMem-Info:\nactive_anon:10 inactive_anon:1\n free:800000 free_pcp:0 free_cma:127000\n" +
				"DMA free:519120kB min:20480kB low:21000kB high:22000kB present:786432kB managed:700000kB free_cma:508000kB\nlowmem_reserve[]: 0 0 3188\n" +
				"HighMem free:2680000kB min:512kB low:4100kB high:7700kB present:3264512kB managed:3264512kB free_cma:0kB\nlowmem_reserve[]: 0 0 0\n" +
				"DMA: 142*4kB (UEC) 161*8kB (UEC) 2*128kB (UC) 1*256kB (C) 0*512kB 1*1024kB (C) 0*2048kB 125*4096kB (C) = 519120kB\nHighMem: 100*4kB (UM) 650*4096kB (M) = 2680000kB\n" +
				"36861 total pagecache pages\n1012736 pages RAM\n816128 pages HighMem/MovableOnly\n30649 pages reserved\n131072 pages cma reserved\n" +
				"Out of memory: Killed process 812 (chromium) total-vm:1227140kB, anon-rss:94640kB, file-rss:0kB, shmem-rss:1764kB, UID:1000 pgtables:84kB oom_score_adj:300",
			"oom 1/800000/32 window vdr",
		},
		"a memory cgroup": {
			"java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\nmemory: usage 102400kB, limit 102400kB, failcnt 12\n" +
				"Memory cgroup out of memory: Killed process 77 (java) total-vm:900kB, anon-rss:800kB, file-rss:0kB, shmem-rss:0kB",
			"oom-memcg 1/-/- limit java",
		},
		"cut before the zones": {
			"a: page allocation failure: order:4, mode:0xcc0(GFP_KERNEL)\nMem-Info:\nactive_anon:10 inactive_anon:1\n free:5000 free_pcp:0 free_cma:0\n",
			"page-alloc 16/5000/- unknown a",
		},
		"cut before the lists": {
			"a: page allocation failure: order:4, mode:0xcc0(GFP_KERNEL)\n" + strings.Split(memInfo(plentyLow, plentyHigh), "Node 0 DMA: 100")[0],
			"page-alloc 16/20000/- unknown a",
		},
		"two processors at once": {
			"[  1.000] a: page allocation failure: order:8, mode:0xcc0(GFP_KERNEL)\n[  1.001] b: page allocation failure: order:9, mode:0xcc0(GFP_KERNEL)\n" + memInfo(plentyLow, plentyHigh),
			"page-alloc 256/20000/8 fragmented a\npage-alloc 512/20000/8 fragmented b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := briefs(read(t, test.log)); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

// TestReserve: which number of lowmem_reserve counts depends on the highest zone
// that the request may take.
func TestReserve(t *testing.T) {
	for name, test := range map[string]struct {
		mode, zones string
		want        uint64 // of zone DMA
	}{
		"all zones":                {"0xcc0", "DMA32 Normal", 300},
		"up to 4 GiB":              {"0xcc4", "DMA32 Normal", 100},
		"only the lowest":          {"0xcc1", "DMA32 Normal", 0},
		"movable":                  {"0xcca", "DMA32 Normal", 300},
		"32 bits, not HighMem":     {"0xcc0", "Normal HighMem", 100},
		"32 bits, HighMem as well": {"0xcc2", "Normal HighMem", 300},
	} {
		t.Run(name, func(t *testing.T) {
			log := "a: page allocation failure: order:0, mode:" + test.mode + "\nMem-Info:\nDMA free:4kB min:8kB managed:100kB\nlowmem_reserve[]: 0 100 300 300\n"
			for zone := range strings.FieldsSeq(test.zones) {
				log += zone + " free:4kB min:8kB managed:100kB\nlowmem_reserve[]: 0 0 0 0\n"
			}
			if got := read(t, log)[0].Pages.Zones[0].Reserve; got != test.want {
				t.Errorf("%d pages, want %d", got, test.want)
			}
		})
	}
}

// open opens a recording.
func open(t testing.TB, name string) io.Reader {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestRealCMA reads the log of a 16 MiB area that a virtual machine filled.
func TestRealCMA(t *testing.T) {
	log, err := dmesg.Read(open(t, "cma-16MiB-linux-6.12.log"))
	if err != nil {
		t.Fatal(err)
	}
	want := `cma 1280/803/512 exhausted
cma 512/547/256 fragmented
cma 512/591/256 fragmented
cma 512/577/256 fragmented
cma 512/577/256 fragmented
cma 1280/824/261 exhausted
cma 1280/843/277 exhausted
cma 384/843/277 fragmented
cma 512/843/277 fragmented
cma 512/537/256 fragmented`
	if got := briefs(log.Failures); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	last := log.Failures[9]
	if n := len(last.Unlogged); n != 31 || last.Unlogged[30].FreePages == 0 || last.Unlogged[30].LargestRunPages == 0 {
		t.Errorf("%d failures were not logged, the last of them with %+v", n, last.Unlogged[n-1])
	}
	if got := *log.Failures[0].Area.Base; got != 0xec00000 {
		t.Errorf("the area begins at %v", got)
	}
}

// TestRealOutOfMemory reads the log of a machine whose RAM a process pinned by
// buffers of the system heap.
func TestRealOutOfMemory(t *testing.T) {
	log, err := dmesg.Read(open(t, "system-heap-oom-192MiB-linux-6.12.log"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := briefs(log.Failures), "oom 1/466/128 exhausted init"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	f := log.Failures[0]
	if f.Pages.UnexplainedKiB != 136180 || f.Pages.Managed != 38063 {
		t.Errorf("%d KiB of %d pages are unexplained, want 136180 of 38063", f.Pages.UnexplainedKiB, f.Pages.Managed)
	}
	if k := f.Pages.Killed; k == nil || k.PID != 128 || k.Name != "init" || k.AnonRSS != 640<<10 {
		t.Errorf("killed %+v", k)
	}
	if f.Via != `the dma-heap "system"` {
		t.Errorf("via %q", f.Via)
	}
}

// TestPrefixesDoNotMatter reads the recordings in the shapes that loggers give
// them.
func TestPrefixesDoNotMatter(t *testing.T) {
	for _, name := range []string{"cma-16MiB-linux-6.12.log", "system-heap-oom-192MiB-linux-6.12.log"} {
		data, err := io.ReadAll(open(t, name))
		if err != nil {
			t.Fatal(err)
		}
		want := briefs(read(t, string(data)))
		for _, prefix := range []string{
			"> ", "> > ", "<4>", "Jun 16 15:12:52 jessie-rpi kernel: ", "[Sun Aug  1 15:03:02 2021] ", "[    1.5][    T1] ",
			"2026-05-29T10:48:13.265528+10:00 host kernel: ", "18:20:47 kernel: ", "\x1b[32m", "kern  :err   : ", "    ", "| ",
		} {
			for _, end := range []string{"\n", "\r\n"} {
				log := prefix + strings.ReplaceAll(strings.TrimSuffix(string(data), "\n"), "\n", end+prefix) + end
				if got := briefs(read(t, log)); got != want {
					t.Errorf("%s with %q and %q: got\n%s\nwant\n%s", name, prefix, end, got, want)
				}
			}
		}
	}
}

// endless is a line that does not end.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	for i := range p[:n] {
		p[i] = "1@5+"[i%4]
	}
	e.left -= n
	return n, nil
}

func TestEndlessLine(t *testing.T) {
	start := "cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12\ncma: number of available pages: "
	log, err := dmesg.Read(io.MultiReader(strings.NewReader(start), &endless{256 << 20}, strings.NewReader("\n"+start+cmaList+"\n")))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(log.Failures); n != 2 || brief(log.Failures[1]) != "cma 300/417/256 fragmented" {
		t.Errorf("got\n%s", briefs(log.Failures))
	}
}

func TestFloodIsCounted(t *testing.T) {
	line := "mt7615e 0000:01:00.0: swiotlb buffer is full (sz: 3776 bytes), total 32768 (slots), used 31983 (slots)\n"
	log, err := dmesg.Read(strings.NewReader(strings.Repeat(line, 10_007)))
	if err != nil {
		t.Fatal(err)
	}
	if len(log.Failures) != 10_000 || log.Dropped != 7 {
		t.Errorf("%d failures are kept, %d dropped", len(log.Failures), log.Dropped)
	}
}

func ExampleRead() {
	log, err := dmesg.Read(strings.NewReader(`
[   11.1] cma: cma_alloc: alloc failed, req-size: 300 pages, ret: -12
[   11.2] cma: number of available pages: 1@7+16@80+144@112+256@512=> 417 free of 1024 total pages`))
	if err != nil {
		fmt.Println(err)
		return
	}
	f := log.Failures[0]
	fmt.Println(f.Cause, f.Area.Bar(32))
	fmt.Println(f.Help[1])
	// Output:
	// fragmented +#--....########........########
	// an area larger by 300 pages (1.17MiB) with the same buffers in it: cma=8M
}
