package probe

import (
	"errors"
	"fmt"
	"io/fs"

	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/devices/machine/devicetree"
	"dmasim/mem"
)

// blobPath is where the kernel shows the device tree that it was started with,
// since Linux 4.0.
const blobPath = "sys/firmware/fdt"

// Tree returns the machine that the device tree of this one describes; nil, with a
// gap that says why, where there is none or it can't be read.
func (r *Report) Tree(root fs.FS) *machine.Description {
	p := &prober{root: root, Report: *r}
	defer func() { r.Gaps = p.Gaps }()
	data, err := fs.ReadFile(root, blobPath)
	if err != nil {
		p.gap("device tree", blobPath, err, "a machine that starts with a device tree: PCs have none")
		return nil
	}
	options := devicetree.Options{Arch: Architecture(r.Arch)}
	if v, err := version.Parse(r.Kernel); err == nil {
		options.Kernel = v
	}
	if m := r.Memory; m != nil {
		options.PageSize = m.PageSize
	}
	tree, err := devicetree.Read(data, options)
	if errors.Is(err, devicetree.ErrNoRAM) && r.Memory != nil && len(r.Memory.Ranges) > 0 {
		// EFI tells the kernel where RAM is, and takes it out of the tree.
		for _, ram := range r.Memory.Ranges {
			options.RAM = append(options.RAM, devicetree.Bank{Base: mem.Addr(ram.Lo), HasBase: true, Size: mem.Size(ram.Size())})
		}
		tree, err = devicetree.Read(data, options)
	}
	if err != nil {
		p.gap("device tree", blobPath, err, "report it")
		return nil
	}
	return tree
}

// Architecture returns the architecture for what uname calls it; "" for one whose
// zones are not known.
func Architecture(uname string) machine.Arch {
	switch {
	case uname == "x86_64":
		return machine.AMD64
	case uname == "aarch64":
		return machine.ARM64
	case len(uname) >= 3 && uname[:3] == "arm":
		return machine.ARM
	case uname == "riscv64":
		return machine.RISCV64
	case len(uname) == 4 && uname[0] == 'i' && uname[2:] == "86":
		return machine.I386
	}
	return ""
}

// Describe returns the machine whose file system has this root: memory and zones as
// its kernel counts them, and buses and devices of its device tree. What could not
// be read is among the warnings.
func Describe(root fs.FS) (*machine.Description, error) {
	r := Read(root)
	state, err := machine.ReadProc(r.Proc)
	if err != nil {
		return nil, err
	}
	d := state.Describe()
	d.Platform.Arch = Architecture(r.Arch)
	if v, err := version.Parse(r.Kernel); err == nil {
		d.Platform.Kernel = v
	}
	if tree := r.Tree(root); tree != nil {
		d.Model, d.Compatible, d.Platform.DMALimit = tree.Model, tree.Compatible, tree.Platform.DMALimit
		d.Regions, d.Buses, d.Devices = tree.Regions, tree.Buses, tree.Devices
		if d.RAM == nil {
			d.RAM = tree.RAM
		}
		d.Warnings = append(d.Warnings, tree.Warnings...)
	}
	for _, a := range r.CMA {
		if a.Size > 0 {
			d.Regions = addArea(d.Regions, a)
		}
	}
	relevant := map[string]bool{"device tree": true, "where memory is": true, "free blocks by migrate type": true}
	for _, g := range r.Gaps {
		if relevant[g.What] || g.Path == "/"+cmaDebug {
			d.Warnings = append(d.Warnings, fmt.Sprintf("%s not read: %s: %s; needs %s", g.What, g.Path, g.Reason, g.Remedy))
		}
	}
	return d, nil
}

// addArea adds an area where the kernel has it, in place of what the tree makes of
// its name.
func addArea(regions []machine.Region, a CMAArea) []machine.Region {
	at := mem.Range{Lo: uint64(a.Base), Hi: uint64(a.Base) + uint64(a.Size)}
	for i := range regions {
		if regions[i].Name == a.Name {
			regions[i].Range = at
			return regions
		}
	}
	return append(regions, machine.Region{Name: a.Name, Kind: machine.CMA, Range: at, Placed: true, Users: []string{}})
}

// ReadCopies returns what copies of files of /proc tell. Unlike of a machine, of
// copies all must be right: see [machine.ReadProc] for the errors.
func ReadCopies(dir fs.FS) (*Report, error) {
	p := &prober{root: dir, Report: Report{
		Proc: Proc{}, Heaps: []Heap{}, CMA: []CMAArea{}, IOMMU: []Group{}, Warnings: []string{}, Gaps: nil,
	}}
	for _, name := range machine.Files {
		data, err := fs.ReadFile(dir, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil {
			p.Proc[name] = data
		}
	}
	state, err := machine.ReadProc(p.Proc)
	if err != nil {
		return nil, err
	}
	p.setMemory(state)
	return &p.Report, nil
}
