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
	edges []uint64 // the lowest addresses of the rows, and the end of the last
	cells []Cell
	bytes []uint64 // by client, within the row in work
}

func newPixels(arena mem.RangeSet, granule uint64, clients int) pixels {
	hull := arena.Hull()
	size, rows := hull.Size(), min(mapRows, max(hull.Size()/granule, 1))
	p := pixels{hull: hull, rows: int(rows), bytes: make([]uint64, clients)}
	for row := range rows + 1 {
		p.edges = append(p.edges, hull.Lo+size/rows*row+size%rows*row/rows) // without overflow in wide arenas
	}
	return p
}

// bounds returns the addresses of a row.
func (p *pixels) bounds(row int) mem.Range { return mem.Range{Lo: p.edges[row], Hi: p.edges[row+1]} }

// add appends the live blocks as a column. It costs time in proportion to them and
// to the rows.
func (p *pixels) add(live []ledger.Entry) {
	bytes, i := p.bytes, 0
	for row := range p.rows {
		bounds := p.bounds(row)
		clear(bytes)
		var used, most uint64
		first := i
		for ; i < len(live) && live[i].Lo < bounds.Hi; i++ {
			n := min(live[i].Hi, bounds.Hi) - max(live[i].Lo, bounds.Lo)
			used += n
			held := bytes[live[i].Owner] + n
			bytes[live[i].Owner] = held
			if held > most {
				first = i
			}
			most = max(most, held)
			if live[i].Hi > bounds.Hi {
				break // the rest of it is in the next row
			}
		}
		cell := Cell{Client: -1}
		if used > 0 {
			cell.Client, cell.Tone = int16(live[first].Owner), uint8(live[first].Handle&1)
			cell.Fill = uint8(max(1, float64(used)/float64(bounds.Size())*255))
		}
		p.cells = append(p.cells, cell)
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
