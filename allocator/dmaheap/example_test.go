package dmaheap_test

import (
	_ "embed"
	"fmt"
	"log"
	"os"
	"strings"

	"dmasim/allocator/dmaheap"
)

// Allocate a frame, write it, and show who holds it. It needs a machine with
// heaps.
func Example() {
	heap, err := dmaheap.Open("system")
	if err != nil {
		log.Fatal(err) // says what would help
	}
	defer heap.Close()
	frame, err := heap.Alloc(1920 * 1080 * 3 / 2)
	if err != nil {
		log.Fatal(err)
	}
	defer frame.Close()
	if err := frame.SetName("camera frame"); err != nil {
		log.Fatal(err)
	}
	mapping, err := frame.Map(dmaheap.Read | dmaheap.Write)
	if err != nil {
		log.Fatal(err)
	}
	defer mapping.Close()
	err = mapping.Access(dmaheap.Write, func(b []byte) error {
		b[0] = 0xff
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range dmaheap.ReadAccounting(os.DirFS("/")).Buffers {
		fmt.Println(b.Inode, b.Size, b.Exporter, b.Name, b.Holders)
	}
}

// bufinfo was /sys/kernel/debug/dma_buf/bufinfo.
//
//go:embed testdata/linux-6.12/bufinfo
var bufinfo string

func ExampleParseBufinfo() {
	buffers, err := dmaheap.ParseBufinfo(strings.NewReader(bufinfo))
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range buffers {
		fmt.Printf("%d: %d bytes of %s, %d references, %q\n", b.Inode, b.Size, b.Exporter, b.References, b.Name)
	}
	// Output:
	// 3: 4096 bytes of udmabuf, 1 references, ""
	// 2: 4096 bytes of system, 2 references, ""
	// 1: 12443648 bytes of system, 2 references, "NV12 4K frame"
}
