package golden

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"dmasim/allocator/kernel/swiotlb"
)

// swiotlbModel replays recordings of kernel/dma/swiotlb.c, in bytes.
type swiotlbModel struct {
	pool    *swiotlb.Pool
	devices []swiotlb.Device
	live    map[uint64]swiotlb.Mapping
}

func newSwiotlb(h Header) (Model, error) {
	base, err := h.Uint("base", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	size, err := h.trackedSize(swiotlb.SlotSize)
	if err != nil {
		return nil, err
	}
	areas, err := h.Uint("areas", math.MaxInt32)
	if err != nil {
		return nil, err
	}
	segment, err := h.Uint("segsize_slots", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	if segment != swiotlb.SegmentSlots {
		return nil, h.Bad("segsize_slots", fmt.Errorf("want %d", swiotlb.SegmentSlots))
	}
	pool, err := swiotlb.New(base, size, int(areas))
	if err != nil {
		return nil, err
	}
	m := &swiotlbModel{pool: pool, live: map[uint64]swiotlb.Mapping{}}
	for {
		key := "dev" + strconv.Itoa(len(m.devices))
		text, err := h.Text(key)
		if err != nil && len(m.devices) > 0 {
			return m, nil
		}
		if err != nil {
			return nil, err
		}
		dev, err := parseSwiotlbDevice(text)
		if err != nil {
			return nil, h.Bad(key, err)
		}
		m.devices = append(m.devices, dev)
	}
}

// parseSwiotlbDevice reads "min_align_mask:0xM;boundary_mask:0xD".
func parseSwiotlbDevice(text string) (swiotlb.Device, error) {
	align, boundary, ok := strings.Cut(text, ";")
	align, okAlign := strings.CutPrefix(align, "min_align_mask:")
	boundary, okBoundary := strings.CutPrefix(boundary, "boundary_mask:")
	if !ok || !okAlign || !okBoundary {
		return swiotlb.Device{}, errors.New("want min_align_mask:0xM;boundary_mask:0xD")
	}
	minAlignMask, err := parseNumber(align)
	if err != nil {
		return swiotlb.Device{}, err
	}
	boundaryMask, err := parseNumber(boundary)
	if err != nil {
		return swiotlb.Device{}, err
	}
	if boundaryMask&(boundaryMask+1) != 0 {
		return swiotlb.Device{}, errors.New("want a boundary mask that is one less than a power of two")
	}
	return swiotlb.Device{MinAlignMask: minAlignMask, BoundaryMask: boundaryMask}, nil
}

func (m *swiotlbModel) Do(row Row) (string, error) {
	switch row.Op {
	case Alloc:
		return m.alloc(row)
	case Free:
		mapping, ok := m.live[row.ID]
		delete(m.live, row.ID)
		if !ok || m.pool.Unmap(mapping) != nil {
			return NotLive, nil
		}
		return "ok", nil
	}
	return "", errNoSuchOp
}

func (m *swiotlbModel) alloc(row Row) (string, error) {
	dev, err := row.Flags.Uint("dev", math.MaxUint64)
	if err != nil {
		return "", err
	}
	if dev >= uint64(len(m.devices)) {
		return "", fmt.Errorf("flags %q: want dev=N, N less than %d", row.Flags, len(m.devices))
	}
	for flag := range row.Flags.All() {
		if flag != "restricted" && !strings.HasPrefix(flag, "dev=") {
			return "", fmt.Errorf("flag %q: unknown", flag)
		}
	}
	align := row.Align.Or(1)
	if bits.OnesCount64(align) != 1 || row.Size.Or(0) == 0 {
		return "", errors.New("want a size of at least 1 and an alignment that is a power of two")
	}
	var mapping swiotlb.Mapping
	var ok bool
	if row.Flags.Has("restricted") {
		mapping, ok = m.pool.AllocPages(m.devices[dev], row.Size.Value)
	} else {
		mapping, ok = m.pool.Map(m.devices[dev], row.Lo.Or(0), row.Size.Value, align-1)
	}
	if !ok {
		return "MAPERR", nil
	}
	m.live[row.ID] = mapping
	return address(mapping.Addr), nil
}
