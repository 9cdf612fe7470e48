package drmbuddy

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/bits"
)

// Why [Manager.Alloc] failed.
var (
	// ErrInvalid (EINVAL) means that the request was refused unseen.
	ErrInvalid = errors.New("invalid request")
	// ErrNoSpace (ENOSPC) means that no place was found.
	ErrNoSpace = errors.New("no free blocks suit the request")
)

// ErrNotLive is returned by [Manager.Free] for a block that is not live.
var ErrNotLive = errors.New("no such live block")

// Request asks for memory. All numbers are bytes.
type Request struct {
	Size uint64
	// MinBlock is the size of the smallest block that may be used, and so the
	// alignment of all: a power of two, at least a chunk.
	MinBlock uint64
	// Lo and Hi bound the memory if InRange is set. If exactly Size lies between
	// them, that place is meant, whatever the flags are. Hi is at most the size
	// of the memory also where it has no other effect.
	Lo, Hi     uint64
	InRange    bool // DRM_BUDDY_RANGE_ALLOCATION
	TopDown    bool // DRM_BUDDY_TOPDOWN_ALLOCATION
	Contiguous bool // DRM_BUDDY_CONTIGUOUS_ALLOCATION
	NoTrim     bool // DRM_BUDDY_TRIM_DISABLE: keep what rounding up adds
}

// Block is 2^order chunks that start at a multiple of their size.
type Block struct{ Offset, Size uint64 } // bytes

// Manager hands out the memory [0, size) (struct drm_buddy). It is made by
// [New].
type Manager struct {
	chunk    uint   // log2 of bytes
	chunks   uint64 // of the whole memory
	maxOrder uint
	free     []bitmap   // by order: block numbers, offset >> order
	live     [][]uint64 // by order: a bit for each block
	unused   uint64     // chunks
}

// MaxChunks is the largest number of chunks of a manager: 16 TiB of 4 KiB.
const MaxChunks = 1 << 32

// New returns a manager of size bytes, rounded down to whole chunks. A chunk is
// a power of two (drm_buddy_init, which wants at least 4096 bytes).
func New(size, chunk uint64) (*Manager, error) {
	if bits.OnesCount64(chunk) != 1 || size < chunk || size/chunk > MaxChunks {
		return nil, fmt.Errorf("buddy of %d bytes in chunks of %d: want 1 to %d chunks of a power of two", size, chunk, uint64(MaxChunks))
	}
	m := &Manager{chunk: uint(bits.TrailingZeros64(chunk)), chunks: size / chunk}
	m.maxOrder = uint(bits.Len64(m.chunks)) - 1
	for order := uint(0); order <= m.maxOrder; order++ {
		blocks := m.chunks >> order
		m.free = append(m.free, newBitmap(blocks))
		m.live = append(m.live, make([]uint64, (blocks+63)/64))
	}
	m.unused = m.chunks
	for at, order := range largestBlocks(0, m.chunks) {
		m.free[order].add(at >> order)
	}
	return m, nil
}

// largestBlocks yields the largest blocks that fill [lo, hi), in chunks, from
// low to high.
func largestBlocks(lo, hi uint64) iter.Seq2[uint64, uint] {
	return func(yield func(at uint64, order uint) bool) {
		for lo < hi {
			order := min(uint(bits.Len64(hi-lo))-1, uint(bits.TrailingZeros64(lo)))
			if !yield(lo, order) {
				return
			}
			lo += 1 << order
		}
	}
}

// Unused returns the number of free bytes.
func (m *Manager) Unused() uint64 { return m.unused << m.chunk }

