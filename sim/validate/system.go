package validate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"dmasim/allocator/kernel/buddy"
	"dmasim/devices/machine"
)

// SystemHeap is the system heap of a machine whose free memory can be counted. That
// a request fails is in the outcome; errors are of looking.
type SystemHeap interface {
	// Memory reads what the machine says of its memory.
	Memory() (Memory, error)
	// Alloc makes a buffer, and keeps it under an ID.
	Alloc(id string, bytes uint64) (Allocation, error)
	// Close closes a buffer: EBADF if there is none of that ID.
	Close(id string) (Closing, error)
	// Live returns what live buffers of the heap hold.
	Live() (Held, error)
}

// Allocation is a request of the system heap: what was free before and after, and
// what happened between the two.
type Allocation struct {
	Errno         Errno
	Before, After *machine.State
	Blocks        []PageBlock // of the buffer, in its order
	// Takes is what was taken from the free lists of the zone that the heap takes
	// from, in that order, by the heap and by others: single pages by the number
	// for which a list of the CPU was refilled.
	Takes []Take
	// Disturbed says that more happened than Takes tells, such as pages that came
	// back, or that the free lists changed while they were looked at, so that they
	// can't be predicted.
	Disturbed bool
}

// PageBlock is a block of pages of a buffer.
type PageBlock struct {
	PFN   uint64
	Zone  string
	Order uint
	Type  buddy.Type // asked for
}

// Take is a block that was taken from the free lists.
type Take struct {
	Order   uint
	Movable bool
}

// like reports whether two blocks are alike wherever they are.
func (b PageBlock) like(other PageBlock) bool {
	b.PFN = other.PFN
	return b == other
}

// Closing is what closing a buffer did.
type Closing struct {
	Errno  Errno
	Blocks []PageBlock // of the buffer that were freed, in that order
}

// Held is what buffers hold.
type Held struct {
	Buffers int
	Bytes   uint64
}

func (h Held) String() string { return fmt.Sprintf("%d buffers of %d bytes", h.Buffers, h.Bytes) }

// CompareWatermarks compares the watermarks of each zone.
func CompareWatermarks(memory Memory) (Aspect, error) {
	marks := Aspect{Name: "system watermarks"}
	fresh, err := memory.model()
	if err != nil {
		return marks, err
	}
	for i, z := range memory.Zones {
		m := fresh.Zone(i)
		marks.compare(step{i + 1, 0, "zone " + z.Name},
			fmt.Sprintf("min %d, low %d, high %d", m.Min, m.Low, m.High), fmt.Sprintf("min %d, low %d, high %d", z.Min, z.Low-z.Boost, z.High-z.Boost))
	}
	return marks, nil
}

// systemComparison compares the system heap with its model, operation by operation.
// Each request is compared with the model in the state of memory that the kernel had
// just before, so that no error adds up and none cancels another.
type systemComparison struct {
	heap   SystemHeap
	memory Memory

	live map[string][]PageBlock // by ID, as the kernel gave them
	size map[string]uint64      // bytes, by ID
	held Held                   // by the model

	result, blocks, lists, release, pinned Aspect
	disturbed                              int
}

func newSystemComparison(heap SystemHeap) (*systemComparison, error) {
	memory, err := heap.Memory()
	return &systemComparison{
		heap: heap, memory: memory, live: map[string][]PageBlock{}, size: map[string]uint64{},
		result: Aspect{Name: "system result"}, blocks: Aspect{Name: "system blocks"}, lists: Aspect{Name: "system free lists"},
		release: Aspect{Name: "system release"}, pinned: Aspect{Name: "system pinned"},
	}, err
}

func (c *systemComparison) aspects() []Aspect {
	return []Aspect{c.result, c.blocks, c.lists, c.release, c.pinned}
}

func (c *systemComparison) do(s step, op Operation) error {
	do := c.close
	if op.Kind == SystemAlloc {
		do = c.alloc
	}
	if err := do(s, op); err != nil {
		return err
	}
	held, err := c.heap.Live()
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	c.pinned.compare(s, c.held.String(), held.String())
	return nil
}

