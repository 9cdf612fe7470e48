package heap

// deviceFiles is the folder of the heaps' device files.
const deviceFiles = "/dev/dma_heap/"

// DeviceFile returns where user space opens the heap, "" if no release of Linux
// from 5.6 to 6.12 has it.
//
// The system heap is "system" in all of them ("dma-buf: heaps: Remove redundant
// heap identifier from system heap name" came before 5.6 was out). A CMA heap has
// the name of its area: "reserved" if the area comes from the command line or the
// kernel's configuration (kernel/dma/contiguous.c), else that of its node in the
// device tree, such as "linux,cma". Only the default area becomes a heap
// (cma_heap.c, add_default_cma_heap); here that is the first. Later than 6.12 are a
// name that is the same everywhere, default_cma_region ("dma-buf: heaps: Give
// default CMA heap a fixed name", 854acbe75ff4, 6.17), and heaps of other areas
// ("dma-buf: heaps: cma: Create CMA heap for each CMA reserved region",
// 4f5f8baf7341). Android's pooled heap is called "system" there.
func (h *Pages) DeviceFile() string {
	switch {
	case h.Kind == System:
		return deviceFiles + "system"
	case h.Kind == CMA && h.Area == 0:
		return deviceFiles + h.Memory.Area(0).Name
	}
	return ""
}
