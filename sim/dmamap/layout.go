package dmamap

import "dmasim/mem"

// Place is where a piece of a buffer appears among the addresses of a mapping.
type Place struct {
	Piece  mem.Range // CPU-physical
	Pages  mem.Range // the piece, widened to whole IOMMU pages: all that is mapped
	Offset uint64    // of the pages from the start of the mapping
}

// Layout yields where the pieces of a buffer appear in its range of addresses, one
// behind the other, each widened to whole IOMMU pages of a size. Where the device
// cannot cross multiples of boundary, a power of two or 0, gaps are left so that
// no piece does that is not longer (iommu_dma_map_sg). Linux maps there what lies in
// memory behind the piece before; here, nothing is mapped.
func Layout(pieces []mem.Range, page, boundary uint64) func(yield func(Place) bool) {
	return func(yield func(Place) bool) {
		var offset uint64
		for _, piece := range pieces {
			if piece.Empty() {
				continue
			}
			pages := mem.Range{Lo: piece.Lo &^ (page - 1), Hi: (piece.Hi + page - 1) &^ (page - 1)}
			if boundary > 0 {
				if gap := -offset & (boundary - 1); gap > 0 && gap < pages.Size()-1 {
					offset += gap
				}
			}
			if !yield(Place{piece, pages, offset}) {
				return
			}
			offset += pages.Size()
		}
	}
}

// Length returns how many bytes of addresses the pieces of a buffer take.
func Length(pieces []mem.Range, page, boundary uint64) (length uint64) {
	for p := range Layout(pieces, page, boundary) {
		length = p.Offset + p.Pages.Size()
	}
	return length
}
