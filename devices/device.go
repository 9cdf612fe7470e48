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

	// Space of the addresses in reach: cpu (the default) or bus. Devices with addresses of their own say iova, gpu-va, vram, sram, tiler or relative.
	Space Space `yaml:"space,omitempty" json:"space,omitempty"`
	// Memory that the device can address, as ranges that may leave holes. Without any, it is limited by address_bits and translate alone.
	Spans []Span `yaml:"reach,omitempty" json:"reach,omitempty"`
	// Width of the addresses that the device emits: bus addresses from 2^address_bits on are out of its reach.
	AddressBits uint8 `yaml:"address_bits,omitempty" json:"address_bits,omitempty" jsonschema:"maximum=64"`
	// Where memory appears on the device's bus. Memory outside of these windows is out of reach. Without any, bus addresses are CPU-physical addresses.
	Translate []Translation `yaml:"translate,omitempty" json:"translate,omitempty"`
	// The first bus address of a buffer is a multiple of this, which need not be a power of two.
	Align mem.Size `yaml:"align,omitempty" json:"align,omitempty"`
	// The first bus address of a buffer is a multiple of its size (with padding and granularity), rounded up to a power of two.
	Natural bool `yaml:"natural,omitempty" json:"natural,omitempty"`
	// Payload and padding are rounded up to a multiple of this.
	Granularity mem.Size `yaml:"granularity,omitempty" json:"granularity,omitempty"`
	// Bytes behind the payload that the device may touch.
	Padding mem.Size `yaml:"padding,omitempty" json:"padding,omitempty"`
	// Why the device touches the padding.
	PaddingReason string `yaml:"padding_reason,omitempty" json:"padding_reason,omitempty"`
	// Bus addresses that a buffer must not cross.
	Boundary *Boundary `yaml:"boundary,omitempty" json:"boundary,omitempty"`

	// Longest segment of a scatter-gather list: a longer piece of a buffer is cut and counts as several. Enforced for buffers of several pieces, as the system heap makes them.
	SegmentMax mem.Size `yaml:"segment_max,omitempty" json:"segment_max,omitempty"`
	// Most segments in a scatter-gather list: a buffer of more pieces cannot be mapped. Enforced for buffers of several pieces.
	SegmentsMax uint64 `yaml:"segments_max,omitempty" json:"segments_max,omitempty"`
	// Whether a buffer must be one piece, where no IOMMU that is always there makes one of several. Enforced for buffers of several pieces; those of carveouts and CMA areas are one piece anyway.
	Contiguous bool `yaml:"contiguous,omitempty" json:"contiguous,omitempty"`
	// Whether an IOMMU stands between device and memory: none, platform (where the machine has one), always, own, or self for an entry that describes an IOMMU. One that is always there, or the device's own, makes one piece of several; reach, alignment and boundaries are judged as if the device addressed memory directly.
	IOMMU IOMMU `yaml:"iommu,omitempty" json:"iommu,omitempty"`
	// How the device's view of memory and the CPU's caches agree: coherent, non-coherent, platform, bounce or per-channel. Not enforced.
	Coherence Coherence `yaml:"coherence,omitempty" json:"coherence,omitempty"`
	// What becomes of a buffer out of its reach: refuse (the kernel knows the reach and does not map it, the default), truncate (the driver does not know it, and the upper bits of addresses are lost: the device uses memory of somebody else) or fault (the driver does not know it, and the transfer fails).
	Beyond Beyond `yaml:"beyond,omitempty" json:"beyond,omitempty"`
	// Further rules of the device, in words. They are not enforced.
	Unmodelled []string `yaml:"unmodelled,omitempty" json:"unmodelled,omitempty"`
	// Anything else that a reader should know.
	Notes string `yaml:"notes,omitempty" json:"notes,omitempty"`
}

// Span is a range of addresses, by its end or by its size.
type Span struct {
	// First address.
	Lo mem.Addr `yaml:"lo" json:"lo"`
	// Address behind the last. Either hi or size.
	Hi mem.Addr `yaml:"hi,omitempty" json:"hi,omitempty"`
	// Length. Either hi or size.
	Size mem.Size `yaml:"size,omitempty" json:"size,omitempty"`
}

// Range returns the span as a half-open range. It is empty if the span is not
// valid.
func (s Span) Range() mem.Range {
	if s.Hi != 0 {
		return mem.Range{Lo: uint64(s.Lo), Hi: uint64(s.Hi)}
	}
	return mem.Range{Lo: uint64(s.Lo), Hi: uint64(s.Lo) + uint64(s.Size)}
}

// Translation is a window of memory and where it appears on the bus.
type Translation struct {
	// First CPU-physical address of the window.
	CPU mem.Addr `yaml:"cpu" json:"cpu"`
	// Bus address at which the window begins.
	Bus mem.Addr `yaml:"bus" json:"bus"`
	// Length of the window.
	Size mem.Size `yaml:"size" json:"size"`
}

// Memory returns the window's CPU-physical addresses.
func (t Translation) Memory() mem.Range {
	return mem.Range{Lo: uint64(t.CPU), Hi: uint64(t.CPU) + uint64(t.Size)}
}

// OnBus returns the window's bus addresses.
func (t Translation) OnBus() mem.Range {
	return mem.Range{Lo: uint64(t.Bus), Hi: uint64(t.Bus) + uint64(t.Size)}
}

// Boundary forbids a buffer to cross a multiple of Size: it may begin at one,
// but hold none behind its first byte.
type Boundary struct {
	// Distance between the lines that must not be crossed, the first being bus address 0.
	Size mem.Size `yaml:"size" json:"size"`
	// Bytes behind the checked ones that must not cross either.
	Guard mem.Size `yaml:"guard,omitempty" json:"guard,omitempty"`
	// What must not cross: touched (payload and padding, the default) or payload.
	Checks Checks `yaml:"checks,omitempty" json:"checks,omitempty"`
}
