package allocator_test

import (
	"errors"
	"fmt"

	"dmasim/allocator"
)

// A strategy of your own enters what it hands out, and asks before it frees.
func ExampleBlocks() {
	var live allocator.Blocks
	block := live.Add(0x1000, 4096)
	fmt.Println(live.Remove(block))
	fmt.Println(errors.Is(live.Remove(block), allocator.ErrDoubleFree))
	fmt.Println(errors.Is(live.Remove(allocator.Block{Addr: 0x2000, Size: 4096}), allocator.ErrForeign))
	// Output:
	// <nil>
	// true
	// true
}
