package devices

import "dmasim/mem"

// Device is what reaches memory by DMA, with the rules that it imposes on a
// buffer. Addresses and sizes are in bytes; the zero value of a field means "no
// such rule". The same struct is an entry of the catalogue, of a user's device
// file and of a scenario.
type Device struct {
	// Name by which the device is called: lower-case letters, digits and dashes.
	Name string `yaml:"name" json:"name"`
	// What the device is, in words.
	Title string `yaml:"title,omitempty" json:"title,omitempty"`
	// Kind of device, such as nic, display or vpu.
	Class string `yaml:"class,omitempty" json:"class,omitempty"`
	// Maker of the device.
	Vendor string `yaml:"vendor,omitempty" json:"vendor,omitempty"`
	// What the rules bind: buffer, descriptor, driver-splits, private-region, image-layout, bus, iommu or behaviour.
	Scope Scope `yaml:"scope,omitempty" json:"scope,omitempty"`
	// Where the figures come from: a kernel file with its line, a device tree, a manual.
	Source []string `yaml:"source,omitempty" json:"source,omitempty"`
	// How well the sources bear out the figures: verified, partly-verified or unverified.
	Status Status `yaml:"status,omitempty" json:"status,omitempty"`
	// Keys of this entry whose values the sources do not show.
	Assumed []string `yaml:"assumed,omitempty" json:"assumed,omitempty"`

	// Space of the addresses in reach, and of alignment and boundaries: cpu (the default) or bus. iova and gpu-va are translated, by an IOMMU or by the device's own page tables. Addresses that are not those of memory are vram, sram, tiler or relative (offsets from origin, where that is given).
	Space Space `yaml:"space,omitempty" json:"space,omitempty"`
	// Memory that the device can address, as ranges that may leave holes. Without any, it is limited by address_bits and translate alone.
	Spans []Span `yaml:"reach,omitempty" json:"reach,omitempty"`
	// Where contents of a kind lie, such as protected ones, each within the reach.
	Contents []Content `yaml:"contents,omitempty" json:"contents,omitempty"`
	// The kind of contents that the buffer has, one of contents.
	Content string `yaml:"content,omitempty" json:"content,omitempty"`
	// Width of the addresses that the device emits: bus addresses from 2^address_bits on are out of its reach.
	AddressBits uint8 `yaml:"address_bits,omitempty" json:"address_bits,omitempty" jsonschema:"maximum=64"`
	// Width of the addresses of rings and tables, where it differs from that of data.
	DescriptorBits uint8 `yaml:"descriptor_bits,omitempty" json:"descriptor_bits,omitempty" jsonschema:"maximum=64"`
	// What the buffer is to the device: data (the default) or descriptors, to which descriptor_bits apply.
	For Use `yaml:"for,omitempty" json:"for,omitempty"`
	// Upper bits of an address that mean something else: memory has addresses below them.
	Tag *Tag `yaml:"tag,omitempty" json:"tag,omitempty"`
	// Where memory appears on the device's bus. Memory outside of these windows is out of reach. Without any, bus addresses are CPU-physical addresses.
	Translate []Translation `yaml:"translate,omitempty" json:"translate,omitempty"`
	// Entries of the catalogue between the device and memory: a bus, whose windows and width bind the device as well, or an IOMMU.
	Behind []string `yaml:"behind,omitempty" json:"behind,omitempty"`
	// Address from which align and relative addresses count; buffers lie at or above it.
	Origin *Origin `yaml:"origin,omitempty" json:"origin,omitempty"`
	// The first bus address of a buffer is a multiple of this, which need not be a power of two.
	Align mem.Size `yaml:"align,omitempty" json:"align,omitempty"`
	// The first bus address of a buffer is a multiple of its size (with padding and granularity), rounded up to a power of two.
	Natural bool `yaml:"natural,omitempty" json:"natural,omitempty"`
	// Bits of a buffer's first bus address that are 0.
	ZeroBits []uint8 `yaml:"zero_bits,omitempty" json:"zero_bits,omitempty"`
	// Bus addresses that a buffer must not cross: one rule, or a list of rules that all hold.
	Boundary Boundaries `yaml:"boundary,omitempty" json:"boundary,omitempty"`
	// Payload and padding are rounded up to a multiple of this.
	Granularity mem.Size `yaml:"granularity,omitempty" json:"granularity,omitempty"`
	// Bytes behind the payload that the device may touch.
	Padding mem.Size `yaml:"padding,omitempty" json:"padding,omitempty"`
	// Why the device touches the padding.
	PaddingReason string `yaml:"padding_reason,omitempty" json:"padding_reason,omitempty"`
	// A buffer, with padding, has at least so many bytes.
	SizeMin mem.Size `yaml:"size_min,omitempty" json:"size_min,omitempty"`
	// A buffer, with padding and rounded up, has at most so many bytes.
	SizeMax mem.Size `yaml:"size_max,omitempty" json:"size_max,omitempty"`
	// The size of a buffer, with padding and granularity, is rounded up to a power of two.
	PowerOfTwo bool `yaml:"power_of_two,omitempty" json:"power_of_two,omitempty"`

	// Shortest segment of a scatter-gather list. Enforced for buffers of several pieces, as the system heap makes them.
	SegmentMin mem.Size `yaml:"segment_min,omitempty" json:"segment_min,omitempty"`
	// Longest segment of a scatter-gather list: a longer piece of a buffer is cut and counts as several. Enforced for buffers of several pieces.
	SegmentMax mem.Size `yaml:"segment_max,omitempty" json:"segment_max,omitempty"`
	// The length of every segment but the last is a multiple of this. Enforced for buffers of several pieces.
	SegmentUnit mem.Size `yaml:"segment_unit,omitempty" json:"segment_unit,omitempty"`
	// Most segments in a scatter-gather list: a buffer of more pieces cannot be mapped. Enforced for buffers of several pieces.
	SegmentsMax uint64 `yaml:"segments_max,omitempty" json:"segments_max,omitempty"`
	// Every segment but the first begins, and every one but the last ends, at a multiple of this on the bus. Enforced for buffers of several pieces.
	Gap mem.Size `yaml:"gap,omitempty" json:"gap,omitempty"`
	// Whether a buffer must be one piece, where no IOMMU makes one of several. Enforced for buffers of several pieces; those of carveouts and CMA areas are one piece anyway.
	Contiguous bool `yaml:"contiguous,omitempty" json:"contiguous,omitempty"`
	// Most bytes that are mapped at once, as one segment: where every mapping is copied through a bounce buffer.
	MapMax mem.Size `yaml:"map_max,omitempty" json:"map_max,omitempty"`

	// Whether an IOMMU stands between device and memory: none, platform (where the machine has one), always, own, or self for an entry that describes an IOMMU. Behind one that is always there, reach on the bus, width, alignment and boundaries bind IOVAs, and memory may lie wherever the IOMMU reaches, in pieces. A device's own page tables make one piece of several; its rules on the bus still bind memory.
	IOMMU IOMMU `yaml:"iommu,omitempty" json:"iommu,omitempty"`
	// What the IOMMU, or the device's own page tables, can translate.
	MMU *MMU `yaml:"mmu,omitempty" json:"mmu,omitempty"`
	// Whether the machine's IOMMU is on: iommu platform then means always, and with_iommu holds.
	IOMMUOn bool `yaml:"iommu_on,omitempty" json:"iommu_on,omitempty"`
	// Rules that hold only while the machine's IOMMU is on.
	WithIOMMU *WithIOMMU `yaml:"with_iommu,omitempty" json:"with_iommu,omitempty"`

	// How a picture lies in its buffer.
	Image *Image `yaml:"image,omitempty" json:"image,omitempty"`
	// What binds several buffers of the device together.
	Group *Group `yaml:"group,omitempty" json:"group,omitempty"`

	// How the device's view of memory and the CPU's caches agree: coherent, non-coherent, platform, bounce or per-channel. Merging says who must synchronize; nothing is enforced.
	Coherence Coherence `yaml:"coherence,omitempty" json:"coherence,omitempty"`
	// What becomes of a buffer out of its reach: refuse (the kernel knows the reach and does not map it, the default), truncate (the driver does not know it, and the upper bits of addresses are lost: the device uses memory of somebody else) or fault (the driver does not know it, and the transfer fails).
	Beyond Beyond `yaml:"beyond,omitempty" json:"beyond,omitempty"`
	// Further rules of the device, in words. They are not enforced.
	Unmodelled []string `yaml:"unmodelled,omitempty" json:"unmodelled,omitempty"`
	// Anything else that a reader should know.
	Notes string `yaml:"notes,omitempty" json:"notes,omitempty"`
}
