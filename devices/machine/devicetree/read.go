package devicetree

import (
	"errors"
	"fmt"
	"slices"

	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/mem"
)

// Options say what a blob leaves open.
type Options struct {
	// RAM is where memory is, instead of what the blob says. A Size alone, with Base
	// 0 and HasBase false, starts where the blob says that memory starts.
	RAM []Bank
	// Kernel, PageSize and Arch as in [machine.Platform]; "" is the architecture of
	// the blob's CPUs.
	Kernel   version.Version
	PageSize mem.Size
	Arch     machine.Arch
}

// Bank is a piece of RAM.
type Bank struct {
	Base    mem.Addr
	HasBase bool
	Size    mem.Size
}

// Errors of Read about what a blob leaves open.
var (
	ErrNoRAM  = errors.New("it does not say how much RAM the machine has, which firmware fills in")
	ErrNoBase = errors.New("it does not say where RAM starts")
	ErrNoArch = errors.New("it does not tell its architecture")
)

// Read returns the machine that a blob describes. The error names the offset or
// the node that is wrong, or wraps [ErrNotBlob], [ErrNoRAM], [ErrNoBase] or
// [ErrNoArch].
func Read(data []byte, o Options) (*machine.Description, error) {
	d, err := read(data, o)
	if err != nil {
		return nil, fmt.Errorf("read a device tree: %w", err)
	}
	return d, nil
}

func read(data []byte, o Options) (*machine.Description, error) {
	fdt, err := parse(data)
	if err != nil {
		return nil, err
	}
	t := newTree(fdt)
	for _, key := range []string{"#address-cells", "#size-cells"} {
		n, ok := t.root.number(key)
		if !ok {
			return nil, fmt.Errorf("node /: %s is missing, for which Linux takes 1 and the specification another number", key)
		}
		if n == 0 || n > 2 {
			return nil, fmt.Errorf("node /: %s is %d, want 1 or 2", key, n)
		}
	}
	buses := 0
	for _, n := range t.nodes {
		if value, _ := n.value("dma-ranges"); len(value) > 0 {
			if buses++; buses > maxBuses {
				return nil, fmt.Errorf("node %s: more than %d buses with dma-ranges", n.path(), maxBuses)
			}
		}
	}
	d := &machine.Description{
		Model: t.root.text("model"), Compatible: append([]string{}, t.root.texts("compatible")...),
		Platform: machine.Platform{Arch: o.Arch, Kernel: o.Kernel, PageSize: o.PageSize},
		Buses:    []machine.Bus{}, Devices: []machine.Device{},
	}
	p := &d.Platform
	if p.Kernel == (version.Version{}) {
		p.Kernel = version.Modelled
	}
	if p.PageSize == 0 {
		p.PageSize = 4 * mem.KiB
	}
	if p.Arch == "" {
		if p.Arch = t.arch(); p.Arch == "" {
			return nil, ErrNoArch
		}
	}
	if d.RAM, err = t.ram(o.RAM); err != nil {
		return nil, err
	}
	if d.Regions, err = t.regions(fdt.ReserveEntries, d.RAM, *p); err != nil {
		return nil, err
	}
	p.DMALimit = t.dmaLimit(p.Arch, d.RAM)
	if err := t.devices(d); err != nil {
		return nil, err
	}
	if err := d.SetZones(); err != nil {
		return nil, err
	}
	t.dropTorn(d)
	slices.SortStableFunc(d.Regions, func(a, b machine.Region) int { return compare(a.Range, b.Range) })
	d.Warnings = append([]string{}, t.warnings...)
	return d, nil
}

// dropTorn takes CMA areas that do not lie in one zone for what Linux makes of
// them when it starts them (mm/cma.c, cma_activate_area): from 5.12 on ordinary
// memory, before reserved memory.
func (t *tree) dropTorn(d *machine.Description) {
	var kept []machine.Region
	for _, r := range d.Regions {
		whole := slices.ContainsFunc(d.Zones, func(z machine.ZoneMemory) bool { return z.Ranges.Contains(r.Range) })
		if r.Kind == machine.CMA && d.RAM.Contains(r.Range) && !whole {
			t.warn("CMA area %s, %s, lies in two zones: Linux gives it up", r.Name, r.Range)
			if !d.Platform.Kernel.Before(5, 12) {
				continue
			}
			r.Kind, r.Default = machine.Reserved, false
		}
		kept = append(kept, r)
	}
	d.Regions = append([]machine.Region{}, kept...)
}

func compare(a, b mem.Range) int {
	switch {
	case a.Lo != b.Lo && a.Lo < b.Lo, a.Lo == b.Lo && a.Hi < b.Hi:
		return -1
	case a == b:
		return 0
	}
	return 1
}
