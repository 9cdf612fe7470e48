package buddy

import "math/bits"

// Sizing is what the kernel sizes the per-CPU lists of a zone by.
type Sizing struct {
	PageSize     uint64 // bytes; 0 means 4096
	Managed      uint64 // pages of the zone that the allocator manages
	LowWatermark uint64 // pages
	CPUs         uint64 // that share the zone; 0 means 1
	// HighFraction, where not 0, fixes the length of the lists at that fraction
	// of the zone (percpu_pagelist_high_fraction).
	HighFraction uint64
	// LargeCache says that the CPU's share of the last cache holds more than
	// three batches of pages: freed blocks then wait there for another CPU
	// (PCPF_FREE_HIGH_BATCH).
	LargeCache bool
}

// Limits bound the per-CPU lists; all are numbers of pages.
type Limits struct {
	Batch            int // for one exchange with the zone
	HighMin, HighMax int // for what the lists hold before they are trimmed
	LargeCache       bool
}

// Limits returns the limits that the kernel computes (zone_batchsize,
// zone_highsize, zone_set_pageset_high_and_batch).
func (s Sizing) Limits() Limits {
	pageSize := s.PageSize
	if pageSize == 0 {
		pageSize = 4096
	}
	cpus := max(s.CPUs, 1)
	base := max(min(s.Managed/1024, 1<<20/pageSize)/4, 1)
	batch := max(uint64(1)<<(bits.Len64(base+base/2)-1)-1, 1)
	length := func(pages uint64) int { return int(min(max(pages/cpus, 4*batch), MaxPages)) }
	l := Limits{Batch: int(batch), LargeCache: s.LargeCache}
	if s.HighFraction != 0 {
		l.HighMin = length(s.Managed / s.HighFraction)
		l.HighMax = l.HighMin
		return l
	}
	l.HighMin, l.HighMax = length(s.LowWatermark), length(s.Managed/8)
	return l
}
