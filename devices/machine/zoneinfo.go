package machine

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"dmasim/mem"
)

// zoneFigures is what /proc/zoneinfo says of a zone that has memory, and how
// far its counters may be from the truth.
type zoneFigures struct {
	ZoneState
	// drift is in pages: what may go between the free lists and the per-CPU
	// lists at any time, and what CPUs have counted but not yet added to the
	// zone's counters.
	drift uint64
}

// nodeFigures is what it says of a node.
type nodeFigures struct {
	node   int
	listed uint64 // pages on the node's lists
}

type zoneinfo struct {
	zones []zoneFigures
	nodes []nodeFigures // none where the kernel counts for each zone only
}

// Parts of the text about a zone.
type zonePart int

const (
	noPart   zonePart = iota
	nodePart          // "per-node stats", before a node's first zone with memory
	pagePart          // from "pages free"
	cpuPart           // from "pagesets"
)

// parseZoneinfo reads every zone that has memory. It knows the names of the
// lists from Linux 4.8 (nr_zone_inactive_anon …) and from before
// (nr_inactive_anon …), and skips what it has no use for.
// Source: mm/vmstat.c, zoneinfo_show_print, Linux 6.12.
func parseZoneinfo(f *file) (zoneinfo, error) {
	var info zoneinfo
	seen := map[zoneID]bool{}
	var zone *zoneText
	finish := func() error {
		if zone == nil {
			return nil
		}
		return zone.addTo(&info)
	}
	for {
		more, err := f.next()
		if err != nil {
			return zoneinfo{}, err
		}
		if !more {
			break
		}
		if len(f.words) == 0 {
			continue
		}
		if f.isZone() {
			if err := finish(); err != nil {
				return zoneinfo{}, err
			}
			id, rest, err := f.zone()
			if err != nil {
				return zoneinfo{}, err
			}
			if len(rest) > 0 {
				return zoneinfo{}, f.errorAt(rest[0], "%q behind the name of a zone", rest[0].text)
			}
			if seen[id] {
				return zoneinfo{}, f.errorf("%s is given twice", id)
			}
			if len(seen) == maxZones {
				return zoneinfo{}, f.errorf("more than %d zones", maxZones)
			}
			seen[id] = true
			zone = &zoneText{file: f.name, line: f.line, id: id, figures: map[string]uint64{}, node: map[string]uint64{}}
			continue
		}
		if zone == nil {
			return zoneinfo{}, f.errorf(`want a line like "Node 0, zone Normal" first`)
		}
		if err := zone.read(f); err != nil {
			return zoneinfo{}, err
		}
	}
	if err := finish(); err != nil {
		return zoneinfo{}, err
	}
	if len(info.zones) == 0 {
		return zoneinfo{}, fmt.Errorf("%s: no zone has memory", f.name)
	}
	return info, nil
}

// zoneText is what has been read about a zone.
type zoneText struct {
	file          string
	line          int // of its name
	id            zoneID
	part          zonePart
	hasNode       bool
	node, figures map[string]uint64
	protection    []uint64
	perCPU, drift uint64
}

// The figures about pages that are wanted, by their names since Linux 4.8.
var pageFigures = map[string]bool{
	"boost": true, "min": true, "low": true, "high": true,
	"spanned": true, "present": true, "managed": true, "cma": true,
	"nr_free_cma":           true,
	"nr_zone_inactive_anon": true, "nr_zone_active_anon": true,
	"nr_zone_inactive_file": true, "nr_zone_active_file": true,
	"nr_zone_unevictable": true,
}

// lists are the page lists of a node.
var lists = []string{"inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable"}

