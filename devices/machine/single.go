package machine

import (
	"fmt"
	"io"
	"slices"
)

// Files are the names of the files of /proc that are read, of which ReadProc
// needs the first three.
var Files = []string{"meminfo", "zoneinfo", "buddyinfo", "pagetypeinfo", "iomem"}

// ReadFile reads one of the Files alone. The State has what that file says, and
// nothing else: no page size, and of zones their names with what the file tells
// of them.
func ReadFile(name string, r io.Reader) (*State, error) {
	f := newFile(name, r)
	s := &State{}
	var err error
	switch name {
	case "meminfo":
		s.Memory, err = parseMeminfo(f)
	case "iomem":
		s.RAM, err = parseIomem(f)
	case "zoneinfo":
		var info zoneinfo
		info, err = parseZoneinfo(f)
		for _, z := range info.zones {
			s.Zones = append(s.Zones, z.ZoneState)
		}
	case "buddyinfo":
		var zones []zoneBlocks
		zones, err = parseBuddyinfo(f)
		for _, z := range zones {
			s.Zones = append(s.Zones, ZoneState{Node: z.zone.node, Name: z.zone.name, FreeBlocks: z.blocks})
		}
	case "pagetypeinfo":
		var types pageTypes
		types, err = parsePagetypeinfo(f)
		s.PagesPerBlock = types.pagesPerBlock
		for _, z := range types.zones {
			zone := ZoneState{Node: z.zone.node, Name: z.zone.name, Types: z.types}
			for _, t := range z.types {
				if zone.FreeBlocks == nil {
					zone.FreeBlocks = make([]uint64, len(t.FreeBlocks))
				}
				for order, n := range t.FreeBlocks {
					zone.FreeBlocks[order] += n
				}
			}
			s.Zones = append(s.Zones, zone)
		}
	default:
		return nil, fmt.Errorf("%s: not a file of /proc that is read: want one of %v", name, Files)
	}
	if err != nil {
		return nil, failed(err)
	}
	return s, nil
}

// IsFile reports whether ReadFile knows a file of that name.
func IsFile(name string) bool { return slices.Contains(Files, name) }
