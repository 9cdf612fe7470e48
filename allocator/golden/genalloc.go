package golden

import (
	"errors"
	"fmt"
	"math/bits"

	"dmasim/allocator/kernel/genalloc"
)

// genallocModel replays recordings of lib/genalloc.c, in bytes.
type genallocModel struct {
	pool *genalloc.Pool
	live map[uint64]genallocHolding
}

type genallocHolding struct{ addr, size uint64 }

func newGenalloc(h Header) (Model, error) {
	order, err := h.Uint("min_alloc_order", 63)
	if err != nil {
		return nil, err
	}
	chunks, err := h.chunks()
	if err != nil {
		return nil, err
	}
	pool, err := genalloc.New(uint(order))
	if err != nil {
		return nil, err
	}
	for _, c := range chunks {
		if err := pool.Add(c.Lo, c.Size()); err != nil {
			return nil, h.Bad("chunks", err)
		}
	}
	return &genallocModel{pool, map[uint64]genallocHolding{}}, nil
}

func (m *genallocModel) Do(row Row) (string, error) {
	switch row.Op {
	case Alloc:
		return m.alloc(row)
	case Free:
		held, ok := m.live[row.ID]
		delete(m.live, row.ID)
		if !ok || m.pool.Free(held.addr, held.size) != nil {
			return NotLive, nil
		}
		return "ok", nil
	}
	return "", errNoSuchOp
}

func (m *genallocModel) alloc(row Row) (string, error) {
	if !row.Size.Given {
		return "", errors.New("want a size")
	}
	size := row.Size.Value
	var addr uint64
	var ok bool
	switch row.Flags {
	case "ff":
		addr, ok = m.pool.FirstFit(size)
	case "bf":
		addr, ok = m.pool.BestFit(size)
	case "al":
		align := row.Align.Or(1)
		if bits.OnesCount64(align) != 1 {
			return "", errors.New("want an alignment that is a power of two")
		}
		addr, ok = m.pool.FirstFitAlign(size, align)
	case "oa":
		addr, ok = m.pool.FirstFitOrderAlign(size)
	case "fx":
		if !row.Lo.Given {
			return "", errors.New("want an offset in lo")
		}
		addr, ok = m.pool.Fixed(size, row.Lo.Value)
	default:
		return "", fmt.Errorf("flags %q: want ff, bf, al, oa or fx", row.Flags)
	}
	if !ok {
		return "ENOMEM", nil
	}
	m.live[row.ID] = genallocHolding{addr, size}
	return address(addr), nil
}
