package validate

import (
	"fmt"
	"strings"

	"dmasim/allocator/kernel/cma"
	"dmasim/mem"
)

// AreaConfig is what has to be known of a CMA area to model it.
type AreaConfig struct {
	Base        uint64 // page frame number
	Pages       uint64
	OrderPerBit uint
	PageSize    uint64 // bytes
	AlignOrder  uint   // CONFIG_CMA_ALIGNMENT
	Taken       Bitmap // that are allocated at the start
	Stats       AreaStats
}

// ModelArea is the model of a CMA area with its heap: [cma.Area], [cma.Debugfs] and
// what cma_heap.c asks of them.
type ModelArea struct {
	cfg     AreaConfig
	area    *cma.Area
	files   *cma.Debugfs
	buffers map[string]mem.Range // by ID
	stats   AreaStats
}

// NewModelArea returns the model of an area.
func NewModelArea(cfg AreaConfig) (*ModelArea, error) {
	area, err := cma.New(cfg.Base, cfg.Pages, cfg.OrderPerBit)
	if err != nil {
		return nil, err
	}
	m := &ModelArea{cfg: cfg, area: area, files: cma.NewDebugfs(area), buffers: map[string]mem.Range{}, stats: cfg.Stats}
	for bit := range len(cfg.Taken) * 32 {
		if !cfg.Taken.set(bit) {
			continue
		}
		// The area has no way to take a given page; but all the others can be busy.
		want := cfg.Base + uint64(bit)<<cfg.OrderPerBit
		if _, err := area.Alloc(1<<cfg.OrderPerBit, 0, func(r mem.Range) error {
			if r.Lo != want {
				return cma.ErrBusy
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("area of %d pages: bit %d is taken: %w", cfg.Pages, bit, err)
		}
	}
	return m, nil
}

// Do does one operation.
func (m *ModelArea) Do(op Operation) (AreaOutcome, error) {
	out := AreaOutcome{Errno: OK}
	switch op.Kind {
	case HeapAlloc:
		pages, ok := heapPages(op.Size, m.cfg.PageSize)
		if !ok {
			out.Errno = "EINVAL"
			break
		}
		pfn, err := m.area.Alloc(pages, cma.AlignOrder(pages, m.cfg.AlignOrder), nil)
		if err == nil {
			m.buffers[op.ID] = mem.Range{Lo: pfn, Hi: pfn + pages}
		}
		m.count(&out, pages, err)
	case DebugfsAlloc:
		m.count(&out, uint64(int32(op.Size)), m.files.Alloc(op.Size, nil))
	case DebugfsFree:
		used := m.area.Used()
		m.files.Free(op.Size)
		m.stats.Released += used - m.area.Used()
	case Close:
		r, ok := m.buffers[op.ID]
		if !ok {
			out.Errno = "EBADF"
			break
		}
		delete(m.buffers, op.ID)
		if err := m.area.Release(r.Lo, r.Size()); err != nil {
			return out, err
		}
		m.stats.Released += r.Size()
	}
	out.AreaState, _ = m.State()
	return out, nil
}

// count counts an allocation as sysfs and the log do. A request that is refused
// unseen is in neither (cma_alloc).
func (m *ModelArea) count(out *AreaOutcome, pages uint64, err error) {
	switch err {
	case nil:
		m.stats.Allocated += pages
		return
	case cma.ErrSize:
	default:
		m.stats.Failed += pages
		out.FreeList = m.freeList()
	}
	out.Errno = "ENOMEM"
}

// freeList is what cma_debug_show_areas prints.
func (m *ModelArea) freeList() string {
	var runs []string
	free := uint64(0)
	for r := range m.area.Free() {
		runs = append(runs, fmt.Sprintf("%d@%d", r.Size(), (r.Lo-m.cfg.Base)>>m.cfg.OrderPerBit))
		free += r.Size()
	}
	return fmt.Sprintf("%s=> %d free of %d total pages", strings.Join(runs, "+"), free, m.cfg.Pages)
}

// State returns what debugfs and sysfs would tell. It never fails.
func (m *ModelArea) State() (AreaState, error) {
	units := m.area.Pages().Size() >> m.cfg.OrderPerBit
	bitmap := make(Bitmap, (units+31)/32)
	for i := range bitmap {
		bitmap[i] = ^uint32(0)
	}
	if rest := units % 32; rest != 0 {
		bitmap[len(bitmap)-1] = 1<<rest - 1
	}
	for r := range m.area.Free() {
		lo, hi := (r.Lo-m.cfg.Base)>>m.cfg.OrderPerBit, (r.Hi-m.cfg.Base)>>m.cfg.OrderPerBit
		for lo < hi {
			n := min(hi-lo, 32-lo%32)
			bitmap[lo/32] &^= (uint32(1)<<(n%32) - 1 | -(uint32(n) >> 5)) << (lo % 32)
			lo += n
		}
	}
	return AreaState{Bitmap: bitmap, Used: m.area.Used(), MaxChunk: m.area.LargestFree(), Stats: m.stats}, nil
}
