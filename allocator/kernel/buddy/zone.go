package buddy

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"dmasim/mem"
)

// MaxOrder is the order of the largest blocks (MAX_PAGE_ORDER).
const MaxOrder = 10

// MaxPages is the largest number of pages in a zone.
const MaxPages = 1 << 28

// Type is the migrate type of a pageblock or of a request (enum migratetype).
type Type uint8

// Migrate types. CMA is the type of pageblocks only: movable requests use them.
const (
	Unmovable Type = iota
	Movable
	Reclaimable
	CMA
	types
)

// String returns "unmovable", "movable", "reclaimable" or "cma".
func (t Type) String() string {
	if t >= types {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return [types]string{"unmovable", "movable", "reclaimable", "cma"}[t]
}

// ErrNotAllocated is returned for a page frame at which no live block begins.
var ErrNotAllocated = errors.New("no live block begins at this page frame")

// Config describes a zone.
type Config struct {
	Base  uint64 // first page frame number
	Pages uint64 // from 1 to MaxPages
	// PageblockOrder is log2 of the pages of a pageblock, from 1 to MaxOrder: 9
	// on x86-64 and arm64 with 4 KiB pages and huge pages, else 10.
	PageblockOrder uint
	// Types holds the type of each pageblock that the zone touches, from the one
	// with Base upwards. Nil makes all of them movable, as at boot.
	Types []Type
	// Holes are page frames of the zone that its lists never hold: there is no
	// memory, or firmware keeps it. A hole of whole pageblocks can become free
	// later as CMA; see [Zone.AddCMA].
	Holes mem.RangeSet
}

// Zone hands out blocks of page frames (struct zone). It is made by [New].
//
// Pages and pageblocks are numbered from origin, a multiple of the largest
// block, so that every block has its buddy within the tables.
type Zone struct {
	// BelowHigh and Reclaiming say that the zone has less free pages than its
	// high watermark, and that it is being reclaimed. They make the per-CPU
	// lists shrink; who knows the watermarks sets them.
	BelowHigh, Reclaiming bool

	origin    uint64
	lo, hi    uint32 // the zone's pages
	pageblock uint   // order

	page       []uint8 // what begins at each page: see headFree
	next, prev []uint32

	lists  [types][MaxOrder + 1]list
	orders [types]uint16 // bit k: the list of order k is not empty

	blockType []Type   // by pageblock
	blockFree []uint16 // pages on the zone's lists
	blockLRU  []uint16 // pages of live blocks with LRU set

	free, freeCMA uint64

	isolated span // pages
}

// State of the block that begins at a page; its order is in the low bits. Pages
// within a block, and outside the zone, are 0.
const (
	orderMask  = 0x0f
	headFree   = 0x10 // on a list of the zone
	headLive   = 0x20
	headCached = 0x40 // on a list of a PerCPU
	onLRU      = 0x80 // with headLive

	headIsolated = 0xc0 // free, but on no list
)

// New returns a zone whose pages are all free, in the order in which they are
// freed at boot (memblock_free_all): the largest aligned blocks that fit, from
// low to high. Pageblocks of different types that lie in one such block may
// get the type of the last of them, as in the kernel.
func New(cfg Config) (*Zone, error) {
	if cfg.Pages == 0 || cfg.Pages > MaxPages || cfg.Base > math.MaxUint64-(cfg.Pages-1) {
		return nil, fmt.Errorf("zone of %d pages from page frame %#x: want 1 to %d pages below 2^64", cfg.Pages, cfg.Base, MaxPages)
	}
	if cfg.PageblockOrder < 1 || cfg.PageblockOrder > MaxOrder {
		return nil, fmt.Errorf("pageblocks of order %d: want 1 to %d", cfg.PageblockOrder, MaxOrder)
	}
	z := &Zone{origin: cfg.Base &^ (1<<MaxOrder - 1), pageblock: cfg.PageblockOrder}
	z.lo = uint32(cfg.Base - z.origin)
	z.hi = z.lo + uint32(cfg.Pages)
	span := (z.hi + 1<<MaxOrder - 1) &^ (1<<MaxOrder - 1)
	z.page = make([]uint8, span)
	z.next = make([]uint32, span)
	z.prev = make([]uint32, span)
	z.blockType = make([]Type, span>>z.pageblock)
	z.blockFree = make([]uint16, span>>z.pageblock)
	z.blockLRU = make([]uint16, span>>z.pageblock)
	if err := z.setTypes(cfg.Types); err != nil {
		return nil, err
	}
	for t := range z.lists {
		for order := range z.lists[t] {
			z.lists[t][order] = emptyList
		}
	}
	z.boot(cfg)
	return z, nil
}

func (z *Zone) setTypes(list []Type) error {
	touched := z.touched()
	if list == nil {
		for b := range touched {
			touched[b] = Movable
		}
		return nil
	}
	if len(list) != len(touched) {
		return fmt.Errorf("types of %d pageblocks: the zone touches %d", len(list), len(touched))
	}
	for _, t := range list {
		if t >= types {
			return fmt.Errorf("pageblock of %s: no such migrate type", t)
		}
	}
	copy(touched, list)
	return nil
}

// touched returns the types of the pageblocks that the zone touches.
func (z *Zone) touched() []Type {
	return z.blockType[z.lo>>z.pageblock : (z.hi-1)>>z.pageblock+1]
}

// FreePages returns the number of pages on the zone's lists, and how many of them
// lie in CMA pageblocks (NR_FREE_PAGES, NR_FREE_CMA_PAGES). Pages on per-CPU
// lists are not free.
func (z *Zone) FreePages() (all, cma uint64) { return z.free, z.freeCMA }

// FreeBlocks returns the number of free blocks on the list of a type and order.
func (z *Zone) FreeBlocks(t Type, order uint) uint64 { return uint64(z.lists[t][order].n) }

// Suitable reports whether a free block of an order or more is on a list, of any
// type but CMA, or of any type at all (the last part of __zone_watermark_ok).
func (z *Zone) Suitable(order uint, withCMA bool) bool {
	orders := z.orders[Unmovable] | z.orders[Movable] | z.orders[Reclaimable]
	if withCMA {
		orders |= z.orders[CMA]
	}
	return orders>>order != 0
}

// Blocks yields the first page frame of each free block on the list of a type
// and order, from head to tail. The zone must not be changed meanwhile.
func (z *Zone) Blocks(t Type, order uint) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for i := z.lists[t][order].head; i != none; i = z.next[i] {
			if !yield(z.origin + uint64(i)) {
				return
			}
		}
	}
}

// PageblockTypes returns the current type of each pageblock that the zone
// touches, in rising order.
func (z *Zone) PageblockTypes() []Type { return append([]Type(nil), z.touched()...) }

// Order returns the order of the live block that begins at a page frame.
func (z *Zone) Order(pfn uint64) (order uint, live bool) {
	i, ok := z.index(pfn)
	if !ok || z.page[i]&headLive == 0 {
		return 0, false
	}
	return uint(z.page[i] & orderMask), true
}

// index returns the number of a page frame in the zone.
func (z *Zone) index(pfn uint64) (uint32, bool) {
	i := pfn - z.origin
	return uint32(i), i >= uint64(z.lo) && i < uint64(z.hi)
}
