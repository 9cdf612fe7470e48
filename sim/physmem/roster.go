package physmem

// roster lists the pages of each owner by kind, so that any of them can be
// found, drawn at random and removed in constant time. Each set has slots in
// chunks of its own; a page frame knows its slot, the slot's chunk knows its
// set. The slots of a set are filled without gaps.
type roster struct {
	chunks []*chunk
	sets   []setID // by chunk
	spare  []uint32
}

const (
	chunkShift = 9
	chunkSize  = 1 << chunkShift
)

type chunk [chunkSize]uint32 // page frames

// setID names a set of pages: an owner, and what its pages are.
type setID uint32

// What the pages of a set are. Those that are held in place are apart.
const (
	setKernel = iota
	setAnonymous
	setCache
	setAnonymousBusy
	setCacheBusy
	setAnonymousPinned
	setCachePinned
	setsPerOwner
)

const setShift = 3

var kindOfSet = [setsPerOwner]Kind{Kernel, Anonymous, PageCache, Anonymous, PageCache, Anonymous, PageCache}

func setOf(o Owner, k Kind) setID {
	n := setKernel
	switch k {
	case Anonymous:
		n = setAnonymous
	case PageCache:
		n = setCache
	}
	return setID(uint32(o)<<setShift | uint32(n))
}

func (id setID) owner() Owner { return Owner(id >> setShift) }
func (id setID) number() int  { return int(id & (1<<setShift - 1)) }
func (id setID) kind() Kind   { return kindOfSet[id.number()] }

// onLRU reports whether the set's pages are on an LRU list: movable, and not
// held in place.
func (id setID) onLRU() bool { n := id.number(); return n == setAnonymous || n == setCache }

// pageSet is one set of pages.
type pageSet struct {
	chunks []uint32
	n      uint64
}

func (r *roster) init() {
	r.chunks = make([]*chunk, firstChunk)
	r.sets = make([]setID, firstChunk)
}

func (r *roster) set(e entry) setID { return r.sets[e>>chunkShift] }

// add puts a frame into a set and returns its slot.
func (r *roster) add(id setID, s *pageSet, frame uint32) entry {
	if s.n == uint64(len(s.chunks))<<chunkShift {
		s.chunks = append(s.chunks, r.newChunk(id))
	}
	slot := entry(s.chunks[s.n>>chunkShift])<<chunkShift | entry(s.n&(chunkSize-1))
	r.chunks[slot>>chunkShift][slot&(chunkSize-1)] = frame
	s.n++
	return slot
}

func (r *roster) newChunk(id setID) uint32 {
	if last := len(r.spare) - 1; last >= 0 {
		c := r.spare[last]
		r.spare = r.spare[:last]
		r.sets[c] = id
		return c
	}
	r.chunks = append(r.chunks, new(chunk))
	r.sets = append(r.sets, id)
	return uint32(len(r.chunks) - 1)
}

// at returns the i-th frame of a set.
func (r *roster) at(s *pageSet, i uint64) uint32 {
	return r.chunks[s.chunks[i>>chunkShift]][i&(chunkSize-1)]
}

// remove empties a slot by moving the last frame of the set there. It returns
// that frame, whose slot is now this one.
func (r *roster) remove(s *pageSet, slot entry) (moved uint32) {
	s.n--
	moved = r.at(s, s.n)
	r.chunks[slot>>chunkShift][slot&(chunkSize-1)] = moved
	// One empty chunk is kept, so that a set whose size swings about a multiple
	// of chunks does not hand them back and forth.
	if used := (s.n + chunkSize - 1) >> chunkShift; uint64(len(s.chunks)) > used+1 || s.n == 0 {
		last := len(s.chunks) - 1
		r.spare = append(r.spare, s.chunks[last])
		s.chunks = s.chunks[:last]
		if s.n == 0 && last > 0 {
			r.spare = append(r.spare, s.chunks[0])
			s.chunks = s.chunks[:0]
		}
	}
	return moved
}
