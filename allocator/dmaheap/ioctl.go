package dmaheap

import "unsafe"

// The structures are those of the kernel; their fields lie alike on every
// architecture.

// allocation is struct dma_heap_allocation_data.
type allocation struct {
	length    uint64
	fd        uint32 // 0 on entry
	fdFlags   uint32
	heapFlags uint64
}

// syncFile is struct dma_buf_export_sync_file and dma_buf_import_sync_file.
type syncFile struct {
	flags uint32
	fd    int32
}

// udmabufCreate is struct udmabuf_create.
type udmabufCreate struct {
	memfd  uint32
	flags  uint32
	offset uint64
	size   uint64
}

// AllocateRequest and SyncRequest are the numbers of DMA_HEAP_IOCTL_ALLOC and of
// DMA_BUF_IOCTL_SYNC, for who makes the calls without a [Heap] and a [Buffer]. SyncEnd
// is the flag of the latter that an [Access] ends.
const (
	AllocateRequest uint64 = uint64(heapAllocate)
	SyncRequest     uint64 = uint64(bufSync)
	SyncEnd         uint64 = syncEnd
)

// Requests. The name is set by a request whose number depends on the size of a
// pointer.
const (
	heapAllocate   = (read|write)<<directionShift | unsafe.Sizeof(allocation{})<<16 | 'H'<<8
	bufSync        = write<<directionShift | 8<<16 | 'b'<<8
	bufSetName     = write<<directionShift | unsafe.Sizeof(uintptr(0))<<16 | 'b'<<8 | 1
	bufExportSync  = (read|write)<<directionShift | unsafe.Sizeof(syncFile{})<<16 | 'b'<<8 | 2
	bufImportSync  = write<<directionShift | unsafe.Sizeof(syncFile{})<<16 | 'b'<<8 | 3
	udmabufOne     = write<<directionShift | unsafe.Sizeof(udmabufCreate{})<<16 | 'u'<<8 | 0x42
	syncEnd        = 1 << 2
	udmabufCloexec = 1
)
