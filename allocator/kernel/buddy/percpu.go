package buddy

const (
	lowOrders  = 4 // orders below this are cached (PAGE_ALLOC_COSTLY_ORDER + 1)
	hugeOrder  = 9 // and that of a huge page of 2 MiB (HPAGE_PMD_ORDER)
	cacheLists = lowOrders*int(CMA) + 2
)

// BatchScale is log2 of the batches that are exchanged with the zone at once at
// most (CONFIG_PCP_BATCH_SCALE_MAX).
const BatchScale = 5

// PerCPU are the lists of one CPU in front of a zone (struct per_cpu_pages).
// Several may share a zone. It is made by [NewPerCPU].
//
// There is a list for each of the orders 0 to 3 and each type, and two for
// order 9: one for movable blocks, one for others. What lies in CMA pageblocks
// is on the lists of the movable type.
type PerCPU struct {
	zone   *Zone
	limits Limits

	lists [cacheLists]list
	count int // pages on all lists
	high  int // pages above which the lists are trimmed

	// Frees without allocations between them make the lists give more back at
	// once, allocations without frees make them fetch more.
	allocFactor   int // log2 of the batches to fetch
	freeCount     int // pages freed lately
	freedLowOrder bool
}

// PerCPUState is a snapshot of a PerCPU.
type PerCPUState struct {
	Count, High, AllocFactor, FreeCount int
	// Blocks is the length of each list: order 0 unmovable, movable,
	// reclaimable, order 1 unmovable and so on to order 3, then order 9 not
	// movable and movable.
	Blocks [cacheLists]int
}

// NewPerCPU returns empty lists in front of a zone.
func NewPerCPU(zone *Zone, limits Limits) *PerCPU {
	p := &PerCPU{zone: zone, limits: limits}
	for i := range p.lists {
		p.lists[i] = emptyList
	}
	return p
}

// Assume makes empty lists those of a CPU that has been running: high pages, from
// which on they are trimmed, and 2^allocFactor batches to fetch.
func (p *PerCPU) Assume(high, allocFactor int) { p.high, p.allocFactor = high, allocFactor }

// State returns the current figures.
func (p *PerCPU) State() PerCPUState {
	s := PerCPUState{Count: p.count, High: p.high, AllocFactor: p.allocFactor, FreeCount: p.freeCount}
	for i, l := range p.lists {
		s.Blocks[i] = int(l.n)
	}
	return s
}

// Pages returns the number of pages on all lists.
func (p *PerCPU) Pages() uint64 { return uint64(p.count) }

// cacheable reports whether blocks of an order go through the lists
// (pcp_allowed_order).
func cacheable(order uint) bool { return order < lowOrders || order == hugeOrder }

// listOf returns the list for an order and a type (order_to_pindex).
func listOf(order uint, t Type) int {
	if order == hugeOrder {
		if t == Movable {
			return cacheLists - 1
		}
		return cacheLists - 2
	}
	return int(order)*int(CMA) + int(t)
}

// orderOf is the inverse of listOf (pindex_to_order).
func orderOf(index int) uint {
	if index >= cacheLists-2 {
		return hugeOrder
	}
	return uint(index / int(CMA))
}

// Alloc takes a block from the lists, or from the zone if its order is not
// cached (rmqueue). False means that neither the list for it nor the zone had
// one; other lists may hold pages.
func (p *PerCPU) Alloc(r Request) (pfn uint64, ok bool) {
	if !r.valid() || !cacheable(r.Order) {
		return p.zone.Alloc(r)
	}
	p.freeCount /= 2
	l := &p.lists[listOf(r.Order, r.Type)]
	if l.n == 0 {
		p.refill(l, r)
	}
	i := l.head
	if i == none {
		return 0, false
	}
	p.zone.remove(l, i)
	p.count -= 1 << r.Order
	p.zone.setLive(i, r)
	return p.zone.origin + uint64(i), true
}

// refill fetches blocks from the zone, in the order in which it gives them.
func (p *PerCPU) refill(l *list, r Request) {
	from := modeNormal
	for range p.refillBlocks(r.Order) {
		i, ok := p.zone.take(r, &from)
		if !ok {
			return
		}
		p.zone.page[i] = headCached | uint8(r.Order)
		p.zone.pushTail(l, i)
		p.count += 1 << r.Order
	}
}

