package buddy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/kernel/buddy"
)

// oracle restates the rules with one record for each block and lists that are
// slices.
type oracle struct {
	lo, hi, pageblock uint64 // pageblock in pages
	lists             [4][buddy.MaxOrder + 1][]uint64
	kinds             map[uint64]buddy.Type // by first page of the pageblock
	live              map[uint64]buddy.Request
	mode              int // of the bulk allocation: 0, 1 without own lists, 2 steal only
}

func newOracle(cfg buddy.Config) *oracle {
	o := &oracle{
		lo: cfg.Base, hi: cfg.Base + cfg.Pages, pageblock: 1 << cfg.PageblockOrder,
		kinds: map[uint64]buddy.Type{}, live: map[uint64]buddy.Request{},
	}
	for i, kind := range cfg.Types {
		o.kinds[(o.lo/o.pageblock+uint64(i))*o.pageblock] = kind
	}
	for pfn := o.lo; pfn < o.hi; {
		order := uint(buddy.MaxOrder)
		for pfn%(1<<order) != 0 || pfn+1<<order > o.hi {
			order--
		}
		o.release(pfn, order, true)
		pfn += 1 << order
	}
	return o
}

func (o *oracle) kindOf(pfn uint64) buddy.Type { return o.kinds[pfn/o.pageblock*o.pageblock] }

func (o *oracle) setKind(pfn uint64, order uint, kind buddy.Type) {
	for at := pfn; at < pfn+1<<order; at += o.pageblock {
		o.kinds[at] = kind
	}
}

// isFree reports whether a whole free block of an order begins at pfn.
func (o *oracle) isFree(pfn uint64, order uint) bool {
	for kind := range o.lists {
		if slices.Contains(o.lists[kind][order], pfn) {
			return true
		}
	}
	return false
}

func (o *oracle) drop(pfn uint64, order uint) {
	for kind := range o.lists {
		l := &o.lists[kind][order]
		if i := slices.Index(*l, pfn); i >= 0 {
			*l = slices.Delete(*l, i, i+1)
		}
	}
}

func (o *oracle) release(pfn uint64, order uint, tail bool) {
	for end := pfn + 1<<order; pfn < end; {
		size := min(uint64(1)<<order, o.pageblock)
		k := uint(0)
		for 1<<k < size {
			k++
		}
		o.mergePiece(pfn, k, tail)
		pfn += size
	}
}

func (o *oracle) mergePiece(pfn uint64, order uint, tail bool) {
	kind := o.kindOf(pfn)
	for ; order < buddy.MaxOrder && o.isFree(pfn^1<<order, order); order++ {
		other := pfn ^ 1<<order
		if k := o.kindOf(other); k != kind {
			if k == buddy.CMA || kind == buddy.CMA {
				break
			}
			o.setKind(other, order, kind)
		}
		o.drop(other, order)
		pfn = min(pfn, other)
	}
	pair := pfn &^ (1<<(order+1) - 1)
	if !tail && order+1 < buddy.MaxOrder {
		tail = o.isFree(pair^1<<(order+1), order+1)
	}
	if l := &o.lists[kind][order]; tail {
		*l = append(*l, pfn)
	} else {
		*l = slices.Insert(*l, 0, pfn)
	}
}

func (o *oracle) freePages() (all, cma uint64) {
	for kind := range o.lists {
		for order, l := range o.lists[kind] {
			all += uint64(len(l)) << order
			if buddy.Type(kind) == buddy.CMA {
				cma += uint64(len(l)) << order
			}
		}
	}
	return all, cma
}

// split takes the head of a list down to an order.
func (o *oracle) split(kind buddy.Type, from, order uint) uint64 {
	pfn := o.lists[kind][from][0]
	o.lists[kind][from] = o.lists[kind][from][1:]
	o.spread(pfn, kind, from, order)
	return pfn
}

func (o *oracle) spread(pfn uint64, kind buddy.Type, from, order uint) {
	for from > order {
		from--
		o.lists[kind][from] = slices.Insert(o.lists[kind][from], 0, pfn+1<<from)
	}
}

