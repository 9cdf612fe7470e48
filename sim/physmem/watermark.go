package physmem

import "math"

// watermark is a number of free pages at which something happens: below min
// only the kernel's urgent requests are served, below low reclaim starts, at
// high it ends.
type watermark uint8

const (
	minimum watermark = iota
	low
	high
	watermarks
)

// lowmemReserveRatio is the part of the zones above, as a divisor, that each
// zone keeps from requests which could have used those (vm.lowmem_reserve_ratio).
var lowmemReserveRatio = [...]uint64{classDMA: 256, classDMA32: 256, classNormal: 32, classHighMem: 0, classMovable: 0}

// minFreeKiB returns the kernel's default of min_free_kbytes for zones of the
// classes DMA to Normal that hold lowmem KiB together
// (calculate_min_free_kbytes).
func minFreeKiB(lowmem uint64) uint64 {
	root := uint64(math.Sqrt(float64(lowmem * 16)))
	for root*root > lowmem*16 {
		root--
	}
	return min(max(root, 128), 262144)
}

// setWatermarks computes the watermarks and reserves of all zones
// (__setup_per_zone_wmarks, setup_per_zone_lowmem_reserve).
func (m *Memory) setWatermarks(cfg Config) {
	lowmem := uint64(0)
	for _, z := range m.zones {
		if z.class <= classNormal {
			lowmem += z.managed
		}
	}
	minFree := cfg.MinFree
	if minFree == 0 {
		minFree = minFreeKiB(lowmem*(m.page>>10)) << 10
	}
	scale := cfg.WatermarkScale
	if scale == 0 {
		scale = 10
	}
	m.minFree = minFree
	for i := range m.zones {
		z := &m.zones[i]
		share := minFree / m.page
		if z.class > classNormal {
			// The kernel's data are not there; a little is kept all the same.
			share = share * z.managed / max(lowmem, 1)
			z.mark[minimum] = min(max(z.managed/1024, 32), 128)
		} else {
			share = share * z.managed / lowmem
			z.mark[minimum] = share
		}
		step := max(share/4, z.managed*scale/10000)
		z.mark[low] = z.mark[minimum] + step
		z.mark[high] = z.mark[low] + step

		z.reserve = make([]uint64, len(m.zones))
		above := uint64(0)
		for j := i + 1; j < len(m.zones); j++ {
			above += m.zones[j].managed
			if ratio := lowmemReserveRatio[z.class]; ratio != 0 {
				z.reserve[j] = above / ratio
			}
		}
	}
}

// passes reports whether the zone has enough free pages for a request above a
// watermark, and a block for it (__zone_watermark_ok).
func (z *zone) passes(r *request, mark watermark) bool {
	free, inCMA := z.buddy.FreePages()
	if !r.movable {
		free -= inCMA
	}
	if free < 1<<r.order || free-(1<<r.order-1) <= z.mark[mark]+z.reserve[r.highest] {
		return false
	}
	return r.order == 0 || z.buddy.Suitable(r.order, r.movable)
}
