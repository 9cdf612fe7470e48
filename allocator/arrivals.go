package allocator

// arrivals is a sequence of blocks in the order in which they were placed. A
// block that is freed leaves it when it comes to be the first or the last, as
// the owner of the sequence wants. The zero value is empty.
type arrivals struct {
	ring        []arrival // a power of two of them, indexed modulo its length
	first, next uint32    // positions, modulo 2^32, of the first and behind the last
	serial      uint32    // of the last block ever
}

type arrival struct {
	addr, size uint64
	serial     uint32
	freed      bool
}

func (a *arrivals) empty() bool { return a.first == a.next }

func (a *arrivals) at(position uint32) *arrival {
	return &a.ring[position&uint32(len(a.ring)-1)]
}

// add enters a block behind the last.
func (a *arrivals) add(addr, size uint64) Block {
	if a.next-a.first == uint32(len(a.ring)) {
		a.grow()
	}
	a.serial++
	*a.at(a.next) = arrival{addr: addr, size: size, serial: a.serial}
	block := Block{Addr: addr, Size: size, Ref: uint64(a.serial)<<32 | uint64(a.next)}
	a.next++
	return block
}

func (a *arrivals) grow() {
	old := *a
	a.ring = make([]arrival, max(2*len(a.ring), 16))
	for i := old.first; i != old.next; i++ {
		*a.at(i) = *old.at(i)
	}
}

// free marks a block as freed. The error is ErrDoubleFree or ErrForeign, and
// nothing changed, if it is not live. Blocks that have left the sequence are
// known by their serial.
func (a *arrivals) free(b Block) error {
	position, serial := uint32(b.Ref), uint32(b.Ref>>32)
	if position-a.first < a.next-a.first {
		block := a.at(position)
		if block.serial == serial {
			switch {
			case block.addr != b.Addr || block.size != b.Size:
				return ErrForeign
			case block.freed:
				return ErrDoubleFree
			}
			block.freed = true
			return nil
		}
	}
	if serial != 0 && serial <= a.serial {
		return ErrDoubleFree
	}
	return ErrForeign
}

// dropFirst takes out what was freed up to the first live block.
func (a *arrivals) dropFirst() {
	for !a.empty() && a.at(a.first).freed {
		a.first++
	}
}

// dropLast takes out what was freed down to the last live block.
func (a *arrivals) dropLast() {
	for !a.empty() && a.at(a.next-1).freed {
		a.next--
	}
}