// Alloc appends the blocks that serve a request to dst, in the order in which
// the kernel lists them (drm_buddy_alloc_blocks). The error is ErrInvalid or
// ErrNoSpace, and nothing changed, if it cannot be served.
func (m *Manager) Alloc(dst []Block, r Request) ([]Block, error) {
	total := m.chunks << m.chunk
	mask := uint64(1)<<m.chunk - 1
	switch {
	case r.Size <= mask || r.MinBlock <= mask || bits.OnesCount64(r.MinBlock) != 1:
		return dst, ErrInvalid
	case (r.Size|r.Lo|r.Hi)&mask != 0 || r.Hi > total:
		return dst, ErrInvalid
	case r.Size > total || r.Lo > total-r.Size:
		return dst, ErrInvalid
	}
	w := want{
		size: r.Size >> m.chunk, min: uint(bits.TrailingZeros64(r.MinBlock)) - m.chunk,
		lo: r.Lo >> m.chunk, hi: r.Hi >> m.chunk, Request: &r,
	}
	if w.lo+w.size == w.hi {
		if (w.lo|w.hi)&(1<<w.min-1) != 0 {
			return dst, ErrInvalid
		}
		if m.gather(w.lo, w.size) < w.size {
			return dst, ErrNoSpace
		}
		return m.takeRun(dst, w.lo, w.hi), nil
	}
	return m.allocBlocks(dst, w)
}

// want is a valid request in chunks.
type want struct {
	size, lo, hi uint64
	min          uint // order of the smallest block
	*Request
}

func (m *Manager) allocBlocks(dst []Block, w want) ([]Block, error) {
	size, smallest := w.size, w.min
	if w.Contiguous {
		smallest = uint(bits.Len64(size - 1))
		size = 1 << smallest
	} else if rest := size & (1<<smallest - 1); rest != 0 {
		size += 1<<smallest - rest
	}
	tryHarder := w.Contiguous && !w.InRange
	if size > m.chunks {
		if tryHarder {
			return m.allocAround(dst, w)
		}
		return dst, ErrInvalid
	}
	blocks := dst
	for missing, order := size, m.maxOrder; missing > 0; missing -= 1 << order {
		order = min(order, uint(bits.Len64(missing))-1)
		at, ok := m.place(w, order)
		for ; !ok && order > smallest; at, ok = m.place(w, order) {
			order--
		}
		if !ok {
			m.undo(blocks[len(dst):])
			if tryHarder {
				return m.allocAround(dst, w)
			}
			return dst, ErrNoSpace
		}
		m.carve(at, order)
		blocks = append(blocks, m.setLive(at, order))
	}
	if surplus := size - w.size; surplus > 0 && !w.NoTrim {
		blocks = m.trim(blocks, surplus)
	}
	return blocks, nil
}

// place returns where the kernel would take a block of an order.
func (m *Manager) place(w want, order uint) (at uint64, ok bool) {
	if w.InRange {
		return m.lowest(w.lo, w.hi, order)
	}
	for from := order; from <= m.maxOrder; from++ {
		n, exists := m.free[from].last(math.MaxUint64)
		if !exists {
			continue
		}
		end := (n + 1) << from
		if !ok || end-1<<order > at {
			at, ok = end-1<<order, true
		}
		if !w.TopDown {
			break
		}
	}
	return at, ok
}

// lowest returns the lowest place of a block of an order within [lo, hi)
// (__drm_buddy_alloc_range_bias).
func (m *Manager) lowest(lo, hi uint64, order uint) (at uint64, ok bool) {
	mask := uint64(1)<<order - 1
	lo, hi = (lo+mask)&^mask, hi&^mask
	for from := order; from <= m.maxOrder; from++ {
		n, exists := m.free[from].next(lo >> from)
		if !exists {
			continue
		}
		if start := max(n<<from, lo); start < hi && (!ok || start < at) {
			at, ok = start, true
		}
	}
	return at, ok
}

// allocAround looks for a contiguous place of the size asked for around each
// free block of the largest order within it, the highest first
// (__alloc_contig_try_harder).
func (m *Manager) allocAround(dst []Block, w want) ([]Block, error) {
	order := uint(bits.Len64(w.size)) - 1
	if order == 0 || order > m.maxOrder {
		return dst, ErrNoSpace
	}
	align := uint64(1) << w.min
	n, ok := m.free[order].last(math.MaxUint64)
	for ; ok; n, ok = m.free[order].before(n) {
		at := n << order
		run := m.gather(at, w.size)
		switch {
		case run < w.size && w.size-run > at:
			continue
		case run < w.size:
			at -= w.size - run
		}
		at &^= align - 1
		if m.gather(at, w.size) == w.size {
			return m.takeRun(dst, at, at+w.size), nil
		}
	}
	return dst, ErrNoSpace
}