func (o *oracle) own(kind buddy.Type, order uint) (uint64, bool) {
	for from := order; from <= buddy.MaxOrder; from++ {
		if len(o.lists[kind][from]) > 0 {
			return o.split(kind, from, order), true
		}
	}
	return 0, false
}

func (o *oracle) source(kind buddy.Type, order uint) (buddy.Type, bool) {
	rank := map[buddy.Type][]buddy.Type{
		buddy.Unmovable:   {buddy.Reclaimable, buddy.Movable},
		buddy.Movable:     {buddy.Reclaimable, buddy.Unmovable},
		buddy.Reclaimable: {buddy.Unmovable, buddy.Movable},
	}
	for _, other := range rank[kind] {
		if len(o.lists[other][order]) > 0 {
			return other, true
		}
	}
	return 0, false
}

func (o *oracle) find(r buddy.Request) (uint64, bool) {
	movable := r.Type == buddy.Movable
	if all, cma := o.freePages(); movable && cma > all/2 {
		if pfn, ok := o.own(buddy.CMA, r.Order); ok {
			return pfn, true
		}
	}
	if o.mode == 0 {
		if pfn, ok := o.own(r.Type, r.Order); ok {
			return pfn, true
		}
	}
	if o.mode < 2 {
		if movable {
			if pfn, ok := o.own(buddy.CMA, r.Order); ok {
				o.mode = 1
				return pfn, true
			}
		}
		if pfn, ok := o.claim(r); ok {
			o.mode = 0
			return pfn, true
		}
	}
	if r.NoFragment {
		return 0, false
	}
	for order := r.Order; order <= buddy.MaxOrder; order++ {
		if other, ok := o.source(r.Type, order); ok {
			o.mode = 2
			return o.split(other, order, r.Order), true
		}
	}
	return 0, false
}

func (o *oracle) claim(r buddy.Request) (uint64, bool) {
	for order := uint(buddy.MaxOrder); int(order) >= int(r.Order); order-- {
		size := uint64(1) << order
		if r.NoFragment && size < o.pageblock {
			break
		}
		other, ok := o.source(r.Type, order)
		if !ok {
			if order == 0 {
				break
			}
			continue
		}
		if half := uint(len64(o.pageblock)-1) / 2; r.Type == buddy.Movable && order < half {
			break
		}
		head := o.lists[other][order][0]
		if size >= o.pageblock {
			o.lists[other][order] = o.lists[other][order][1:]
			o.setKind(head, order, r.Type)
			o.spread(head, r.Type, order, r.Order)
			return head, true
		}
		if o.claimPageblock(head/o.pageblock*o.pageblock, r.Type) {
			return o.own(r.Type, r.Order)
		}
		if order == 0 {
			break
		}
	}
	return 0, false
}

func len64(n uint64) int {
	k := 0
	for ; n > 0; n /= 2 {
		k++
	}
	return k
}

func (o *oracle) claimPageblock(at uint64, kind buddy.Type) bool {
	if at < o.lo || at+o.pageblock > o.hi {
		return false
	}
	var blocks []uint64
	orders := map[uint64]uint{}
	free, movable := uint64(0), uint64(0)
	for pfn := at; pfn < at+o.pageblock; pfn++ {
		for order := range uint(buddy.MaxOrder) {
			if o.isFree(pfn, order) {
				blocks = append(blocks, pfn)
				orders[pfn] = order
				free += 1 << order
			}
		}
		if r, ok := o.live[pfn]; ok && r.LRU {
			movable += 1 << r.Order
		}
	}
	alike := uint64(0)
	if kind == buddy.Movable {
		alike = movable
	} else if o.kindOf(at) == buddy.Movable {
		alike = o.pageblock - free - movable
	}
	if free+alike < o.pageblock/2 {
		return false
	}
	for _, pfn := range blocks {
		o.drop(pfn, orders[pfn])
		o.lists[kind][orders[pfn]] = append(o.lists[kind][orders[pfn]], pfn)
	}
	o.kinds[at] = kind
	return true
}

