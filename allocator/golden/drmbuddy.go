package golden

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"dmasim/allocator/kernel/drmbuddy"
)

// drmbuddyModel replays recordings of drivers/gpu/buddy.c, in bytes.
type drmbuddyModel struct {
	manager *drmbuddy.Manager
	size    uint64
	live    map[uint64][]drmbuddy.Block
}

func newDRMBuddy(h Header) (Model, error) {
	chunk, err := h.Uint("granule", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	size, err := h.trackedSize(max(chunk, 1))
	if err != nil {
		return nil, err
	}
	if _, err := h.Uint("base", 0); err != nil {
		return nil, err
	}
	manager, err := drmbuddy.New(size, chunk)
	if err != nil {
		return nil, err
	}
	return &drmbuddyModel{manager, size &^ (chunk - 1), map[uint64][]drmbuddy.Block{}}, nil
}

func (m *drmbuddyModel) Do(row Row) (string, error) {
	switch row.Op {
	case Alloc:
		return m.alloc(row)
	case Free:
		return m.free(row), nil
	}
	return "", errNoSuchOp
}

func (m *drmbuddyModel) alloc(row Row) (string, error) {
	if !row.Size.Given || !row.Align.Given {
		return "", errors.New("want a size and, as align, the smallest block")
	}
	r := drmbuddy.Request{
		Size: row.Size.Value, MinBlock: row.Align.Value,
		Lo: row.Lo.Or(0), Hi: row.Hi.Or(m.size),
	}
	for token := range row.Flags.All() {
		switch token {
		case "range":
			r.InRange = true
		case "topdown":
			r.TopDown = true
		case "contig":
			r.Contiguous = true
		case "notrim":
			r.NoTrim = true
		default:
			return "", fmt.Errorf("flag %q: unknown", token)
		}
	}
	blocks, err := m.manager.Alloc(nil, r)
	switch {
	case errors.Is(err, drmbuddy.ErrInvalid):
		return "EINVAL", nil
	case errors.Is(err, drmbuddy.ErrNoSpace):
		return "ENOSPC", nil
	}
	m.live[row.ID] = blocks
	places := make([]string, len(blocks))
	for i, b := range blocks {
		places[i] = address(b.Offset) + "+" + address(b.Size)
	}
	return strings.Join(places, ";"), nil
}

func (m *drmbuddyModel) free(row Row) string {
	blocks, ok := m.live[row.ID]
	delete(m.live, row.ID)
	if !ok {
		return NotLive
	}
	for _, b := range blocks {
		if m.manager.Free(b) != nil {
			return NotLive
		}
	}
	return "ok"
}
