package devices

import "dmasim/internal/strictyaml"

// Space says what an address means.
type Space string

// The spaces. CPU and Bus are those of memory. IOVA and GPUVA are translated, so
// that rules about them say nothing about where in memory a buffer may lie. The
// others are no addresses of memory.
const (
	CPU      Space = "cpu"      // CPU-physical addresses
	Bus      Space = "bus"      // what the device emits
	IOVA     Space = "iova"     // what the device emits, translated by an IOMMU
	GPUVA    Space = "gpu-va"   // translated by the GPU's own page tables
	VRAM     Space = "vram"     // the device's own memory
	SRAM     Space = "sram"     // on-chip memory
	Tiler    Space = "tiler"    // a two-dimensional container
	Relative Space = "relative" // offsets from a base, such as the start of DRAM
)

// isTranslated reports whether addresses of the space are translated to memory.
func (s Space) isTranslated() bool { return s == IOVA || s == GPUVA }

// isMemory reports whether memory has addresses in the space.
func (s Space) isMemory() bool { return s == "" || s == CPU || s == Bus || s.isTranslated() }

// Use says what a buffer is to a device.
type Use string

// The uses. Data is the default.
const (
	Data        Use = "data"
	Descriptors Use = "descriptors" // rings and tables
)

// Options returns the words that a Use is written as.
func (Use) Options() []string { return words(Data, Descriptors) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *Use) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(u, "use", text, u.Options())
}

// Scope says what a device's rules bind.
type Scope string

// The scopes.
const (
	BindsBuffer        Scope = "buffer"         // a user's buffer
	BindsDescriptors   Scope = "descriptor"     // rings and tables only
	DriverSplits       Scope = "driver-splits"  // the driver cuts transfers: buffers may break the rules, at a cost
	BindsPrivateRegion Scope = "private-region" // firmware or working memory
	BindsImageLayout   Scope = "image-layout"   // stride and padding of a picture
	BindsBus           Scope = "bus"            // every device behind a bus window
	BindsIOMMU         Scope = "iommu"
	DescribesBehaviour Scope = "behaviour"
)

// Status says how well the sources bear out a device's figures.
type Status string

// The statuses.
const (
	Verified       Status = "verified"
	PartlyVerified Status = "partly-verified" // the main rule is; see Device.Assumed
	Unverified     Status = "unverified"
)

// IOMMU says whether an IOMMU stands between a device and memory.
type IOMMU string

// The answers.
const (
	NoIOMMU       IOMMU = "none"
	PlatformIOMMU IOMMU = "platform" // where the machine has one
	AlwaysIOMMU   IOMMU = "always"
	OwnIOMMU      IOMMU = "own"  // page tables of the device
	IsIOMMU       IOMMU = "self" // the entry describes an IOMMU
)

// Translates reports whether an IOMMU is there in any case, so that pieces of
// memory are one range for the device.
func (i IOMMU) Translates() bool { return i == AlwaysIOMMU || i == OwnIOMMU }

// Coherence says how a device and the CPU's caches agree.
type Coherence string

// The answers.
const (
	Coherent          Coherence = "coherent"
	NonCoherent       Coherence = "non-coherent"
	PlatformCoherence Coherence = "platform"
	Bounced           Coherence = "bounce"
	PerChannel        Coherence = "per-channel"
)

// Beyond says what becomes of a buffer that a device cannot reach.
type Beyond string

// The answers. Refuse is the default.
const (
	Refuse   Beyond = "refuse"   // it is not mapped
	Truncate Beyond = "truncate" // it is mapped, and the device emits addresses modulo 2^address_bits
	Faults   Beyond = "fault"    // it is mapped, and transfers fail
)

// Checks says which bytes a boundary rule looks at.
type Checks string

// The answers.
const (
	ChecksTouched Checks = "touched" // payload and padding
	ChecksPayload Checks = "payload"
)

// Options returns the words that a Space is written as.
func (Space) Options() []string {
	return words(CPU, Bus, IOVA, GPUVA, VRAM, SRAM, Tiler, Relative)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Space) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(s, "space", text, s.Options())
}

// Options returns the words that a Scope is written as.
func (Scope) Options() []string {
	return words(BindsBuffer, BindsDescriptors, DriverSplits, BindsPrivateRegion, BindsImageLayout,
		BindsBus, BindsIOMMU, DescribesBehaviour)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Scope) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(s, "scope", text, s.Options())
}

// Options returns the words that a Status is written as.
func (Status) Options() []string {
	return words(Verified, PartlyVerified, Unverified)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Status) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(s, "status", text, s.Options())
}

// Options returns the words that a IOMMU is written as.
func (IOMMU) Options() []string {
	return words(NoIOMMU, PlatformIOMMU, AlwaysIOMMU, OwnIOMMU, IsIOMMU)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *IOMMU) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(i, "iommu", text, i.Options())
}

// Options returns the words that a Coherence is written as.
func (Coherence) Options() []string {
	return words(Coherent, NonCoherent, PlatformCoherence, Bounced, PerChannel)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Coherence) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(c, "coherence", text, c.Options())
}

// Options returns the words that a Beyond is written as.
func (Beyond) Options() []string {
	return words(Refuse, Truncate, Faults)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Beyond) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(b, "answer", text, b.Options())
}

// Options returns the words that a Checks is written as.
func (Checks) Options() []string {
	return words(ChecksTouched, ChecksPayload)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Checks) UnmarshalText(text []byte) error {
	return strictyaml.OneOf(c, "checks", text, c.Options())
}

func words[W ~string](list ...W) []string {
	text := make([]string, len(list))
	for i, w := range list {
		text[i] = string(w)
	}
	return text
}
