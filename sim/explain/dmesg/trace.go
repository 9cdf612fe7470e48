package dmesg

import (
	"regexp"
)

// interfaces are the functions by which buffers for devices are asked for, the
// most telling first.
var interfaces = []struct{ function, name string }{
	{"system_heap_allocate", "the dma-heap \"system\""},
	{"cma_heap_allocate", "the dma-heap of a CMA area"},
	{"dma_heap_ioctl", "a dma-heap"},
	{"ion_alloc", "ION, the predecessor of dma-heaps"},
	{"vb2_dc_alloc", "videobuf2 (dma-contig): a camera's or codec's buffer"},
	{"vb2_dma_sg_alloc", "videobuf2 (dma-sg): a camera's or codec's buffer"},
	{"drm_gem_cma_create", "a DRM driver's contiguous buffer"},
	{"drm_gem_dma_create", "a DRM driver's contiguous buffer"},
	{"drm_gem_shmem_get_pages", "a DRM driver's buffer of single pages"},
	{"drm_gem_get_pages", "a DRM driver's buffer of single pages"},
	{"ttm_pool_alloc", "TTM: a GPU's buffer"},
	{"cma_alloc", "a CMA area"},
	{"dma_alloc_attrs", "dma_alloc: a driver's coherent buffer"},
	{"dma_alloc_coherent", "dma_alloc: a driver's coherent buffer"},
	{"dma_direct_alloc", "dma_alloc: a driver's coherent buffer"},
	{"swiotlb_map", "a bounced mapping"},
}

// traceWait is how many lines a call trace may be from the failure.
const traceWait = 80

var call = regexp.MustCompile(`([a-z_][a-z0-9_]*)(?:\.[a-z0-9.]+)*(?:\+0x[0-9a-f]+/0x[0-9a-f]+|\) from| \()`)

// readTrace looks for a telling function in a line of a call trace.
func (s *scanner) readTrace(message string) {
	if len(s.failures) == 0 {
		return
	}
	f := s.failures[len(s.failures)-1]
	if s.line-f.Line > traceWait || f.Kind != PageAlloc && f.Kind != OOM {
		return
	}
	for _, m := range call.FindAllStringSubmatch(message, 4) {
		for i, known := range interfaces {
			if m[1] == known.function && (f.Via == "" || i < f.traceRank) {
				f.Via, f.traceRank = known.name, i
			}
		}
	}
}
