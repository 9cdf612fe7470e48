package sim

// names maps a source's names of buffers to slots. Sources mostly count up or
// reuse small numbers, so small names index a slice.
type names struct {
	dense  []uint32
	sparse map[uint64]uint32
}

// What a name may stand for; a live buffer is its slot plus firstSlot.
const (
	unknownName = iota
	failedName  // the allocation failed; its Free does nothing
	firstSlot
)

const denseNames = 1 << 22

func (n *names) get(name uint64) uint32 {
	if name < denseNames {
		if name < uint64(len(n.dense)) {
			return n.dense[name]
		}
		return unknownName
	}
	return n.sparse[name]
}

func (n *names) set(name uint64, value uint32) {
	if name >= denseNames {
		if n.sparse == nil {
			n.sparse = map[uint64]uint32{}
		}
		if value == unknownName {
			delete(n.sparse, name)
		} else {
			n.sparse[name] = value
		}
		return
	}
	n.reserve(name)
	n.dense[name] = value
}

// reserve makes room for a small name.
func (n *names) reserve(name uint64) {
	if missing := int(name) - len(n.dense) + 1; missing > 0 {
		n.dense = append(n.dense, make([]uint32, missing)...)
	}
}

// take returns what a name stands for, which is nothing from then on.
func (n *names) take(name uint64) uint32 {
	if name < uint64(len(n.dense)) {
		value := n.dense[name]
		n.dense[name] = unknownName
		return value
	}
	value := n.sparse[name]
	delete(n.sparse, name)
	return value
}
