package devicetree

import (
	"fmt"
	"slices"
	"strings"

	"dmasim/devices"
	"dmasim/devices/machine"
	"dmasim/mem"
)

// maxDevices is the most devices that are read; large boards have 200.
const maxDevices = 1 << 12

// masters are the generic names of devices that move data by themselves. Most
// are of the list in section 2.2.2 of the specification, the others are what
// boards of Linux 6.1 use.
var masters = []string{
	"audio-controller", "camera", "codec", "crypto", "display", "display-controller", "dma", "dma-controller",
	"dsp", "ethernet", "fimd", "fimc", "gpu", "hdmi", "hdmi-tx", "image-codec", "isp", "jpegdec", "jpegenc",
	"jpeg-codec", "lcd-controller", "lcdif", "mali", "mdp", "mixer", "mmc", "mmc-controller", "nand-controller", "pcie", "pci", "remoteproc", "rga", "sata", "scsi",
	"sdhci", "sdmmc", "usb", "ufs", "ufshc", "vc4", "video", "video-codec", "video-engine", "virtio_mmio", "vop", "vpu", "wifi", "wlan", "v3d",
}

// devices adds the devices that do DMA, and the buses they are behind.
func (t *tree) devices(d *machine.Description) error {
	names := map[string]int{}
	buses := map[string]int{}
	for _, n := range t.nodes {
		if !n.enabled || !n.has("compatible") || !t.master(n) {
			continue
		}
		if len(d.Devices) == maxDevices {
			return fmt.Errorf("node %s: more than %d devices", n.path(), maxDevices)
		}
		through := t.dmaParent(n)
		if n.isPCI() {
			through = n // its functions are behind it
		}
		b, path := t.busOf(through), "/"
		var windows []devices.Translation
		if b != nil {
			path, windows = b.at.path(), b.windows
		}
		made := machine.Device{
			Device: devices.Device{
				Name: unique(names, deviceName(n)), Title: n.text("compatible"), Class: n.generic(),
				Coherence: t.coherence(n, d.Platform.Arch), IOMMU: devices.NoIOMMU,
			},
			Path: n.path(), Bus: path, PCI: n.isPCI(), Pools: []string{}, Reach: reach(d.RAM, windows),
		}
		i, known := buses[path]
		if !known {
			i = len(d.Buses)
			buses[path] = i
			d.Buses = append(d.Buses, machine.Bus{Path: path, Windows: append([]devices.Translation{}, windows...), Reach: made.Reach})
		}
		d.Buses[i].Devices++
		if n.has("iommus") || n.has("iommu-map") {
			// The windows are those of IOVAs, and memory is where the IOMMU maps it.
			made.IOMMU, made.Reach = devices.AlwaysIOMMU, d.RAM
		} else {
			made.Translate = windows
		}
		for _, region := range d.Regions {
			if slices.Contains(region.Users, made.Path) {
				made.Pools = append(made.Pools, region.Name)
			}
		}
		d.Devices = append(d.Devices, made)
	}
	return nil
}

// reach returns the RAM that windows show.
func reach(ram mem.RangeSet, windows []devices.Translation) mem.RangeSet {
	if len(windows) == 0 {
		return ram
	}
	var seen []mem.Range
	for _, w := range windows {
		seen = append(seen, w.Memory())
	}
	return ram.Intersect(mem.NewRangeSet(seen...))
}

// isPCI reports whether the node is a host bridge.
func (n *node) isPCI() bool {
	kind := n.text("device_type")
	return kind == "pci" || kind == "pciex" || n.generic() == "pcie" && n.has("#address-cells")
}

// master reports whether the node is a device that does DMA, as far as a tree
// tells.
func (t *tree) master(n *node) bool {
	if n.has("#iommu-cells") || !n.mapped() {
		return false
	}
	for _, key := range []string{"iommus", "iommu-map", "memory-region"} {
		if n.has(key) {
			return true
		}
	}
	if n.isPCI() {
		return true
	}
	if !n.has("reg") {
		return false
	}
	return n.has("dma-coherent") && len(n.children) == 0 ||
		slices.Contains(n.texts("interconnect-names"), "dma-mem") || slices.Contains(masters, n.generic())
}

// mapped reports whether the CPU sees the node's registers: what is behind I²C or
// SPI does no DMA, and CPUs and regions are no devices.
func (n *node) mapped() bool {
	top := n
	for top.parent != nil && top.parent.parent != nil {
		top = top.parent
	}
	if slices.Contains([]string{"cpus", "reserved-memory", "firmware", "chosen", "aliases"}, top.generic()) {
		return false
	}
	for up := n.parent; up != nil; up = up.parent {
		if up.parent != nil && up.isPCI() {
			return false // a function: its bridge stands for it
		}
		if size, ok := up.number("#size-cells"); ok && size == 0 && n.has("reg") && up == n.parent {
			return false
		}
	}
	return true
}

// coherence follows of_dma_is_coherent: the node, or one that its transfers go
// through, says so. On RISC-V devices are coherent unless one says otherwise.
func (t *tree) coherence(n *node, arch machine.Arch) devices.Coherence {
	for level := 0; n != nil && level < maxDepth; level++ {
		switch {
		case n.has("dma-coherent"):
			return devices.Coherent
		case n.has("dma-noncoherent"):
			return devices.NonCoherent
		}
		n = t.dmaParent(n)
	}
	if arch == machine.RISCV64 {
		return devices.Coherent
	}
	return devices.NonCoherent
}

// deviceName returns a name for scenarios: usb-fe980000 for usb@fe980000.
func deviceName(n *node) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, n.Name)
	name = strings.Trim(name, "-")
	if name == "" || strings.Trim(name, "0123456789-") == "" {
		name = strings.Trim("device-"+name, "-")
	}
	return strings.Trim(name[:min(len(name), 48)], "-")
}

// unique returns the name, with a number behind it if it is taken.
func unique(taken map[string]int, name string) string {
	for {
		taken[name]++
		if taken[name] == 1 {
			return name
		}
		next := fmt.Sprintf("%s-%d", name, taken[name])
		if taken[next] == 0 {
			taken[next] = 1
			return next
		}
	}
}
