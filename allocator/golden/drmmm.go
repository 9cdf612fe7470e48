package golden

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"dmasim/allocator/kernel/drmmm"
)

// drmmmModel replays recordings of drivers/gpu/drm/drm_mm.c, which knows no
// unit.
type drmmmModel struct {
	manager *drmmm.Manager
	live    []drmmmRange // by rising ID
}

type drmmmRange struct {
	node drmmm.Node
	id   uint64
}

func newDRMMM(h Header) (Model, error) {
	base, err := h.Uint("base", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	size, err := h.Uint("size", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	guard, err := h.Uint("color_guard", math.MaxUint64)
	if err != nil {
		return nil, err
	}
	manager, err := drmmm.New(base, size, guard)
	if err != nil {
		return nil, err
	}
	return &drmmmModel{manager: manager}, nil
}

func (m *drmmmModel) Do(row Row) (string, error) {
	if row.Op == Free {
		return m.free(row), nil
	}
	r, err := drmmmRequest(row)
	if err != nil {
		return "", err
	}
	switch row.Op {
	case Alloc:
		start, node, ok := m.manager.Alloc(r)
		return m.placed(row, start, node, ok), nil
	case Reserve:
		if !row.Lo.Given {
			return "", errors.New("want a start in lo")
		}
		node, ok := m.manager.Reserve(r.Lo, r.Size, r.Color)
		return m.placed(row, r.Lo, node, ok), nil
	case Scan:
		return m.scan(r), nil
	}
	return "", errNoSuchOp
}

func drmmmRequest(row Row) (drmmm.Request, error) {
	if !row.Size.Given {
		return drmmm.Request{}, errors.New("want a size")
	}
	r := drmmm.Request{Size: row.Size.Value, Align: row.Align.Or(0), Lo: row.Lo.Or(0), Hi: row.Hi.Or(drmmm.NoLimit)}
	for token := range row.Flags.All() {
		switch token {
		case "best":
			r.Mode = drmmm.Best
		case "low":
			r.Mode = drmmm.Low
		case "high":
			r.Mode = drmmm.High
		case "evict":
			r.Mode = drmmm.Evict
		case "once":
			r.Once = true
		default:
			if !strings.HasPrefix(token, "color=") {
				return r, fmt.Errorf("flag %q: unknown", token)
			}
		}
	}
	var err error
	r.Color, err = row.Flags.Uint("color", 0)
	return r, err
}

func (m *drmmmModel) placed(row Row, start uint64, node drmmm.Node, ok bool) string {
	if !ok {
		return "ENOSPC"
	}
	m.live = append(m.live, drmmmRange{node, row.ID})
	return address(start)
}

// find returns where the range of an ID is in live, which is in rising order.
func (m *drmmmModel) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(m.live, id, func(r drmmmRange, id uint64) int { return cmp.Compare(r.id, id) })
}

func (m *drmmmModel) free(row Row) string {
	i, ok := m.find(row.ID)
	if !ok {
		return NotLive
	}
	node := m.live[i].node
	m.live = slices.Delete(m.live, i, i+1)
	if m.manager.Remove(node) != nil {
		return NotLive
	}
	return "ok"
}

// scan offers all that is live, the oldest first. The answer is
// "0xhit;id;id…", the ranges to evict.
func (m *drmmmModel) scan(r drmmm.Request) string {
	roster := make([]drmmm.Node, len(m.live))
	ids := make(map[drmmm.Node]uint64, len(m.live))
	for i, live := range m.live {
		roster[i] = live.node
		ids[live.node] = live.id
	}
	hit, evict, ok := m.manager.Scan(r, roster)
	if !ok {
		return "ENOSPC"
	}
	answer := address(hit)
	for _, node := range evict {
		answer += ";" + strconv.FormatUint(ids[node], 10)
	}
	return answer
}
