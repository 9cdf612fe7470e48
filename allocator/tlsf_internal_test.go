package allocator

import (
	"testing"
	"unsafe"

	"dmasim/mem"
)

// TestTLSFClasses compares classes with those of Matthew Conte's implementation
// (github.com/mattconte/tlsf, revision deff9ab, 64-bit): 32 second-level lists,
// sizes in units of 8 bytes, first and second level of the list into which a
// block goes and of that from which a search starts.
func TestTLSFClasses(t *testing.T) {
	s, err := New("tlsf", Config{Arena: mem.RangeSet{mem.Range{Lo: 0, Hi: 1 << 40}}, Granule: 8})
	if err != nil {
		t.Fatal(err)
	}
	tlsf := s.(*segregated)
	for _, c := range []struct{ size, fl, sl, searchFL, searchSL uint64 }{
		{8, 0, 1, 0, 1}, {32, 0, 4, 0, 4}, {248, 0, 31, 0, 31},
		{256, 1, 0, 1, 0}, {257, 1, 0, 1, 1}, {263, 1, 0, 1, 1}, {264, 1, 1, 1, 1}, {272, 1, 2, 1, 2},
		{460, 1, 25, 1, 26}, {511, 1, 31, 2, 0}, {512, 2, 0, 2, 0}, {1000, 2, 30, 2, 31}, {1024, 3, 0, 3, 0},
		{4096, 5, 0, 5, 0}, {65536, 9, 0, 9, 0}, {65537, 9, 0, 9, 1}, {1048576, 13, 0, 13, 0}, {12441600, 16, 15, 16, 16},
	} {
		if got, want := tlsf.list(c.size), uint32(c.fl<<5|c.sl); got != want {
			t.Errorf("size %d: list (%d,%d), want (%d,%d)", c.size, got>>5, got&31, c.fl, c.sl)
		}
		if got, want := tlsf.listAbove(c.size), uint32(c.searchFL<<5|c.searchSL); got != want {
			t.Errorf("size %d: search from (%d,%d), want (%d,%d)", c.size, got>>5, got&31, c.searchFL, c.searchSL)
		}
	}
}

func TestNodeSizes(t *testing.T) {
	if n := unsafe.Sizeof(tile{}); n != 24 {
		t.Errorf("tile has %d bytes, want 24", n)
	}
	if n := unsafe.Sizeof(buddyNode{}); n != 24 {
		t.Errorf("buddyNode has %d bytes, want 24", n)
	}
}
