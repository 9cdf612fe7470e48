package allocator_test

import (
	"testing"

	"dmasim/allocator"
)

// TestSlab shows how blocks are cut from slabs and slabs given back.
func TestSlab(t *testing.T) {
	const page = testPage
	s := newScript(t, "slab:slab=16", pagesConfig(64))
	s.alloc("one", pages(1), 0)
	s.alloc("three", pages(3), 16*page) // another class, another slab
	s.alloc("two", pages(1), page)      // the first slab has room
	s.alloc("large", pages(9), 32*page) // more than half a slab
	s.alloc("five", pages(5), 48*page)  // six pages from a slab of its own
	if size := s.live["five"].Size; size != 6*page {
		t.Errorf("a block for five pages has %d bytes, want six pages", size)
	}
	s.alloc("four", pages(4), 41*page) // no room for another slab: first fit
	s.free("one", "two")
	s.alloc("slab is back", pages(10), 0)
	s.free("three")
	s.alloc("four again", pages(4), 16*page)

	s = newScript(t, "slab:slab=16", pagesConfig(64))
	s.alloc("low", pages(1), 0)
	s.alloc("in a window", allocator.Request{Size: page, Lo: 16 * page, Hi: 64 * page}, 16*page)
	s.alloc("high", allocator.Request{Size: page, Dir: allocator.High}, 63*page)
	s.alloc("aligned", allocator.Request{Size: page, Align: 4 * page}, 32*page) // as a block of four
	s.alloc("beside it", allocator.Request{Size: 4 * page}, 36*page)
	s.alloc("too aligned", allocator.Request{Size: page, Align: 16 * page}, 48*page)
}

// TestSlabClasses asks for every size: what is reserved is at most half as much
// again, and exactly the size beyond half a slab.
func TestSlabClasses(t *testing.T) {
	for n := uint64(1); n <= 40; n++ {
		s, err := allocator.New("slab", pagesConfig(64))
		if err != nil {
			t.Fatal(err)
		}
		b, ok := s.Alloc(pages(n))
		got := b.Size / testPage
		if !ok || got < n || 2*got > 3*n && n > 1 || n > 32 && got != n {
			t.Errorf("a block for %d pages has %d", n, got)
		}
	}
}
