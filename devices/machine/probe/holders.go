package probe

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"dmasim/mem"
)

// AreaHolder is who keeps memory of a CMA area in use.
type AreaHolder struct {
	// Name tells the processes that hold the same dma-bufs together. It is "" for
	// what is in no dma-buf of the area's heap: buffers of drivers, and memory of
	// heaps that the kernel does not tell of.
	Name    string   `json:"name"`
	Buffers int      `json:"buffers"`
	Size    mem.Size `json:"size"`
}

// Holders returns who holds the area's memory, the largest first and what is in no
// dma-buf last. It goes by the dma-bufs of the heap with the area's name
// (drivers/dma-buf/heaps/cma_heap.c, __add_cma_heap, Linux 6.12); where each lies, the
// kernel does not tell.
func (r *Report) Holders(a *CMAArea) []AreaHolder {
	var list []AreaHolder
	rest := a.Used
	for _, b := range r.DMABufs.Buffers {
		if b.Exporter != a.Name {
			continue
		}
		var who []string
		for _, h := range b.Holders {
			who = append(who, fmt.Sprintf("%s (%d)", h.Command, h.PID))
		}
		name := strings.Join(who, ", ")
		if len(who) == 0 {
			name = "nobody who can be seen"
		}
		i := slices.IndexFunc(list, func(o AreaHolder) bool { return o.Name == name })
		if i < 0 {
			i = len(list)
			list = append(list, AreaHolder{Name: name})
		}
		list[i].Buffers++
		list[i].Size += mem.Size(b.Size)
		rest -= min(rest, mem.Size(b.Size))
	}
	slices.SortStableFunc(list, func(a, b AreaHolder) int { return cmp.Compare(b.Size, a.Size) })
	if rest > 0 {
		list = append(list, AreaHolder{Size: rest})
	}
	return list
}
