package machine

import (
	"fmt"
	"math/bits"

	"dmasim/mem"
)

// Page sizes of the architectures that Linux runs on.
const (
	minPage = 4 * mem.KiB
	maxPage = 256 * mem.KiB
)

// pageSize returns the power of two next to the bytes that meminfo counts for
// each page that zoneinfo counts on the same lists, which differ by what
// happened between reading the two; where nothing is on any list, for each page
// that is managed.
func pageSize(m Meminfo, info zoneinfo) (mem.Size, error) {
	bytes, pages := m.Active+m.Inactive+m.Unevictable, info.listed()
	if bytes == 0 || pages == 0 {
		bytes, pages = m.MemTotal, 0
		for _, z := range info.zones {
			pages += z.Managed
		}
	}
	if pages == 0 {
		return 0, fmt.Errorf("zoneinfo: no page is managed")
	}
	ratio := uint64(bytes) / pages
	size := mem.Size(1)
	if ratio > 0 {
		size <<= bits.Len64(ratio) - 1
		// Up from the geometric mean of size and 2·size: 1.41421 of size.
		if ratio-uint64(size) > uint64(size)*41421/100000 {
			size <<= 1
		}
	}
	if size < minPage || size > maxPage {
		return 0, fmt.Errorf("meminfo and zoneinfo: %d bytes a page is no page size: the files are not of one machine", ratio)
	}
	return size, nil
}

// listed returns the pages on the lists of all nodes, or of all zones where
// nodes have none.
func (info zoneinfo) listed() uint64 {
	var pages uint64
	if len(info.nodes) > 0 {
		for _, n := range info.nodes {
			pages += n.listed
		}
		return pages
	}
	for _, z := range info.zones {
		pages += z.listed()
	}
	return pages
}

func (z *ZoneState) listed() uint64 {
	return z.Pages.Anonymous + z.Pages.PageCache + z.Pages.Unevictable
}

// freePages returns how many pages the free blocks have.
func freePages(blocks []uint64) uint64 {
	var pages uint64
	for order, n := range blocks {
		pages += n << order
	}
	return pages
}

// check warns of what the files disagree about. Between reading two of them a
// machine goes on: its CPUs move pages between their own lists and the zone's,
// at most as many as these hold, and add to the zone's counters late. Larger
// differences are told.
func (s *State) check(info zoneinfo) {
	var drift, managed, free, present uint64
	for i := range s.Zones {
		z := &s.Zones[i]
		s.checkZone(z, info.zones[i].drift)
		drift += info.zones[i].drift
		managed += z.Managed
		free += z.Pages.Free
		present += z.Present
	}
	s.compareBytes("MemTotal", s.Memory.MemTotal, managed, "managed", 0)
	s.compareBytes("MemFree", s.Memory.MemFree, free, "free", drift)
	if ram := uint64(s.RAM.Size() / uint64(s.PageSize)); s.RAM != nil && present > ram {
		s.warn("iomem has %d pages of RAM, zoneinfo %d present", ram, present)
	}
	for _, n := range info.nodes {
		var zones, drift uint64
		for i, z := range s.Zones {
			if z.Node == n.node {
				zones += z.listed()
				drift += info.zones[i].drift
			}
		}
		if apart(zones, n.listed) > drift {
			s.warn("node %d: zoneinfo has %d pages on the lists of the node and %d on those of its zones", n.node, n.listed, zones)
		}
	}
}

func (s *State) checkZone(z *ZoneState, drift uint64) {
	if free := freePages(z.FreeBlocks); apart(free, z.Pages.Free) > drift {
		s.warn("%s: buddyinfo has %d free pages, zoneinfo %d", z.id(), free, z.Pages.Free)
	}
	if z.Types == nil {
		return
	}
	var typed, blocks uint64
	capped := false
	for _, t := range z.Types {
		typed += freePages(t.FreeBlocks)
		blocks += t.Pageblocks
		capped = capped || len(t.Capped) > 0
	}
	free := freePages(z.FreeBlocks)
	if apart(free, typed) > drift && !(capped && typed < free) {
		s.warn("%s: buddyinfo has %d free pages, pagetypeinfo %d", z.id(), free, typed)
	}
	first := uint64(z.Start) / s.PagesPerBlock
	last := (uint64(z.Start) + z.Spanned - 1) / s.PagesPerBlock
	if blocks > last-first+1 {
		s.warn("%s: pagetypeinfo has %d pageblocks in a zone that spans %d", z.id(), blocks, last-first+1)
	}
}

// compareBytes compares a figure of meminfo with pages.
func (s *State) compareBytes(name string, bytes mem.Size, pages uint64, what string, drift uint64) {
	if in := uint64(bytes / s.PageSize); apart(in, pages) > drift {
		s.warn("meminfo has %s of %d pages, zoneinfo %d %s", name, in, pages, what)
	}
}

func apart(a, b uint64) uint64 { return max(a, b) - min(a, b) }
