package allocator

// liveBlocks is a table of the blocks that a strategy has handed out. A block's
// Ref is its row and the row's generation, which is odd while the row is in use
// and so tells a block that is free already from one that was never here.
type liveBlocks struct {
	rows []liveRow
	free uint32 // first row not in use, plus 1; 0: none
}

type liveRow struct {
	addr, size uint64
	generation uint32
	next       uint32 // in the list of free rows
}

// add enters a block and returns it with its Ref.
func (l *liveBlocks) add(addr, size uint64) Block {
	row := l.free - 1
	if l.free == 0 {
		row = uint32(len(l.rows))
		l.rows = append(l.rows, liveRow{})
	} else {
		l.free = l.rows[row].next
	}
	r := &l.rows[row]
	r.addr, r.size = addr, size
	r.generation++
	return Block{Addr: addr, Size: size, Ref: uint64(r.generation)<<32 | uint64(row)}
}

// remove takes a block out. It returns ErrDoubleFree or ErrForeign, and changes
// nothing, if the block is not in the table.
func (l *liveBlocks) remove(b Block) error {
	row, generation := uint32(b.Ref), uint32(b.Ref>>32)
	if uint64(row) >= uint64(len(l.rows)) || generation%2 == 0 {
		return ErrForeign
	}
	r := &l.rows[row]
	switch age := int32(r.generation - generation); {
	case age < 0:
		return ErrForeign
	case age > 1:
		return ErrDoubleFree // its row has been used again
	case r.addr != b.Addr || r.size != b.Size:
		return ErrForeign
	case age == 1:
		return ErrDoubleFree
	}
	r.generation++
	r.next, l.free = l.free, row+1
	return nil
}