func (z *zoneText) read(f *file) error {
	w := f.words
	switch text := w[0].text; {
	case text == "per-node":
		z.part, z.hasNode = nodePart, true
		return nil
	case text == "pages" && len(w) == 3 && w[1].text == "free":
		z.part = pagePart
		return z.set(f, z.figures, "free", w[2])
	case text == "pagesets":
		z.part = cpuPart
		return nil
	case text == "protection:":
		return z.readProtection(f)
	case text == "start_pfn:" && len(w) == 2:
		return z.set(f, z.figures, "start_pfn", w[1])
	}
	if len(w) < 2 {
		return nil
	}
	value := w[len(w)-1]
	switch z.part {
	case nodePart:
		if name, found := strings.CutPrefix(w[0].text, "nr_"); found && slices.Contains(lists, name) {
			return z.set(f, z.node, name, value)
		}
	case pagePart:
		name := w[0].text
		if old, found := strings.CutPrefix(name, "nr_"); found && slices.Contains(lists, old) {
			name = "nr_zone_" + old
		}
		if pageFigures[name] {
			return z.set(f, z.figures, name, value)
		}
	case cpuPart:
		return z.readCPU(f, value)
	}
	return nil
}

func (z *zoneText) set(f *file, figures map[string]uint64, name string, value word) error {
	if _, twice := figures[name]; twice {
		return f.errorf("%s is given twice for %s", name, z.id)
	}
	n, err := f.number(value, maxPages)
	figures[name] = n
	return err
}

// readCPU adds the pages in one CPU's lists, or how much it may have counted
// for itself.
func (z *zoneText) readCPU(f *file, value word) error {
	threshold := strings.HasPrefix(f.text(), "vm stats threshold:")
	if !threshold && f.words[0].text != "count:" {
		return nil
	}
	n, err := f.number(value, maxPages)
	if err != nil {
		return err
	}
	if !threshold {
		z.perCPU += n
	}
	if z.drift += n; z.drift > maxPages {
		return f.errorf("more pages in per-CPU lists than any machine has")
	}
	return nil
}

// readProtection reads "protection: (0, 2959, 15958)".
func (z *zoneText) readProtection(f *file) error {
	if z.protection != nil {
		return f.errorf("protection is given twice for %s", z.id)
	}
	if len(f.words)-1 > maxTypes {
		return f.errorf("protection from more than %d zones", maxTypes)
	}
	z.protection = []uint64{}
	for _, w := range f.words[1:] {
		bare := strings.TrimPrefix(w.text, "(")
		w.column += len(w.text) - len(bare)
		w.text = strings.TrimRight(bare, "),")
		n, err := f.number(w, math.MaxInt64)
		if err != nil {
			return err
		}
		z.protection = append(z.protection, n)
	}
	return nil
}

// addTo checks what was read and adds it, unless the zone has no memory: the
// kernel lists such zones since 4.12, without most of the figures.
func (z *zoneText) addTo(info *zoneinfo) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s:%d: %s "+format, append([]any{z.file, z.line, z.id}, args...)...)
	}
	if z.hasNode {
		node := nodeFigures{node: z.id.node}
		for _, list := range lists {
			node.listed += z.node[list]
		}
		info.nodes = append(info.nodes, node)
	}
	present, found := z.figures["present"]
	if !found {
		return wrong("does not say how many pages are present")
	}
	if present == 0 {
		return nil
	}
	for _, name := range []string{"free", "min", "low", "high", "spanned", "managed", "start_pfn"} {
		if _, found := z.figures[name]; !found {
			return wrong("lacks %s", name)
		}
	}
	state := ZoneState{
		Node: z.id.node, Name: z.id.name,
		Start:   mem.PFN(z.figures["start_pfn"]),
		Spanned: z.figures["spanned"], Present: present, Managed: z.figures["managed"],
		CMA:   z.figures["cma"],
		Boost: z.figures["boost"], Min: z.figures["min"], Low: z.figures["low"], High: z.figures["high"],
		Protection: z.protection,
		Pages: Pages{
			Free: z.figures["free"], FreeCMA: z.figures["nr_free_cma"],
			PerCPU:      z.perCPU,
			Anonymous:   z.figures["nr_zone_inactive_anon"] + z.figures["nr_zone_active_anon"],
			PageCache:   z.figures["nr_zone_inactive_file"] + z.figures["nr_zone_active_file"],
			Unevictable: z.figures["nr_zone_unevictable"],
		},
	}
	switch {
	case state.Present > state.Spanned:
		return wrong("has %d pages present of %d spanned", state.Present, state.Spanned)
	case state.Managed > state.Present:
		return wrong("has %d pages managed of %d present", state.Managed, state.Present)
	}
	info.zones = append(info.zones, zoneFigures{state, z.drift})
	return nil
}
