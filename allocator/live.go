package allocator

// liveBlocks is a table of the blocks that a strategy has handed out. A block's
// Ref is its row and the row's generation, which is odd while the row is in use
// and so tells a block that is free already from one that was never here.
type liveBlocks struct {
	rows        []liveRow
	generations []uint32
	free        uint32 // first row not in use, plus 1; 0: none
}

type liveRow struct {
	addr uint64
	size uint64 // while not in use, the next row not in use, plus 1
}

// add enters a block and returns it with its Ref.
func (l *liveBlocks) add(addr, size uint64) Block {
	row := l.free - 1
	if l.free == 0 {
		row = uint32(len(l.rows))
		l.grow()
	} else {
		l.free = uint32(l.rows[row].size)
	}
	l.rows[row] = liveRow{addr, size}
	l.generations[row]++
	return Block{Addr: addr, Size: size, Ref: uint64(l.generations[row])<<32 | uint64(row)}
}

// grow appends a row. The capacity grows by a sixty-fourth part, because what append
// leaves unused would be a good part of the memory per block.
func (l *liveBlocks) grow() {
	if n := len(l.rows); n == cap(l.rows) {
		l.rows = append(make([]liveRow, 0, n+n/64+8), l.rows...)
		l.generations = append(make([]uint32, 0, n+n/64+8), l.generations...)
	}
	l.rows = append(l.rows, liveRow{})
	l.generations = append(l.generations, 0)
}

// remove takes a block out. It returns ErrDoubleFree or ErrForeign, and changes
// nothing, if the block is not in the table.
func (l *liveBlocks) remove(b Block) error {
	row, generation := uint32(b.Ref), uint32(b.Ref>>32)
	if uint64(row) >= uint64(len(l.rows)) || generation%2 == 0 {
		return ErrForeign
	}
	r := &l.rows[row]
	switch age := int32(l.generations[row] - generation); {
	case age < 0:
		return ErrForeign
	case age > 1:
		return ErrDoubleFree // its row has been used again
	case r.addr != b.Addr:
		return ErrForeign
	case age == 1:
		return ErrDoubleFree
	case r.size != b.Size:
		return ErrForeign
	}
	l.generations[row]++
	r.size, l.free = uint64(l.free), row+1
	return nil
}
