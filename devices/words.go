package devices

import (
	"fmt"
	"slices"
	"strings"
)

// Space says what an address means.
type Space string

// The spaces. CPU and Bus are those of memory; the others are a device's own,
// and rules about them say nothing about where in memory a buffer may lie.
const (
	CPU      Space = "cpu"      // CPU-physical addresses
	Bus      Space = "bus"      // what the device emits
	IOVA     Space = "iova"     // what the device emits, translated by an IOMMU
	GPUVA    Space = "gpu-va"   // translated by the GPU's own page tables
	VRAM     Space = "vram"     // the device's own memory
	SRAM     Space = "sram"     // on-chip memory
	Tiler    Space = "tiler"    // a two-dimensional container
	Relative Space = "relative" // offsets from a base that the driver chooses
)

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

// Checks says which bytes a boundary rule looks at.
type Checks string

// The answers.
const (
	ChecksTouched Checks = "touched" // payload and padding
	ChecksPayload Checks = "payload"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Space) UnmarshalText(text []byte) error {
	return readWord(s, "space", text, CPU, Bus, IOVA, GPUVA, VRAM, SRAM, Tiler, Relative)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Scope) UnmarshalText(text []byte) error {
	return readWord(s, "scope", text, BindsBuffer, BindsDescriptors, DriverSplits, BindsPrivateRegion,
		BindsImageLayout, BindsBus, BindsIOMMU, DescribesBehaviour)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Status) UnmarshalText(text []byte) error {
	return readWord(s, "status", text, Verified, PartlyVerified, Unverified)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *IOMMU) UnmarshalText(text []byte) error {
	return readWord(i, "iommu", text, NoIOMMU, PlatformIOMMU, AlwaysIOMMU, OwnIOMMU, IsIOMMU)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Coherence) UnmarshalText(text []byte) error {
	return readWord(c, "coherence", text, Coherent, NonCoherent, PlatformCoherence, Bounced, PerChannel)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Checks) UnmarshalText(text []byte) error {
	return readWord(c, "checks", text, ChecksTouched, ChecksPayload)
}

// readWord sets to if text is one of the options.
func readWord[W ~string](to *W, what string, text []byte, options ...W) error {
	word := W(text)
	if !slices.Contains(options, word) {
		names := make([]string, len(options))
		for i, o := range options {
			names[i] = string(o)
		}
		return fmt.Errorf("unknown %s %q, want one of %s", what, text, strings.Join(names, ", "))
	}
	*to = word
	return nil
}
