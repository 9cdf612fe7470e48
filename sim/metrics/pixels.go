package metrics

import (
	"slices"

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
	column := len(p.cells)
	p.cells = slices.Grow(p.cells, p.rows)[:column+p.rows]
	cells := p.cells[column:]
	for row := range cells {
		ended := 0
		cells[row], ended = p.cell(live, p.bounds(row))
		live = live[ended:]
	}
}

// cell returns what the first of the live blocks make of a row, and how many of them
// end in it. All others before these end below it.
func (p *pixels) cell(live []ledger.Entry, row mem.Range) (c Cell, ended int) {
	bytes := p.bytes
	clear(bytes)
	var largest int
	var used, most uint64
	if len(bytes) == 1 {
		ended, used = pileOfOne(live, row)
		largest, most, bytes[0] = ended-1, used, used
	} else {
		ended, largest, used, most = pile(live, row, bytes)
	}
	if ended < len(live) && live[ended].Lo < row.Hi { // its rest is in the next row
		e := &live[ended]
		n := row.Hi - max(e.Lo, row.Lo)
		used += n
		if bytes[e.Owner]+n > most {
			largest = ended
		}
	}
	if used == 0 {
		return Cell{Client: -1}, ended
	}
	return Cell{
		Client: int16(live[largest].Owner), Tone: uint8(live[largest].Handle & 1),
		Fill: uint8(max(1, float64(used)/float64(row.Size())*255)),
	}, ended
}

// pile adds what the blocks that end in a row hold of it to the bytes of their owners.
// It returns how many there are, the last one of the owner who holds most, and how much
// all and that one hold.
//
//go:noinline
func pile(live []ledger.Entry, row mem.Range, bytes []uint64) (ended, largest int, used, most uint64) {
	from := row.Lo
	for i := range live {
		e := &live[i]
		if e.Hi > row.Hi {
			return i, largest, used, most
		}
		n := e.Hi - max(e.Lo, from)
		from = 0 // only the first begins below the row
		used += n
		held := &bytes[e.Owner]
		*held += n
		if *held > most {
			largest = i
		}
		most = max(most, *held)
	}
	return len(live), largest, used, most
}

// pileOfOne is pile where there is one owner.
func pileOfOne(live []ledger.Entry, row mem.Range) (ended int, used uint64) {
	from := row.Lo
	for i := range live {
		e := &live[i]
		if e.Hi > row.Hi {
			return i, used
		}
		used += e.Hi - max(e.Lo, from)
		from = 0
	}
	return len(live), used
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
