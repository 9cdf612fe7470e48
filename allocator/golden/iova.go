package golden

import (
	"errors"
	"fmt"
	"math"

	"dmasim/allocator/kernel/iova"
)

// iovaModel replays recordings of drivers/iommu/iova.c, in pfns.
type iovaModel struct {
	domain *iova.Domain
	caches bool // the domain has the caches that "fast" needs
	live   map[uint64]iovaHolding
}

type iovaHolding struct{ pfn, size uint64 }

func newIOVA(h Header) (Model, error) {
	granule, err := h.Uint("granule", 1<<32)
	if err != nil {
		return nil, err
	}
	start, err := h.Uint("start_pfn", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	caches, err := h.Uint("rcache", 1)
	if err != nil {
		return nil, err
	}
	domain, err := iova.New(granule, start)
	return &iovaModel{domain: domain, caches: caches == 1, live: map[uint64]iovaHolding{}}, err
}

func (m *iovaModel) Do(row Row) (string, error) {
	for flag := range row.Flags.All() {
		switch {
		case flag == "fast" && !m.caches:
			return "", errors.New("flag fast in a domain without caches")
		case flag == "fast" && (row.Op == Alloc || row.Op == Free):
		case row.Op == Alloc && (flag == "aligned" || flag == "flush"):
		default:
			return "", fmt.Errorf("flag %q: unknown", flag)
		}
	}
	switch row.Op {
	case Alloc:
		return m.alloc(row)
	case Reserve:
		return m.reserve(row)
	case Free:
		return m.free(row), nil
	case Work:
		m.domain.TrimDepots()
		return "ok", nil
	}
	return "", errNoSuchOp
}

func (m *iovaModel) alloc(row Row) (string, error) {
	if !row.Hi.Given || row.Size.Or(0) == 0 {
		return "", errors.New("want a limit in hi and a size of at least 1")
	}
	size, limit := row.Size.Value, row.Hi.Value
	var pfn uint64
	var ok bool
	if row.Flags.Has("fast") {
		pfn, ok = m.domain.AllocFast(size, limit, row.Flags.Has("flush"))
	} else {
		var found iova.Range
		found, ok = m.domain.Alloc(size, limit, row.Flags.Has("aligned"))
		pfn = found.Lo
	}
	if !ok {
		return "ENOMEM", nil
	}
	m.live[row.ID] = iovaHolding{pfn, size}
	return address(pfn), nil
}

func (m *iovaModel) reserve(row Row) (string, error) {
	if !row.Lo.Given || !row.Hi.Given || row.Hi.Value < row.Lo.Value {
		return "", errors.New("want the first pfn in lo and the last in hi")
	}
	found, ok := m.domain.Reserve(row.Lo.Value, row.Hi.Value)
	if !ok {
		return "ENOMEM", nil
	}
	m.live[row.ID] = iovaHolding{found.Lo, found.Size()}
	return address(found.Lo) + "+" + address(found.Size()), nil
}

func (m *iovaModel) free(row Row) string {
	held, ok := m.live[row.ID]
	if !ok {
		return NotLive
	}
	delete(m.live, row.ID)
	free := m.domain.Free
	if row.Flags.Has("fast") {
		free = func(pfn uint64) error { return m.domain.FreeFast(pfn, held.size) }
	}
	if free(held.pfn) != nil {
		return NotLive
	}
	return "ok"
}
