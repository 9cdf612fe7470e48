package heap_test

import (
	"fmt"

	"dmasim/allocator/kernel/version"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// A picture in 4K on a machine that was just started, by two releases of Linux.
func ExamplePages() {
	for _, release := range []string{"5.7", "6.12"} {
		memory, err := physmem.New(physmem.Config{
			Page: 4096, Zones: []physmem.Zone{{Name: "Normal", Ranges: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 << 20})}},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		player, _ := memory.AddOwner(physmem.OwnerConfig{Name: "player"})
		kernel, _ := version.Parse(release)
		system := heap.NewPages(heap.PageConfig{Name: "main", Kind: heap.System, Memory: memory, Kernel: kernel, Clients: 1})
		picture, failure, err := system.Alloc(0, player, 12441600)
		fmt.Println(release, system.DeviceFile(), len(system.Blocks(picture)), failure.Cause, err)
	}
	// Output:
	// 5.7 /dev/dma_heap/system 3038 none <nil>
	// 6.12 /dev/dma_heap/system 38 none <nil>
}
