package dmapool_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/dmapool"
)

// pages returns a source of allocations at rising addresses from 0x10000 on.
func pages(limit int) func(uint64) (uint64, bool) {
	next := uint64(0x10000)
	return func(size uint64) (uint64, bool) {
		if limit == 0 {
			return 0, false
		}
		limit--
		addr := next
		next += (size + 4095) &^ 4095
		return addr, true
	}
}

func TestBlocksPerPage(t *testing.T) {
	tests := []struct {
		size, align, boundary uint64
		old, now              int // Linux 6.1 and 6.12
	}{
		{256, 0, 0, 15, 16},
		{512, 0, 0, 7, 8},
		{128, 0, 0, 31, 32},
		{32, 0, 0, 127, 128},
		{1024, 0, 0, 3, 4},
		{2048, 0, 0, 1, 2},
		{4096, 0, 0, 1, 1},
		{96, 32, 0, 42, 42},
		{100, 0, 0, 40, 40},
		{2112, 64, 0, 1, 1},
		{100, 4, 256, 32, 32},
		{256, 0, 256, 16, 16},
		{1, 0, 0, 1023, 256},
		{6000, 0, 0, 1, 1},
	}
	for _, test := range tests {
		for version, want := range map[dmapool.Version]int{dmapool.Linux6_1: test.old, dmapool.Linux6_12: test.now} {
			p, err := dmapool.New(dmapool.Config{Version: version, Size: test.size, Align: test.align, Boundary: test.boundary}, pages(1))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.BlocksPerPage(); got != want {
				t.Errorf("version %d, %d bytes, align %d, boundary %d: %d blocks per page, want %d",
					version, test.size, test.align, test.boundary, got, want)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []dmapool.Config{
		{},
		{Size: 1 << 31},
		{Size: 64, Align: 3},
		{Size: 64, Boundary: 32},
		{Size: 64, Boundary: 96},
		{Size: 64, PageSize: 5000},
	} {
		if _, err := dmapool.New(c, pages(1)); err == nil {
			t.Errorf("%+v was not refused", c)
		}
	}
}

// Which block comes next is where the versions differ: 6.1 goes back to the
// newest page with a free block, 6.12 to the block freed last.
func ExamplePool() {
	for _, version := range []dmapool.Version{dmapool.Linux6_1, dmapool.Linux6_12} {
		p, err := dmapool.New(dmapool.Config{Version: version, Size: 1360}, pages(2))
		if err != nil {
			panic(err)
		}
		var blocks []uint64
		for range 4 {
			block, _ := p.Alloc()
			blocks = append(blocks, block)
		}
		_ = p.Free(blocks[3]) // in the second page
		_ = p.Free(blocks[0]) // in the first
		next, _ := p.Alloc()
		fmt.Printf("%#x then %#x\n", blocks, next)
	}
	// Output:
	// [0x10000 0x10550 0x10aa0 0x11000] then 0x11000
	// [0x10000 0x10550 0x10aa0 0x11000] then 0x10000
}

func TestBlocksStayApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		align := uint64(1) << rapid.IntRange(0, 8).Draw(t, "align")
		size := rapid.Uint64Range(1, 5000).Draw(t, "size")
		boundary := uint64(0)
		if rapid.Bool().Draw(t, "bounded") {
			boundary = 1 << 13
		}
		version := rapid.SampledFrom([]dmapool.Version{dmapool.Linux6_1, dmapool.Linux6_12}).Draw(t, "version")
		p, err := dmapool.New(dmapool.Config{Version: version, Size: size, Align: align, Boundary: boundary}, pages(8))
		if err != nil {
			t.Fatal(err)
		}
		var live []uint64
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(live) > 0 && rapid.IntRange(0, 2).Draw(t, "free") == 0 {
				i := rapid.IntRange(0, len(live)-1).Draw(t, "which")
				if err := p.Free(live[i]); err != nil {
					t.Fatal(err)
				}
				if err := p.Free(live[i]); !errors.Is(err, dmapool.ErrNotAllocated) {
					t.Fatalf("second free: %v", err)
				}
				live = slices.Delete(live, i, i+1)
				continue
			}
			block, ok := p.Alloc()
			if !ok {
				if len(live) < 8*p.BlocksPerPage() {
					t.Fatalf("no block with %d of %d live", len(live), 8*p.BlocksPerPage())
				}
				continue
			}
			if block%align != 0 {
				t.Fatalf("block %#x is not a multiple of %d", block, align)
			}
			for _, other := range live {
				if block < other+size && other < block+size {
					t.Fatalf("block %#x overlaps %#x", block, other)
				}
			}
			live = append(live, block)
		}
	})
}
