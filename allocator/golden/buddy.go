package golden

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"dmasim/allocator/kernel/buddy"
)

// buddyModel replays recordings of mm/page_alloc.c, in pages.
type buddyModel struct {
	zone *buddy.Zone
	// cache are the per-CPU lists; nil where the recording is of the zone alone.
	cache *buddy.PerCPU
	live  map[uint64]uint64 // page frame by ID
}

func newBuddy(h Header) (Model, error) {
	base, err := h.Uint("base", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	size, err := h.trackedSize(1)
	if err != nil {
		return nil, err
	}
	if maxOrder, err := h.Uint("max_order", 63); err != nil {
		return nil, err
	} else if maxOrder != buddy.MaxOrder {
		return nil, ErrNotModelled
	}
	pageblock, err := h.Uint("pageblock_order", buddy.MaxOrder)
	if err != nil {
		return nil, err
	}
	cfg := buddy.Config{Base: base, Pages: size, PageblockOrder: uint(pageblock)}
	if h.Has("pageblock_types") {
		if cfg.Types, err = pageblockTypes(h); err != nil {
			return nil, err
		}
	}
	m := &buddyModel{live: map[uint64]uint64{}}
	if m.zone, err = buddy.New(cfg); err != nil {
		return nil, err
	}
	if h.Has("pcp") {
		m.cache, err = newPerCPU(h, m.zone)
	}
	return m, err
}

// typeLetters are the migrate types as the recordings write them.
const typeLetters = "UMRC"

func pageblockTypes(h Header) ([]buddy.Type, error) {
	letters, err := h.Text("pageblock_types")
	if err != nil {
		return nil, err
	}
	var list []buddy.Type
	for _, letter := range letters {
		t := strings.IndexRune(typeLetters, letter)
		if t < 0 {
			return nil, h.Bad("pageblock_types", fmt.Errorf("%q: want letters of %s", letter, typeLetters))
		}
		list = append(list, buddy.Type(t))
	}
	return list, nil
}

// newPerCPU makes per-CPU lists of the size that the model computes, and holds
// it against the one that the kernel did.
func newPerCPU(h Header, zone *buddy.Zone) (*buddy.PerCPU, error) {
	var sizing buddy.Sizing
	for _, field := range []struct {
		key   string
		value *uint64
	}{
		{"managed", &sizing.Managed},
		{"low_watermark", &sizing.LowWatermark},
		{"high_fraction", &sizing.HighFraction},
	} {
		n, err := h.Uint(field.key, math.MaxUint64)
		if err != nil {
			return nil, err
		}
		*field.value = n
	}
	recorded, err := h.Text("pcp")
	if err != nil {
		return nil, err
	}
	limits := sizing.Limits()
	model := fmt.Sprintf("batch:%d;high_min:%d;high_max:%d;scale:%d", limits.Batch, limits.HighMin, limits.HighMax, buddy.BatchScale)
	if model != recorded {
		return nil, h.Bad("pcp", fmt.Errorf("the model computes %s", model))
	}
	return buddy.NewPerCPU(zone, limits), nil
}

func (m *buddyModel) Do(row Row) (string, error) {
	switch row.Op {
	case Alloc:
		return m.alloc(row)
	case Bulk:
		return m.bulk(row)
	case Free:
		return m.free(row), nil
	case State:
		return m.state(), nil
	}
	if m.cache == nil {
		return "", errNoSuchOp
	}
	switch row.Op {
	case PCP:
		return m.cacheState(), nil
	case Drain:
		m.cache.Drain()
		return "ok", nil
	case Decay:
		m.cache.Decay()
		return "ok", nil
	}
	return "", errNoSuchOp
}

func (m *buddyModel) alloc(row Row) (string, error) {
	r, err := pageRequest(row)
	if err != nil {
		return "", err
	}
	alloc := m.zone.Alloc
	if m.cache != nil {
		alloc = m.cache.Alloc
	}
	pfn, ok := alloc(r)
	if !ok {
		return "ENOMEM", nil
	}
	m.live[row.ID] = pfn
	return address(pfn), nil
}

func (m *buddyModel) bulk(row Row) (string, error) {
	r, err := pageRequest(row)
	if err != nil {
		return "", err
	}
	count, err := row.Flags.Uint("count", 0)
	if err != nil {
		return "", err
	}
	pfns := m.zone.AllocBulk(nil, r, int(min(count, maxBulk)))
	places := make([]string, len(pfns))
	for i, pfn := range pfns {
		m.live[row.ID+uint64(i)] = pfn
		places[i] = address(pfn)
	}
	return strings.Join(places, ";"), nil
}

// pageRequest returns what a row asks for: movable pages, where it says
// nothing.
func pageRequest(row Row) (buddy.Request, error) {
	pages := row.Size.Or(0)
	if bits.OnesCount64(pages) != 1 || pages > 1<<buddy.MaxOrder {
		return buddy.Request{}, fmt.Errorf("size %d: want a power of two up to %d pages", pages, 1<<buddy.MaxOrder)
	}
	r := buddy.Request{Order: uint(bits.TrailingZeros64(pages)), Type: buddy.Movable}
	for token := range row.Flags.All() {
		switch token {
		case "unmovable":
			r.Type = buddy.Unmovable
		case "movable":
			r.Type = buddy.Movable
		case "reclaimable":
			r.Type = buddy.Reclaimable
		case "lru":
			r.LRU = true
		case "nofrag":
			r.NoFragment = true
		default:
			if row.Op != Bulk || !strings.HasPrefix(token, "count=") {
				return buddy.Request{}, fmt.Errorf("flag %q: unknown", token)
			}
		}
	}
	return r, nil
}

func (m *buddyModel) free(row Row) string {
	pfn, ok := m.live[row.ID]
	delete(m.live, row.ID)
	free := m.zone.Free
	if m.cache != nil {
		free = m.cache.Free
	}
	if !ok || free(pfn) != nil {
		return NotLive
	}
	return "ok"
}

// state returns "U:n0.n1…;M:…;R:…;C:…;blocks:LETTERS;free:N;free_cma:N".
func (m *buddyModel) state() string {
	var b strings.Builder
	for t, letter := range typeLetters {
		b.WriteRune(letter)
		for order := range uint(buddy.MaxOrder + 1) {
			separator := "."
			if order == 0 {
				separator = ":"
			}
			b.WriteString(separator + strconv.FormatUint(m.zone.FreeBlocks(buddy.Type(t), order), 10))
		}
		b.WriteByte(';')
	}
	b.WriteString("blocks:")
	for _, t := range m.zone.PageblockTypes() {
		b.WriteByte(typeLetters[t])
	}
	free, cma := m.zone.FreePages()
	fmt.Fprintf(&b, ";free:%d;free_cma:%d", free, cma)
	return b.String()
}

// cacheState returns "count:N;high:N;alloc_factor:N;free_count:N;lists:n.n…".
func (m *buddyModel) cacheState() string {
	s := m.cache.State()
	lists := make([]string, len(s.Blocks))
	for i, n := range s.Blocks {
		lists[i] = strconv.Itoa(n)
	}
	return fmt.Sprintf("count:%d;high:%d;alloc_factor:%d;free_count:%d;lists:%s",
		s.Count, s.High, s.AllocFactor, s.FreeCount, strings.Join(lists, "."))
}
