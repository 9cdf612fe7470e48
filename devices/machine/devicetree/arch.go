package devicetree

import (
	"slices"
	"strings"

	"dmasim/devices/machine"
	"dmasim/mem"
)

// Cores of ARM that have 32 bits, and beginnings of the names of those that have
// 64, as in the binding arm/cpus.yaml of Linux 6.12. Where both fit, the first
// list decides.
var (
	cores32 = []string{
		"arm,arm7", "arm,arm9", "arm,arm10", "arm,arm11", "arm,cortex-a5", "arm,cortex-a7", "arm,cortex-a8", "arm,cortex-a9",
		"arm,cortex-a12", "arm,cortex-a15", "arm,cortex-a17", "arm,cortex-a32", "arm,cortex-m", "arm,cortex-r", "arm,sa110", "arm,sa1100",
		"brcm,brahma-b15", "faraday,fa526", "intel,sa", "marvell,feroceon", "marvell,mohawk", "marvell,pj4", "marvell,sheeva",
		"marvell,xsc3", "qcom,krait", "qcom,scorpion",
	}
	cores64 = []string{
		"arm,armv8", "arm,cortex-a", "arm,cortex-x", "arm,neoverse", "ampere,", "apm,", "apple,", "brcm,brahma-b53", "brcm,vulcan",
		"cavium,thunder", "fujitsu,a64fx", "hisilicon,tsv", "nvidia,tegra1", "nvidia,tegra2", "nvidia,tegra3", "nvidia,denver", "qcom,kryo", "qcom,oryon",
		"qcom,falkor", "samsung,mongoose",
	}
)

// arch returns the architecture of the first CPU that tells, else of the timer or
// interrupt controller, or "".
func (t *tree) arch() machine.Arch {
	var cpus []*node
	if n := t.root.child("cpus"); n != nil {
		cpus = n.children
	}
	for _, n := range cpus {
		if n.text("device_type") != "cpu" && n.generic() != "cpu" {
			continue
		}
		for _, name := range n.texts("compatible") {
			starts := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
			switch {
			case name == "riscv" || n.has("riscv,isa") || n.has("riscv,isa-base"):
				return machine.RISCV64
			case is32(name):
				return machine.ARM
			case slices.ContainsFunc(cores64, starts):
				return machine.ARM64
			}
		}
	}
	for _, n := range t.nodes {
		for _, name := range n.texts("compatible") {
			switch name {
			case "arm,armv8-timer":
				return machine.ARM64
			case "arm,armv7-timer", "arm,armv7m-nvic":
				return machine.ARM
			}
		}
	}
	return ""
}

// is32 reports whether a name is that of a core of 32 bits: cortex-a5 is,
// cortex-a53 is not.
func is32(name string) bool {
	for _, core := range cores32 {
		rest, ok := strings.CutPrefix(name, core)
		family := !strings.HasPrefix(core, "arm,cortex-a")
		if ok && (family || rest == "" || rest[0] < '0' || rest[0] > '9') {
			return true
		}
	}
	return false
}

// armZones are how much memory from its start 32-bit kernels put into ZONE_DMA,
// for boards where this is not all (dma_zone_size of the machine descriptors:
// arch/arm/mach-bcm/bcm2711.c, mach-omap2/board-generic.c, mach-keystone/keystone.c,
// mach-davinci/da8xx-dt.c, Linux 6.12).
var armZones = map[string]mem.Size{
	"brcm,bcm2711": 1 * mem.GiB,
	"ti,omap5":     2 * mem.GiB, "ti,dra7": 2 * mem.GiB, "ti,keystone": 2 * mem.GiB,
	"ti,da850": 128 * mem.MiB,
}

// dmaLimit returns where the memory ends that every device reaches, as
// [machine.Platform] wants it.
func (t *tree) dmaLimit(arch machine.Arch, ram mem.RangeSet) mem.Addr {
	switch arch {
	case machine.ARM64:
		return mem.Addr(t.maxCPU())
	case machine.ARM:
		for _, name := range t.root.texts("compatible") {
			if size, ok := armZones[name]; ok {
				return mem.Addr(ram.Hull().Lo + uint64(size))
			}
		}
		return mem.Addr(4 * mem.GiB)
	}
	return 0
}
