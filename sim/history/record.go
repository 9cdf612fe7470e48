package history

import (
	"time"

	"dmasim/mem"
	"dmasim/sim/physmem"
)

// Record is where the buffers of a simulation lay.
type Record struct {
	Buffers []Buffer // by their beginning, then by number
	LeftOut LeftOut
	Frames  []Frames // of all memory of the machine, then of each CMA area; none if they were not sampled
	End     time.Duration
}

// Buffer is the life of one buffer.
type Buffer struct {
	Number     uint64 // of the event that allocated it, from 1
	Heap       int    // index into sim.Config.Heaps
	Client     int    // index into sim.Config.Clients
	Start, End time.Duration
	Freed      uint64      // number of the event that freed it; 0: it lives at the end, and End is that of the simulation
	Payload    uint64      // bytes that were asked for
	Reserved   uint64      // bytes that it holds
	Align      uint64      // that the request itself demanded; 0: none
	Hull       mem.Range   // from its first to its last byte
	Pieces     []mem.Range // by rising address; nil where it is in one piece, which is Hull
}

// pieces is how many it has.
func (b *Buffer) pieces() int { return max(len(b.Pieces), 1) }

// weight is the area that the buffer covers in a picture, in byte-seconds.
func (b *Buffer) weight() float64 { return float64(b.Reserved) * (b.End - b.Start).Seconds() }

// LeftOut is what a record does not have.
type LeftOut struct {
	Buffers  uint64
	Heaviest float64 // byte-seconds of the heaviest of them
}

// Frames is what page frames held over time: at each of Times, the memory from its
// lowest to its highest address in equal rows.
type Frames struct {
	Hull  mem.Range
	Rows  int
	Times []time.Duration
	Kinds []physmem.Kind // len(Times) × Rows, one instant after the other, lowest address first: what most of the frames of a row hold
}
