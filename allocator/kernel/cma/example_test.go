package cma_test

import (
	"fmt"

	"dmasim/allocator/kernel/cma"
	"dmasim/mem"
)

// A page that cannot be migrated makes the search creep over it, one aligned
// step at a time.
func ExampleArea_Alloc() {
	area, err := cma.New(0x40000, 64, 0)
	if err != nil {
		panic(err)
	}
	pinned := mem.Range{Lo: 0x40005, Hi: 0x40006}
	pfn, err := area.Alloc(8, 0, func(pages mem.Range) error {
		if pages.Overlaps(pinned) {
			fmt.Println("busy at", mem.Addr(pages.Lo))
			return cma.ErrBusy
		}
		return nil
	})
	fmt.Println(mem.Addr(pfn), err)
	// Output:
	// busy at 0x40000
	// busy at 0x40001
	// busy at 0x40002
	// busy at 0x40003
	// busy at 0x40004
	// busy at 0x40005
	// 0x40006 <nil>
}
