package physmem

import "fmt"

// Kind is what a page frame is used for.
type Kind uint8

// Kinds of page frames.
const (
	// Free frames are on the lists of the page allocator, per-CPU lists included.
	Free Kind = iota
	// Kernel frames hold the kernel's own data, page tables included. They never
	// move.
	Kernel
	// Anonymous frames hold memory of processes. They can move, and go to swap.
	Anonymous
	// PageCache frames hold clean pages of files. They can move, and be dropped.
	PageCache
	// DMABuf frames back dma-bufs. They never move, and are in the accounting of
	// nobody: no process, no line of meminfo.
	DMABuf
	// Hole is where there is no memory, or none that the kernel manages.
	Hole
	kinds
)

// String returns "free", "kernel", "anonymous", "page-cache", "dma-buf" or
// "hole".
func (k Kind) String() string {
	if k >= kinds {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return [kinds]string{"free", "kernel", "anonymous", "page-cache", "dma-buf", "hole"}[k]
}

// movable reports whether pages of a kind can be moved, and are on an LRU list.
func (k Kind) movable() bool { return k == Anonymous || k == PageCache }