// refillBlocks returns the number of blocks to fetch (nr_pcp_alloc).
func (p *PerCPU) refillBlocks(order uint) int {
	batch := p.limits.Batch
	p.high = p.clamp(p.high)
	if p.high < batch {
		return 1
	}
	n := batch
	if order == 0 {
		n <<= p.allocFactor
	}
	if p.limits.HighMin != p.limits.HighMax && !p.zone.BelowHigh {
		p.high = min(p.high+n, p.limits.HighMax)
	}
	if order == 0 {
		most := max(p.high-p.count-batch, batch)
		if n <= most && p.allocFactor < BatchScale {
			p.allocFactor++
		}
		n = min(n, most)
	}
	if n > 1 {
		n = max(n>>order, 2)
	}
	return n
}

func (p *PerCPU) clamp(high int) int {
	return min(max(high, p.limits.HighMin), p.limits.HighMax)
}

// Free puts the live block that begins at a page frame on its list, or gives it
// to the zone if its order is not cached (free_unref_page). The error is
// ErrNotAllocated, and nothing changed, if there is none.
func (p *PerCPU) Free(pfn uint64) error {
	i, order, err := p.zone.kill(pfn)
	if err != nil {
		return err
	}
	if !cacheable(order) || p.zone.isolated.holds(i) {
		p.zone.release(i, order, false)
		return nil
	}
	t := p.zone.blockType[i>>p.zone.pageblock]
	if t == CMA {
		t = Movable
	}
	index := listOf(order, t)
	p.zone.page[i] = headCached | uint8(order)
	p.zone.pushHead(&p.lists[index], i)
	p.count += 1 << order
	p.trim(index, order)
	return nil
}

// trim gives blocks back to the zone after one was freed
// (free_unref_page_commit).
func (p *PerCPU) trim(index int, order uint) {
	batch := p.limits.Batch
	p.allocFactor /= 2
	// Blocks of several pages are missed by others more than single pages, so a
	// run of frees of such blocks empties the lists.
	lowOrder := order > 0 && order < lowOrders
	flush := lowOrder && p.freedLowOrder && p.freeCount >= batch &&
		(!p.limits.LargeCache || p.count >= batch)
	p.freedLowOrder = lowOrder
	if p.freeCount < batch<<BatchScale {
		p.freeCount += 1 << order
	}

	high := p.trimAbove(flush)
	if p.count < high {
		return
	}
	n := 1
	switch {
	case flush:
		n = min(p.count, batch<<BatchScale)
	case high >= batch:
		n = min(max(p.freeCount, batch), high-batch)
	}
	p.giveBack(n, index)
}

// trimAbove returns the number of pages from which on the lists are trimmed, and
// adapts it for the next time (nr_pcp_high).
func (p *PerCPU) trimAbove(flush bool) int {
	batch, lowest := p.limits.Batch, p.limits.HighMin
	p.high = p.clamp(p.high)
	high := p.high
	recent := max(p.freeCount, batch)
	switch {
	case high == 0:
		return 0
	case flush:
		p.high = max(high-batch<<BatchScale, lowest)
		return 0
	case p.zone.Reclaiming:
		p.high = max(high-recent, lowest)
		return min(4*batch, p.high)
	case lowest == p.limits.HighMax:
		return high
	case p.zone.BelowHigh:
		p.high = max(high-recent, lowest)
		return max(p.count, lowest)
	}
	if need := p.freeCount + batch; p.count >= high && high < need {
		p.high = p.clamp(need)
	}
	return high
}

// giveBack gives at least n pages, or all, back to the zone: the oldest first of
// each list, from the given list on (free_pcppages_bulk).
func (p *PerCPU) giveBack(n, index int) {
	for n = min(n, p.count); n > 0; index = (index + 1) % cacheLists {
		l := &p.lists[index]
		order := orderOf(index)
		for n > 0 && l.n > 0 {
			i := l.tail
			p.zone.remove(l, i)
			p.count -= 1 << order
			n -= 1 << order
			p.zone.release(i, order, false)
		}
	}
}

// Drain gives all pages back to the zone (drain_pages_zone), as the kernel does
// when it is short of memory or needs a range of CMA pages.
func (p *PerCPU) Drain() { p.giveBack(p.count, 0) }

// Decay gives back what was not used for some time. The kernel does so once a
// second (decay_pcp_high, from the worker of the statistics).
func (p *PerCPU) Decay() {
	batch := p.limits.Batch
	if p.high > p.limits.HighMin {
		p.high = max(p.count-batch<<BatchScale, p.high-p.high/8, p.limits.HighMin)
	}
	for surplus := p.count - p.high; surplus > 0; surplus -= batch {
		p.giveBack(min(surplus, batch), 0)
	}
}