func (o *oracle) alloc(r buddy.Request, count int) (pfns []uint64) {
	o.mode = 0
	for range count {
		pfn, ok := o.find(r)
		if !ok {
			break
		}
		o.live[pfn] = r
		pfns = append(pfns, pfn)
	}
	return pfns
}

func (o *oracle) free(pfn uint64) {
	r := o.live[pfn]
	delete(o.live, pfn)
	o.release(pfn, r.Order, false)
}

func drawConfig(t *rapid.T) buddy.Config {
	cfg := buddy.Config{
		Base:           rapid.Uint64Range(0, 4096).Draw(t, "base"),
		Pages:          rapid.Uint64Range(1, 5000).Draw(t, "pages"),
		PageblockOrder: rapid.UintRange(4, buddy.MaxOrder).Draw(t, "pageblock"),
	}
	kind := rapid.SampledFrom([]buddy.Type{buddy.Unmovable, buddy.Movable, buddy.Movable, buddy.Reclaimable, buddy.CMA})
	n := int((cfg.Base+cfg.Pages-1)>>cfg.PageblockOrder-cfg.Base>>cfg.PageblockOrder) + 1
	cfg.Types = rapid.SliceOfN(kind, n, n).Draw(t, "types")
	return cfg
}

func drawRequest(t *rapid.T) buddy.Request {
	return buddy.Request{
		Order:      rapid.SampledFrom([]uint{0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}).Draw(t, "order"),
		Type:       rapid.SampledFrom([]buddy.Type{buddy.Unmovable, buddy.Movable, buddy.Reclaimable}).Draw(t, "type"),
		LRU:        rapid.Bool().Draw(t, "lru"),
		NoFragment: rapid.IntRange(0, 3).Draw(t, "nofrag") == 0,
	}
}

func TestSamePlacesAsTheOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		z, err := buddy.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		o := newOracle(cfg)
		var live []uint64
		t.Repeat(map[string]func(*rapid.T){
			"alloc": func(t *rapid.T) {
				r := drawRequest(t)
				want := o.alloc(r, 1)
				pfn, ok := z.Alloc(r)
				if ok != (len(want) == 1) || ok && pfn != want[0] {
					t.Fatalf("%+v: %#x %t, want %#x", r, pfn, ok, want)
				}
				live = append(live, want...)
			},
			"bulk": func(t *rapid.T) {
				r, n := drawRequest(t), rapid.IntRange(1, 200).Draw(t, "count")
				want := o.alloc(r, n)
				if got := z.AllocBulk(nil, r, n); !slices.Equal(got, want) {
					t.Fatalf("%d of %+v: %#x, want %#x", n, r, got, want)
				}
				live = append(live, want...)
			},
			"free": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "count") {
					if len(live) == 0 {
						return
					}
					i := rapid.IntRange(0, len(live)-1).Draw(t, "victim")
					o.free(live[i])
					if err := z.Free(live[i]); err != nil {
						t.Fatal(err)
					}
					live = slices.Delete(live, i, i+1)
				}
			},
			"": func(t *rapid.T) {
				all, cma := z.FreePages()
				if wantAll, wantCMA := o.freePages(); all != wantAll || cma != wantCMA {
					t.Fatalf("%d pages free, %d of them CMA, want %d, %d", all, cma, wantAll, wantCMA)
				}
				for kind := range o.lists {
					for order, want := range o.lists[kind] {
						if got := slices.Collect(z.Blocks(buddy.Type(kind), uint(order))); !slices.Equal(got, want) {
							t.Fatalf("%s blocks of order %d: %#x, want %#x", buddy.Type(kind), order, got, want)
						}
					}
				}
				for i, got := range z.PageblockTypes() {
					if want := o.kindOf(cfg.Base + uint64(i)<<cfg.PageblockOrder); got != want {
						t.Fatalf("pageblock %d is %s, want %s", i, got, want)
					}
				}
			},
		})
	})
}
