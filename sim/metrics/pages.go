package metrics

import (
	"math/bits"
	"time"

	"dmasim/allocator/kernel/buddy"
	"dmasim/allocator/ledger"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/physmem"
)

// newPageMeter makes the meter of a heap that takes pages. What devices reach of
// it is not sampled: its memory is all of RAM.
func newPageMeter(cfg sim.Config, i int, s *sim.Simulation) *heapMeter {
	m := &heapMeter{
		pages: s.Pages()[i], memory: s.Memory(),
		unusableSize: cfg.Heaps[i].UnusableSize, demand: make([]int, len(cfg.Clients)),
	}
	if m.unusableSize == 0 {
		m.unusableSize = m.memory.PageSize() << 8 // the largest block that the system heap takes
	}
	for client := range m.demand {
		m.demand[client] = -1
	}
	m.ram = memoryOf(cfg)
	if m.pages.IsCMA() {
		m.ram = mem.NewRangeSet(cfg.Machine.CMA[m.pages.Area].Range)
	}
	m.pixels = newPixels(m.ram, m.memory.PageSize(), len(cfg.Clients))
	m.clientOf = s.ClientOf
	return m
}

// memoryOf returns the memory of the machine's zones.
func memoryOf(cfg sim.Config) mem.RangeSet {
	var all mem.RangeSet
	for _, z := range cfg.Machine.Zones {
		all = all.Union(z.Ranges)
	}
	return all
}

// usage returns what the live buffers of the heap hold.
func (m *heapMeter) usage() ledger.Usage {
	if m.pages != nil {
		return m.pages.Usage()
	}
	return m.heap.Ledger.Usage()
}

// arena returns the memory that the heap hands out.
func (m *heapMeter) arena() mem.RangeSet {
	if m.pages != nil {
		return m.ram
	}
	return m.heap.Arena
}

// freeBlocks returns the free blocks of all zones, by order.
func freeBlocks(m *physmem.Memory) FreeBlocks {
	blocks := make(FreeBlocks, physmem.NumOrders)
	for zone := range m.NumZones() {
		for t := buddy.Unmovable; t <= buddy.CMA; t++ {
			for order, n := range m.FreeBlocks(zone, t) {
				blocks[order] += n
			}
		}
	}
	return blocks
}

// samplePages is the state of a heap that takes pages: what it has, and what is
// free on the lists of the page allocator, where holes are free blocks. Of a CMA
// heap it is what its area has left.
func (m *heapMeter) samplePages(at time.Duration, number int) Sample {
	usage := m.usage()
	s := Sample{
		At: at, Heap: number, Requested: usage.Requested, Reserved: usage.Reserved,
		Peak: max(m.peak, usage.Reserved), Blocks: usage.Blocks, Failures: m.failures,
	}
	m.peak = usage.Reserved
	page := m.memory.PageSize()
	if m.pages.IsCMA() {
		area := m.memory.Area(m.pages.Area)
		s.Free, s.Largest = (area.Pages.Size()-area.Used)*page, area.LargestFree*page
		return s
	}
	blocks := freeBlocks(m.memory)
	for order, n := range blocks {
		s.Holes += int(n)
		s.Free += n * page << order
		if n > 0 {
			s.Largest = page << order
		}
	}
	s.Unusable = float64(blocks.UnusableFreeIndex(m.unusableOrder())) / 1000
	return s
}

// unusableOrder is the order of the blocks that the unusable index is about.
func (m *heapMeter) unusableOrder() int {
	return min(bits.Len64((m.unusableSize-1)/m.memory.PageSize()), physmem.NumOrders-1)
}

func (m *heapMeter) pageTotals(t *HeapTotals) {
	t.Capacity = mem.Size(m.memory.Counters().Managed * m.memory.PageSize())
	if m.pages.IsCMA() {
		t.Capacity = mem.Size(m.memory.Area(m.pages.Area).Pages.Size() * m.memory.PageSize())
	}
	t.DeviceFile = m.pages.DeviceFile()
	reserved, requested := m.pages.Peaks()
	t.PeakReserved, t.PeakRequested = mem.Size(reserved), mem.Size(requested)
	taken := m.pages.Taken()
	t.BlocksByOrder = taken[:]
	t.Fallbacks = m.pages.Fallbacks()
}

// framesPerRow bounds the page frames that are looked at for a row of the map.
const framesPerRow = 64

// paint appends a column to the map of a heap that takes pages: who has the page
// frames of dma-bufs, by a number of frames of each row that lie equally far
// apart.
func (m *heapMeter) paint() {
	p := &m.pixels
	page := m.memory.PageSize()
	for row := range p.rows {
		bounds := p.bounds(row)
		frames := bounds.Size() / page
		n := min(frames, framesPerRow)
		cell, most, used := Cell{Client: -1}, uint64(0), uint64(0)
		for i := range n {
			kind, owner := m.memory.At(bounds.Lo/page + frames*i/n)
			if kind != physmem.DMABuf {
				continue
			}
			client := m.clientOf(owner)
			if client < 0 {
				continue
			}
			used++
			if p.bytes[client]++; p.bytes[client] > most {
				most = p.bytes[client]
				cell.Client = int16(client)
			}
		}
		if used > 0 {
			cell.Fill = uint8(max(1, used*255/n))
		}
		p.cells = append(p.cells, cell)
		clear(p.bytes)
	}
}

// sampleMemory is what RAM holds.
func (c *Collector) sampleMemory(at time.Duration) MemorySample {
	counters := c.ram.Counters()
	page := c.ram.PageSize()
	var kept uint64
	for _, m := range c.heaps {
		if m.pages != nil {
			kept += m.pages.Kept()
		}
	}
	s := MemorySample{
		At: at, Kernel: counters.Kernel * page, DMABuf: counters.DMABuf*page - kept, Anonymous: counters.Anonymous * page,
		PageCache: counters.PageCache * page, Cached: counters.PerCPU*page + kept,
		Free: counters.Free * page, FreeCMA: counters.FreeCMA * page, Swapped: counters.SwapUsed * page,
		Unusable: float64(freeBlocks(c.ram).UnusableFreeIndex(8)) / 1000,
	}
	c.noteMemory(counters)
	return s
}

// noteMemory keeps the extremes.
func (c *Collector) noteMemory(counters physmem.Counters) {
	page := c.ram.PageSize()
	t := c.memory
	free := mem.Size((counters.Free + counters.PerCPU) * page)
	if t.Capacity == 0 {
		t.Capacity, t.LeastFree = mem.Size(counters.Managed*page), free
	}
	t.PeakDMABuf = max(t.PeakDMABuf, mem.Size(counters.DMABuf*page))
	t.LeastFree = min(t.LeastFree, free)
	t.MostSwap = max(t.MostSwap, mem.Size(counters.SwapUsed*page))
}

// memoryTotals returns the totals of RAM, nil without a machine.
func (c *Collector) memoryTotals() *MemoryTotals {
	if c.ram == nil {
		return nil
	}
	counters := c.ram.Counters()
	page := c.ram.PageSize()
	c.noteMemory(counters)
	c.memory.Reclaimed = mem.Size(counters.Reclaimed * page)
	c.memory.SwappedOut = mem.Size(counters.SwappedOut * page)
	c.memory.Migrated = mem.Size(counters.Migrated * page)
	return c.memory
}