func (c *systemComparison) alloc(s step, op Operation) error {
	k, err := c.heap.Alloc(op.ID, op.Size)
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	pages, ok := heapPages(op.Size, uint64(c.memory.PageSize))
	if !ok {
		c.result.compare(s, "EINVAL", string(k.Errno))
		return nil
	}
	c.result.compare(s, string(OK), string(k.Errno))
	c.live[op.ID], c.size[op.ID] = k.Blocks, pages*uint64(c.memory.PageSize)
	c.held.Buffers++
	c.held.Bytes += c.size[op.ID]
	m, err := c.memory.at(k.Before).blocks(op.Size)
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	kernelBlocks := describeBlocks(k.Blocks)
	if k.Errno != OK {
		kernelBlocks = string(k.Errno)
	}
	c.blocks.compare(s, m, kernelBlocks)
	if k.Disturbed {
		c.disturbed++
		return nil
	}
	left, err := c.memory.at(k.Before).lists(k.Takes)
	if err != nil {
		return fmt.Errorf("model: %w", err)
	}
	s.operation += ", which takes" + describeTakes(k.Takes) + "; before: " + describeLists(k.Before)
	c.lists.compare(s, left, describeLists(k.After))
	return nil
}

// close closes a buffer: the heap gives back its blocks in their order.
func (c *systemComparison) close(s step, op Operation) error {
	k, err := c.heap.Close(op.ID)
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	blocks, ok := c.live[op.ID]
	if !ok {
		c.result.compare(s, "EBADF", string(k.Errno))
		return nil
	}
	c.result.compare(s, string(OK), string(k.Errno))
	c.held.Buffers--
	c.held.Bytes -= c.size[op.ID]
	delete(c.live, op.ID)
	if slices.Equal(blocks, k.Blocks) {
		c.release.compare(s, "", "")
	} else {
		c.release.compare(s, describePlaces(blocks), describePlaces(k.Blocks))
	}
	return nil
}

// describePlaces returns blocks as "8@0x2700 0@0x11432": orders, and where they are.
func describePlaces(list []PageBlock) string {
	var text strings.Builder
	for _, b := range list {
		fmt.Fprintf(&text, " %d@%#x", b.Order, b.PFN)
	}
	return strings.TrimPrefix(text.String(), " ")
}

// heapPages returns how many pages a heap takes for a number of bytes
// (dma_heap_buffer_alloc); false for those that it refuses.
func heapPages(bytes, page uint64) (uint64, bool) {
	rounded := (bytes + page - 1) &^ (page - 1)
	return rounded / page, rounded != 0
}

// SystemMix says what is asked of the system heap: requests that leave the machine
// some memory.
type SystemMix struct {
	Seed     uint64
	Requests int
	PageSize uint64
	Memory   uint64 // bytes that buffers may hold together
}

// Random returns that many requests, with frees of the newest and the oldest buffers
// between them.
func (m SystemMix) Random() []Operation {
	random := rand.New(rand.NewPCG(m.Seed, 0x626c6f636b73))
	var list, live []Operation
	held := uint64(0)
	for number := 1; number <= m.Requests; number++ {
		bytes := m.size(random)
		for held+bytes > m.Memory || len(live) > 0 && random.IntN(3) == 0 {
			at := 0
			if random.IntN(2) == 0 {
				at = len(live) - 1
			}
			held -= live[at].Size
			list = append(list, Operation{Kind: Close, ID: live[at].ID})
			live = slices.Delete(live, at, at+1)
		}
		held += bytes
		op := Operation{Kind: SystemAlloc, ID: "b" + strconv.Itoa(number), Size: bytes}
		live = append(live, op)
		list = append(list, op)
	}
	return list
}

// size draws a size: each order is as likely as another, most are no power of two.
func (m SystemMix) size(random *rand.Rand) uint64 {
	n := m.PageSize << random.IntN(11)
	if random.IntN(4) > 0 {
		n += random.Uint64N(n)
	}
	return min(n, m.Memory/2)
}
