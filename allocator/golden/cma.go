package golden

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"dmasim/allocator/kernel/cma"
	"dmasim/mem"
)

// cmaModel replays recordings of mm/cma.c, in pages.
type cmaModel struct {
	area *cma.Area
	busy []busySlot // by slot
	live map[uint64]mem.Range
}

// busySlot marks pages whose migration fails.
type busySlot struct {
	slot  uint64
	pages mem.Range
	err   error
}

// migrationError is the error word of a migration that fails for another reason
// than busy pages.
type migrationError string

func (e migrationError) Error() string { return string(e) }

func newCMA(h Header) (Model, error) {
	base, err := h.Uint("base", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	size, err := h.Uint("size", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	order, err := h.Uint("order_per_bit", 63)
	if err != nil {
		return nil, err
	}
	area, err := cma.New(base, size, uint(order))
	if err != nil {
		return nil, err
	}
	return &cmaModel{area: area, live: map[uint64]mem.Range{}}, nil
}

func (m *cmaModel) Do(row Row) (string, error) {
	switch {
	case row.Op == Busy:
		return m.mark(row)
	case row.Flags != "":
		return "", fmt.Errorf("flags %q: unknown", row.Flags)
	case row.Op == Alloc:
		return m.alloc(row)
	case row.Op == Free:
		return m.free(row), nil
	}
	return "", errNoSuchOp
}

func (m *cmaModel) mark(row Row) (string, error) {
	i, found := slices.BinarySearchFunc(m.busy, row.ID, func(b busySlot, slot uint64) int {
		return cmp.Compare(b.slot, slot)
	})
	if found {
		m.busy = slices.Delete(m.busy, i, i+1)
	}
	word := string(row.Flags)
	if word == "clear" {
		return "ok", nil
	}
	if !isErrorWord(word) || !row.Lo.Given || !row.Hi.Given {
		return "", errors.New("want pages from lo to hi and an error word, or clear")
	}
	slot := busySlot{row.ID, mem.Range{Lo: row.Lo.Value, Hi: row.Hi.Value}, migrationError(word)}
	if word == "EBUSY" {
		slot.err = cma.ErrBusy
	}
	m.busy = slices.Insert(m.busy, i, slot)
	return "ok", nil
}

func (m *cmaModel) migrate(pages mem.Range) error {
	for _, b := range m.busy {
		if b.pages.Overlaps(pages) {
			return b.err
		}
	}
	return nil
}

func (m *cmaModel) alloc(row Row) (string, error) {
	align := row.Align.Or(1)
	if bits.OnesCount64(align) != 1 || !row.Size.Given {
		return "", errors.New("want a size and an alignment that is a power of two")
	}
	pfn, err := m.area.Alloc(row.Size.Value, uint(bits.TrailingZeros64(align)), m.migrate)
	var failed migrationError
	switch {
	case err == nil:
		m.live[row.ID] = mem.Range{Lo: pfn, Hi: pfn + row.Size.Value}
		return address(pfn), nil
	case errors.Is(err, cma.ErrSize):
		return "NULL", nil
	case errors.Is(err, cma.ErrNoMemory):
		return "ENOMEM", nil
	case errors.Is(err, cma.ErrBusy):
		return "EBUSY", nil
	case errors.As(err, &failed):
		return string(failed), nil
	}
	return "", err
}

func (m *cmaModel) free(row Row) string {
	pages, ok := m.live[row.ID]
	delete(m.live, row.ID)
	if !ok || m.area.Release(pages.Lo, pages.Size()) != nil {
		return NotLive
	}
	return "ok"
}
