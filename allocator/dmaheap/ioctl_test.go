package dmaheap

import (
	"testing"
	"unsafe"
)

// TestRequestNumbers compares the numbers with those that a C compiler makes of
// the kernel's headers on 64-bit x86 and arm.
func TestRequestNumbers(t *testing.T) {
	if directionShift != 30 || unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the numbers of this architecture are others")
	}
	for name, number := range map[string][2]uintptr{
		"DMA_HEAP_IOCTL_ALLOC":           {heapAllocate, 0xC0184800},
		"DMA_BUF_IOCTL_SYNC":             {bufSync, 0x40086200},
		"DMA_BUF_SET_NAME_B":             {bufSetName, 0x40086201},
		"DMA_BUF_IOCTL_EXPORT_SYNC_FILE": {bufExportSync, 0xC0086202},
		"DMA_BUF_IOCTL_IMPORT_SYNC_FILE": {bufImportSync, 0x40086203},
		"UDMABUF_CREATE":                 {udmabufOne, 0x40187542},
	} {
		if number[0] != number[1] {
			t.Errorf("%s is %#x, want %#x", name, number[0], number[1])
		}
	}
}

func TestStructsAreTheKernels(t *testing.T) {
	for name, got := range map[string][2]uintptr{
		"dma_heap_allocation_data":            {unsafe.Sizeof(allocation{}), 24},
		"dma_heap_allocation_data.heap_flags": {unsafe.Offsetof(allocation{}.heapFlags), 16},
		"dma_buf_export_sync_file":            {unsafe.Sizeof(syncFile{}), 8},
		"udmabuf_create":                      {unsafe.Sizeof(udmabufCreate{}), 24},
		"udmabuf_create.offset":               {unsafe.Offsetof(udmabufCreate{}.offset), 8},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d bytes, want %d", name, got[0], got[1])
		}
	}
}
