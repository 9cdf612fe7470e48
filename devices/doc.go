// Package devices knows what devices demand of the memory that they reach by
// DMA: it describes them, merges what those that share a buffer demand
// together, and judges a buffer that lies somewhere already.
//
// # Spaces
//
// A rule holds for addresses of some [Space]. A driver of Linux sets the width
// of the bus addresses that a device emits (dma_set_mask), a device tree says
// where memory appears on its bus (dma-ranges, Devicetree Specification v0.4,
// 2.3.9), and a boundary or an alignment is a matter of the same bus addresses;
// a pool for a device (alloc-ranges) is given in CPU-physical ones. [Device]
// keeps each rule in its own space. [Device.Compile] turns them into
// CPU-physical space, where buffers are placed: each translated window is
// clipped by the width on the bus, and alignments and boundaries get a phase in
// memory where the offset is no multiple of them. Without translation, bus
// addresses are CPU-physical addresses. Devices whose rules are about a space
// of their own, such as a GPU's virtual addresses, can be described but not
// compiled.
//
// # Merging
//
// [Merge] combines devices into a [Plan]. Reaches intersect as sets and not as
// hulls, so that holes stay. Alignments are congruences that are solved by the
// Chinese remainder theorem, in 128 bits. Payload and padding must be in reach;
// what rounding adds behind them need not. The size of a block is the payload,
// plus the largest padding, rounded up to the least common multiple of the
// granularities, then to the heap's unit; natural alignment looks at the
// result. Every boundary is kept, each with the length that its own device
// checks. Devices that exclude each other make a [Conflict], which names two
// of them and the rules.
//
// # What is enforced
//
// [Plan.Request] and [Plan.Judge] enforce reach, address width, translation,
// alignment, natural alignment, padding, granularity and boundaries, for
// buffers of one piece. [Plan.JudgePieces] does so for each piece of a buffer
// that has several, and enforces limits on segments and contiguity as well; an
// IOMMU counts there only as what makes one piece of several, and only if it is
// always there or the device's own. Coherence and whatever an entry lists as
// unmodelled are kept and shown, and enforce nothing. [Line] says for each rule
// which it is.
//
// # The catalogue
//
// The entries of catalogue/ are in the format of [Parse], one file for each
// class. Their figures come from the source of Linux 6.1 (Debian 6.1.192-2),
// cited in each entry by file and line, or from what else it cites; values that
// the citations do not show are listed as assumed. Most entries are limits of
// hardware; some are what a driver or Linux does, which their scope says. A
// boundary of a scatter-gather device binds each segment, and the driver or the
// block layer cuts what crosses; here it binds each piece of a buffer, and so the
// whole of a buffer of one piece.
package devices
