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
// addresses are CPU-physical addresses.
//
// Behind an IOMMU that is always there, and in the spaces iova and gpu-va, rules
// bind the addresses that are translated: [Device.CompileIOVA] makes a rule of
// them, and memory is bound by what the IOMMU emits, and by its page, alone. A
// device with page tables of its own has rules on the bus for memory, and rules
// in gpu-va for what they translate. VRAM, SRAM and the like are no memory that
// anybody else reaches.
//
// # Shapes of rules
//
// Each kind of rule has a file: its keys and their words, what makes a mistake of
// them, and what they do to a window of memory. Rules about one place (reach.go,
// align.go, boundary.go) become windows, congruences, boundaries and arcs of an
// [allocator.Rule]. Rules about sizes (size.go), about the pieces of a buffer
// (pieces.go), about pictures (image.go) and about several buffers at once
// (group.go) belong to the heap, to the mapping and to the format. A new shape is
// a new file, a key in [Device], and a line in the table of shape.go.
//
// # Merging
//
// [Merge] combines devices into a [Plan]. Reaches intersect as sets and not as
// hulls, so that holes stay. Alignments are congruences that are solved by the
// Chinese remainder theorem, in 128 bits. Payload and padding must be in reach;
// what rounding adds behind them need not. The size of a block is the payload,
// plus the largest padding, at least the largest least size, rounded up to the
// least common multiple of the granularities, to a power of two where one asks for
// that, then to the heap's unit; natural alignment looks at the result. Every
// boundary is kept, each with the length that its own device checks. Devices that
// exclude each other make a [Conflict], which names two of them and the rules;
// [Plan.Check] and [Plan.Layout] do so for a size and a picture. [Plan.Parts] says
// where everything comes from.
//
// # What is enforced
//
// [Plan.Request] and [Plan.Judge] enforce what concerns one place, for buffers of
// one piece. [Plan.JudgePieces] does so for each piece of a buffer that has
// several, and enforces limits on segments, gaps and contiguity, and the page of an
// IOMMU, as well. [Plan.Layout] enforces what is said of pictures, [Plan.Together]
// what binds the buffers of a group; it finds a solution wherever there is one.
// Whether translated addresses are free is for the caller to know, who allocates
// them. Coherence and whatever an entry lists as unmodelled are kept and shown, and
// enforce nothing. [Line] says for each rule which it is.
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
