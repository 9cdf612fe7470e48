package pack_test

import (
	"context"
	"fmt"

	"dmasim/allocator/pack"
)

// Seven buffers of which at most 4 bytes live at a time, and that fit in no less
// than 5: the search proves it.
func ExamplePack() {
	buffers := []pack.Buffer{
		{Start: 0, End: 2, Size: 2},
		{Start: 1, End: 3, Size: 2},
		{Start: 2, End: 4, Size: 1},
		{Start: 2, End: 5, Size: 1},
		{Start: 3, End: 5, Size: 1},
		{Start: 4, End: 6, Size: 2},
		{Start: 5, End: 7, Size: 2},
	}
	load, err := pack.Load(buffers)
	if err != nil {
		fmt.Println(err)
		return
	}
	packing, err := pack.Pack(context.Background(), buffers, pack.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("load:", load)
	fmt.Println("height:", packing.Height, "optimal:", packing.Optimal())
	fmt.Println("check:", pack.Check(buffers, packing.Offsets))
	// Output:
	// load: 4
	// height: 5 optimal: true
	// check: <nil>
}

// Three buffers that live at one time do not fit in 8 bytes; the other two are
// not to blame.
func ExampleIrreducible() {
	buffers := []pack.Buffer{
		{Start: 0, End: 9, Size: 3},
		{Start: 0, End: 2, Size: 4},
		{Start: 3, End: 6, Size: 3},
		{Start: 5, End: 9, Size: 3},
		{Start: 7, End: 8, Size: 1},
	}
	const steps = 1_000_000
	core, err := pack.Irreducible(context.Background(), buffers, 8, steps)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(core.Buffers, core.Irreducible)
	// Output: [0 2 3] true
}