// gather returns how many of the chunks [at, at+size) the kernel finds free
// before it gives up: it looks at the largest blocks that they consist of, from
// low to high, and not into one that is free in part.
func (m *Manager) gather(at, size uint64) uint64 {
	found := uint64(0)
	for block, order := range largestBlocks(at, min(at+size, m.chunks)) {
		if _, ok := m.freeAround(block, order); !ok {
			break
		}
		found += 1 << order
	}
	return found
}

// freeAround returns the order of the free block that holds a block.
func (m *Manager) freeAround(at uint64, order uint) (uint, bool) {
	for ; order <= m.maxOrder; order++ {
		if m.free[order].has(at >> order) {
			return order, true
		}
	}
	return 0, false
}

// takeRun takes the free chunks [lo, hi) as the largest blocks, from low to
// high (__drm_buddy_alloc_range).
func (m *Manager) takeRun(dst []Block, lo, hi uint64) []Block {
	for at, order := range largestBlocks(lo, hi) {
		m.carve(at, order)
		dst = append(dst, m.setLive(at, order))
	}
	return dst
}

// carve takes a block out of the free block around it.
func (m *Manager) carve(at uint64, order uint) {
	from, _ := m.freeAround(at, order)
	m.free[from].remove(at >> from)
	for from > order {
		from--
		m.free[from].add(at>>from ^ 1)
	}
	m.unused -= 1 << order
}

// release makes a block free and merges it (__drm_buddy_free).
func (m *Manager) release(at uint64, order uint) {
	m.unused += 1 << order
	n := at >> order
	for m.free[order].has(n ^ 1) {
		m.free[order].remove(n ^ 1)
		n /= 2
		order++
	}
	m.free[order].add(n)
}

// trim gives the end of the last block back (drm_buddy_block_trim).
func (m *Manager) trim(blocks []Block, surplus uint64) []Block {
	last := blocks[len(blocks)-1]
	at, order, _ := m.locate(last)
	m.setDead(at, order)
	blocks = blocks[:len(blocks)-1]
	end := at + 1<<order
	for at, order := range largestBlocks(at, end-surplus) {
		blocks = append(blocks, m.setLive(at, order))
	}
	for at, order := range largestBlocks(end-surplus, end) {
		m.release(at, order)
	}
	return blocks
}

// undo frees blocks that were taken for a request that cannot be served.
func (m *Manager) undo(blocks []Block) {
	for _, b := range blocks {
		at, order, _ := m.locate(b)
		m.setDead(at, order)
		m.release(at, order)
	}
}

// Free gives a block back. The error is ErrNotLive, and nothing changed, if it
// is not live.
func (m *Manager) Free(b Block) error {
	at, order, live := m.locate(b)
	if !live {
		return fmt.Errorf("free %d bytes at %#x: %w", b.Size, b.Offset, ErrNotLive)
	}
	m.setDead(at, order)
	m.release(at, order)
	return nil
}

// locate returns the place of a block in chunks.
func (m *Manager) locate(b Block) (at uint64, order uint, live bool) {
	if bits.OnesCount64(b.Size) != 1 || b.Offset&(b.Size-1) != 0 || b.Size>>m.chunk == 0 {
		return 0, 0, false
	}
	at, order = b.Offset>>m.chunk, uint(bits.TrailingZeros64(b.Size))-m.chunk
	if at >= m.chunks || order > m.maxOrder || at+1<<order > m.chunks {
		return 0, 0, false
	}
	n := at >> order
	return at, order, m.live[order][n/64]>>(n%64)&1 != 0
}

func (m *Manager) setLive(at uint64, order uint) Block {
	n := at >> order
	m.live[order][n/64] |= 1 << (n % 64)
	return Block{Offset: at << m.chunk, Size: 1 << (order + m.chunk)}
}

func (m *Manager) setDead(at uint64, order uint) {
	n := at >> order
	m.live[order][n/64] &^= 1 << (n % 64)
}
