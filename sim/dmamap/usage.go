package dmamap

// Usage says how full a pool of bounce buffers or an address space is, in bytes.
type Usage struct {
	Capacity uint64 // what can be handed out, all in all
	Used     uint64 // mapped, with what rounding adds
	// Waiting was unmapped and waits in the flush queue, and Cached is what CPUs
	// keep for ranges of the same size: neither is free.
	Waiting, Cached uint64
	Free            uint64
	Largest         uint64 // the longest free run; of a pool, the longest that a buffer can get
	Mappings        int    // live ranges; of a pool, live bounce buffers
}
