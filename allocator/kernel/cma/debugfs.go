package cma

import "slices"

// Debugfs is the pair of files "alloc" and "free" below
// /sys/kernel/debug/cma/<area> (mm/cma_debug.c), through which a root user
// drives an area without any hardware.
type Debugfs struct {
	area *Area
	held []Held // the last is the head of the kernel's list
}

// Held is one allocation that was made through the files.
type Held struct{ PFN, Count uint64 }

// NewDebugfs returns the files of an area.
func NewDebugfs(area *Area) *Debugfs { return &Debugfs{area: area} }

// Alloc is a write of count to the file "alloc": that many pages without
// alignment. The number is cut to an int, so one from 2^31 to 2^32-1 is negative
// and refused. The error is that of [Area.Alloc]; the writer sees ENOMEM for any.
func (d *Debugfs) Alloc(count uint64, migrate Migrate) error {
	pages := uint64(int32(count))
	pfn, err := d.area.Alloc(pages, 0, migrate)
	if err != nil {
		return err
	}
	d.held = append(d.held, Held{pfn, pages})
	return nil
}

// Free is a write of count to the file "free", which always succeeds. It gives
// back the latest allocations as long as they fit into count. Of the next one,
// the first pages are given back if the area has one page per bit; otherwise it
// is kept whole. The number is cut to an int and compared as if it were
// unsigned, so writing 4294967295 gives everything back.
func (d *Debugfs) Free(count uint64) {
	for remaining := int32(count); remaining != 0 && len(d.held) > 0; {
		last := len(d.held) - 1
		head := &d.held[last]
		switch {
		case head.Count <= uint64(remaining):
			remaining -= int32(head.Count)
			_ = d.area.Release(head.PFN, head.Count)
			d.held = d.held[:last]
		case d.area.order == 0:
			part := uint64(remaining)
			_ = d.area.Release(head.PFN, part)
			head.PFN += part
			head.Count -= part
			return
		default:
			return
		}
	}
}

// Held returns what is allocated through the files, the latest first.
func (d *Debugfs) Held() []Held {
	list := slices.Clone(d.held)
	slices.Reverse(list)
	return list
}
