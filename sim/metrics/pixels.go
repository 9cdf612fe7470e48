package metrics

import (
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// mapRows is the vertical resolution of a memory map.
const mapRows = 512

// pixels collects the memory map of a heap, one column per sample.
type pixels struct {
	hull  mem.Range
	rows  int
	cells []Cell
	bytes []uint64 // by client, within the row in work
}

func newPixels(arena mem.RangeSet, granule uint64, clients int) pixels {
	hull := arena.Hull()
	rows := min(mapRows, max(hull.Size()/granule, 1))
	return pixels{hull: hull, rows: int(rows), bytes: make([]uint64, clients)}
}

// bounds returns the addresses of a row.
func (p *pixels) bounds(row int) mem.Range {
	return mem.Range{Lo: p.edge(row), Hi: p.edge(row + 1)}
}

// edge returns the lowest address of a row without overflow in wide arenas.
func (p *pixels) edge(row int) uint64 {
	size, rows := p.hull.Size(), uint64(p.rows)
	return p.hull.Lo + size/rows*uint64(row) + size%rows*uint64(row)/rows
}

// add appends the present state as a column. It costs time in proportion to
// rows and live blocks.
func (p *pixels) add(l *ledger.Ledger) {
	row := 0
	bounds := p.bounds(0)
	cell, most, used := Cell{Client: -1}, uint64(0), uint64(0)
	finish := func() {
		if size := bounds.Size(); size > 0 && used > 0 {
			cell.Fill = uint8(max(1, float64(used)/float64(size)*255))
		}
		p.cells = append(p.cells, cell)
		clear(p.bytes)
		cell, most, used = Cell{Client: -1}, 0, 0
		row++
		bounds = p.bounds(row)
	}
	live := l.Live()
	for i := range live {
		entry := &live[i]
		lo, hi := entry.Lo, entry.Hi
		held := &p.bytes[entry.Owner]
		for row < p.rows {
			if lo < bounds.Hi {
				n := min(hi, bounds.Hi) - max(lo, bounds.Lo)
				used += n
				if *held += n; *held > most {
					most = *held
					cell.Client, cell.Tone = int16(entry.Owner), uint8(entry.Handle&1)
				}
			}
			if hi < bounds.Hi {
				break
			}
			finish()
		}
	}
	for row < p.rows {
		finish()
	}
}

// dropLast drops the last column.
func (p *pixels) dropLast() { p.cells = p.cells[:len(p.cells)-p.rows] }

// thin drops every second column.
func (p *pixels) thin() {
	columns := len(p.cells) / p.rows
	keep := (columns + 1) / 2
	for i := range keep {
		copy(p.cells[i*p.rows:(i+1)*p.rows], p.cells[2*i*p.rows:])
	}
	p.cells = p.cells[:keep*p.rows]
}
