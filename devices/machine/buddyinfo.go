package machine

// zoneBlocks are a zone's free blocks of each order.
type zoneBlocks struct {
	zone   zoneID
	blocks []uint64
}

// parseBuddyinfo reads one line for each zone that has memory.
// Source: mm/vmstat.c, frag_show_print, unchanged since Linux 2.6.12 but for
// the number of orders.
func parseBuddyinfo(f *file) ([]zoneBlocks, error) {
	var zones []zoneBlocks
	for {
		more, err := f.next()
		if err != nil || !more {
			return zones, err
		}
		if len(f.words) == 0 {
			continue
		}
		if len(zones) == maxZones {
			return nil, f.errorf("more than %d zones", maxZones)
		}
		zone, rest, err := f.zone()
		if err != nil {
			return nil, err
		}
		blocks, atLeast, err := f.blocks(rest)
		if err != nil {
			return nil, err
		}
		if len(atLeast) > 0 {
			return nil, f.errorAt(rest[atLeast[0]], "%q is not a number", rest[atLeast[0]].text)
		}
		if len(zones) > 0 && len(blocks) != len(zones[0].blocks) {
			return nil, f.errorf("%d orders where the first zone has %d", len(blocks), len(zones[0].blocks))
		}
		zones = append(zones, zoneBlocks{zone, blocks})
	}
}
