package machine

import (
	"fmt"
	"slices"
	"strings"
)

// pageTypes is what /proc/pagetypeinfo says.
type pageTypes struct {
	pagesPerBlock uint64
	zones         []zoneTypes
}

// zoneTypes are a zone's migrate types, in the kernel's order.
type zoneTypes struct {
	zone  zoneID
	types []MigrateType
}

// What the file's parts start with.
const (
	headBlockOrder = "Page block order:"
	headBlockPages = "Pages per block:"
	headFree       = "Free pages count per migrate type at order"
	headPageblocks = "Number of blocks type"
	headMixed      = "Number of mixed blocks type"
)

// parsePagetypeinfo reads the free blocks of each zone, migrate type and order,
// and the number of pageblocks of each type. All of it is there once for each
// node. The pageblocks that hold pages of other types, which only kernels with
// CONFIG_PAGE_OWNER count, are skipped.
// Source: mm/vmstat.c, pagetypeinfo_show, Linux 6.12. Since 5.4 the kernel stops
// counting a list at 100000 and says so with a >, and only root may read it.
func parsePagetypeinfo(f *file) (pageTypes, error) {
	r := pageTypesReader{file: f, index: map[zoneID]int{}, counted: map[zoneID]bool{}}
	for {
		more, err := f.next()
		if err != nil {
			return pageTypes{}, err
		}
		if !more {
			break
		}
		if err := r.line(f.text()); err != nil {
			return pageTypes{}, err
		}
	}
	for _, z := range r.zones {
		if !r.counted[z.zone] {
			return pageTypes{}, fmt.Errorf("%s: no number of pageblocks for %s", f.name, z.zone)
		}
	}
	if len(r.zones) > 0 && r.pagesPerBlock == 0 {
		return pageTypes{}, fmt.Errorf("%s: %q is missing", f.name, headBlockPages)
	}
	return r.pageTypes, nil
}

// pageTypesReader is what has been read so far.
type pageTypesReader struct {
	*file
	pageTypes
	index   map[zoneID]int // of zones
	counted map[zoneID]bool
	table   string   // the head of the table that lines belong to
	orders  int      // columns of the table of free blocks
	names   []string // of the columns of the table of pageblocks
}

func (r *pageTypesReader) line(text string) error {
	switch {
	case text == "":
	case strings.HasPrefix(text, headBlockOrder):
		order, err := r.only(40)
		if err != nil {
			return err
		}
		return r.setPagesPerBlock(1 << order)
	case strings.HasPrefix(text, headBlockPages):
		pages, err := r.only(1 << 40)
		if err != nil {
			return err
		}
		return r.setPagesPerBlock(pages)
	case strings.HasPrefix(text, headFree):
		r.table, r.orders = headFree, len(r.words)-len(strings.Fields(headFree))
	case strings.HasPrefix(text, headPageblocks):
		r.table, r.names = headPageblocks, strings.Fields(text[len(headPageblocks):])
	case strings.HasPrefix(text, headMixed):
		r.table = headMixed
	case !r.isZone():
		return r.errorf("neither a table's head nor a zone")
	case r.table == headFree:
		return r.addFree()
	case r.table == headPageblocks:
		return r.addPageblocks()
	case r.table == "":
		return r.errorf("a zone before any table's head")
	}
	return nil
}

// only reads the number behind three words.
func (r *pageTypesReader) only(limit uint64) (uint64, error) {
	if len(r.words) != 4 {
		return 0, r.errorf("want one number")
	}
	return r.number(r.words[3], limit)
}

func (r *pageTypesReader) setPagesPerBlock(pages uint64) error {
	if pages == 0 || r.pagesPerBlock != 0 && pages != r.pagesPerBlock {
		return r.errorf("%d pages in a pageblock where %d were said before", pages, r.pagesPerBlock)
	}
	r.pagesPerBlock = pages
	return nil
}

// addFree reads "Node 0, zone Normal, type Movable" and the free blocks of each
// order.
func (r *pageTypesReader) addFree() error {
	id, rest, err := r.zone()
	if err != nil {
		return err
	}
	if len(rest) < 2 || rest[0].text != "type" {
		return r.errorf(`want a line like "Node 0, zone Normal, type Movable" with counts`)
	}
	name, rest := rest[1].text, rest[2:]
	blocks, atLeast, err := r.blocks(rest)
	if err != nil {
		return err
	}
	if len(blocks) != r.orders {
		return r.errorf("%d counts in a table of %d orders", len(blocks), r.orders)
	}
	at, known := r.index[id]
	if !known {
		if at = len(r.zones); at == maxZones {
			return r.errorf("more than %d zones", maxZones)
		}
		r.index[id] = at
		r.zones = append(r.zones, zoneTypes{zone: id})
	}
	zone := &r.zones[at]
	switch {
	case len(zone.types) == maxTypes:
		return r.errorf("more than %d migrate types", maxTypes)
	case slices.ContainsFunc(zone.types, func(t MigrateType) bool { return t.Name == name }):
		return r.errorf("%s, type %s is given twice", id, name)
	case len(zone.types) > 0 && len(blocks) != len(zone.types[0].FreeBlocks):
		return r.errorf("%d orders where the zone has %d", len(blocks), len(zone.types[0].FreeBlocks))
	}
	zone.types = append(zone.types, MigrateType{Name: name, FreeBlocks: blocks, Capped: atLeast})
	return nil
}

// addPageblocks reads "Node 0, zone Normal" and the number of pageblocks of
// each type.
func (r *pageTypesReader) addPageblocks() error {
	id, rest, err := r.zone()
	if err != nil {
		return err
	}
	at, known := r.index[id]
	if !known {
		return r.errorf("%s has no free blocks above", id)
	}
	if r.counted[id] {
		return r.errorf("%s is given twice", id)
	}
	r.counted[id] = true
	types := r.zones[at].types
	if len(r.names) != len(types) || len(rest) != len(types) {
		return r.errorf("%d counts under %d names, where %s has %d migrate types", len(rest), len(r.names), id, len(types))
	}
	for i := range types {
		if r.names[i] != types[i].Name {
			return r.errorf("type %s in the place of %s", r.names[i], types[i].Name)
		}
		if types[i].Pageblocks, err = r.number(rest[i], maxPages); err != nil {
			return err
		}
	}
	return nil
}
