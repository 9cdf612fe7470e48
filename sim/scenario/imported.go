package scenario

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim/dmamap"
)

// draft is a scenario of a real machine in the making, with what of the machine is
// not as it is.
type draft struct {
	Spec
	notes []string
}

func newDraft(name, description string, page mem.Size, m *Machine) *draft {
	return &draft{Spec: Spec{
		Name: name, Description: description, Seed: 1, Duration: 10 * time.Second, Page: page, Machine: m,
	}}
}

func (d *draft) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// text returns the scenario as a file with title and notes at its head. A client
// takes buffers of the system heap, as many as leave the machine most of its
// memory.
func (d *draft) text(title string, memory mem.Size, client Process) ([]byte, error) {
	if !slices.ContainsFunc(d.Heaps, func(h Heap) bool { return h.Kind == SystemHeap || h.Kind == CMAHeap }) {
		d.note("No heap was found that can be simulated; Linux's system heap, open to everybody, stands in.")
		d.Heaps = append([]Heap{{Name: "system", Kind: SystemHeap, Mode: 0o666}}, d.Heaps...)
	}
	heap := max(0, slices.IndexFunc(d.Heaps, func(h Heap) bool { return h.Kind == SystemHeap }))
	client.Name, client.Start = "client", time.Second
	client.Descriptors = cmp.Or(client.Descriptors, 1024)
	client.Program = []Step{{
		Repeat: &RepeatStep{Count: max(1, min(64, uint64(memory/(8*mem.MiB)))), Every: 10 * time.Millisecond, Do: []Step{{
			Alloc: &AllocStep{Heap: d.Heaps[heap].Name, Size: mem.MiB, As: "buffer"},
		}}},
	}}
	d.Processes = []Process{client}
	text, err := yaml.Dump(d.Spec)
	if err != nil {
		return nil, fmt.Errorf("write scenario: %w", err)
	}
	var head strings.Builder
	for _, n := range append([]string{title}, d.notes...) {
		// A line break in a name must not end the comment.
		fmt.Fprintf(&head, "# %s\n", strings.Join(strings.Fields(n), " "))
	}
	return append([]byte(head.String()), text...), nil
}

// FromTree returns a scenario of a machine that a device tree describes, to start
// from: its memory, pools, heaps and devices, and a process that takes buffers of
// the system heap. Comments say what of the machine is not as it is.
func FromTree(tree *machine.Description) ([]byte, error) {
	p := &tree.Platform
	m := &Machine{Arch: Arch(p.Arch), DMALimit: p.DMALimit, LowMemory: p.LowMemory, PerCPULists: true}
	d := newDraft(NameFor(cmp.Or(tree.Model, "this-machine"), "machine"), "A machine as its device tree describes it.", p.PageSize, m)
	m.Kernel = modelledKernel(p.Kernel.String(), d.note)
	for _, w := range tree.Warnings {
		d.note("%s.", w)
	}
	for _, r := range tree.RAM {
		d.Memory = append(d.Memory, rangeOf(r))
	}
	d.Heaps = []Heap{{Name: "system", Kind: SystemHeap, Mode: 0o600}}
	d.addRegions(tree)
	d.addDevices(tree)
	d.note("What the kernel itself takes is not in a device tree: set machine.kernel_memory.")
	title := fmt.Sprintf("%s: %s of memory, from its device tree.", cmp.Or(tree.Model, "A machine"), mem.Size(tree.RAM.Size()).Short())
	return d.text(title, mem.Size(tree.RAM.Size()), Process{})
}

func rangeOf(r mem.Range) Range { return Range{mem.Addr(r.Lo), mem.Size(r.Size())} }

// addRegions makes CMA areas, heaps of pools, and reserved memory of regions.
func (d *draft) addRegions(tree *machine.Description) {
	m := d.Machine
	taken := map[string]bool{"system": true}
	name := func(region string) string {
		base := nameLike(region)
		made := base
		for n := 2; taken[made]; n++ {
			made = fmt.Sprintf("%s-%d", base[:min(len(base), 58)], n)
		}
		taken[made] = true
		return made
	}
	free := tree.RAM // that no region has yet
	var rest []machine.Region
	for _, r := range tree.Regions {
		whole := r.Range.Lo%uint64(d.Page) == 0 && r.Range.Hi%uint64(d.Page) == 0
		switch {
		case !r.Kind.Pool():
			rest = append(rest, r)
		case !free.Contains(r.Range):
			d.note("Pool %s, %s, lies outside of RAM or in another region, and is left out.", r.Name, r.Range)
			rest = append(rest, r)
		case r.Kind == machine.CMA && (r.Range.Lo|r.Range.Hi)%pageblock(d.Page) == 0:
			m.CMA = append(m.CMA, CMAArea{Name: name(r.Name), Range: rangeOf(r.Range)})
			if r.Default {
				// The first one is the default area, which has a heap.
				last := len(m.CMA) - 1
				m.CMA = slices.Insert(m.CMA[:last:last], 0, m.CMA[last])
				d.Heaps = append(d.Heaps, Heap{Name: m.CMA[0].Name, Kind: CMAHeap, Area: m.CMA[0].Name, Mode: 0o600})
			}
			free = free.Subtract(mem.RangeSet{r.Range})
		case r.Kind == machine.CMA || !whole:
			d.note("Pool %s, %s, is not made of whole blocks; its memory is reserved.", r.Name, r.Range)
			rest = append(rest, r)
		case r.Kind == machine.Restricted:
			users := usersOf(tree, r)
			if len(users) == 0 || m.Kernel.Before(5, 15) {
				d.note("Pool %s, %s, through which nobody bounces, is reserved memory.", r.Name, r.Range)
				rest = append(rest, r)
				continue
			}
			d.swiotlb().Restricted = append(d.swiotlb().Restricted, RestrictedPool{Name: name(r.Name), Range: rangeOf(r.Range), Devices: users})
			free = free.Subtract(mem.RangeSet{r.Range})
		default:
			made := Heap{Name: name(r.Name), Kind: Carveout, Arena: []Range{rangeOf(r.Range)}, Allocator: "coherent", Mode: 0o600}
			d.Heaps = append(d.Heaps, made)
			d.note("Heap %s stands for a pool of Linux that only its devices allocate from: %s.",
				made.Name, cmp.Or(strings.Join(r.Users, ", "), "none names it"))
			free = free.Subtract(mem.RangeSet{r.Range})
		}
	}
	for _, r := range rest {
		kept := free.Intersect(mem.RangeSet{r.Range})
		for _, piece := range kept {
			m.Reserved = append(m.Reserved, Reservation{Name: r.Name, Range: rangeOf(piece)})
		}
		free = free.Subtract(kept)
	}
	if p := &tree.Platform; bounces(tree) {
		// The kernel's default of 64 MiB, if there is room for them.
		const slots = 32768
		below := min(uint64(4*mem.GiB), cmp.Or(uint64(p.DMALimit), math.MaxUint64))
		if slices.ContainsFunc(free.Intersect(mem.RangeSet{{Lo: uint64(d.Page), Hi: below}}), func(r mem.Range) bool { return r.Size() >= slots*dmamap.SlotSize+uint64(d.Page) }) {
			d.swiotlb().Slots = slots
		} else {
			d.note("There is no room for bounce buffers below %s.", mem.Addr(below))
		}
	}
	if len(m.CMA) == 0 {
		d.note("The tree has no CMA area; the kernel's configuration or cma= on its command line may make one.")
	}
}

// swiotlb returns the machine's bounce buffers, which are none at first.
func (d *draft) swiotlb() *Swiotlb {
	if d.Machine.Swiotlb == nil {
		d.Machine.Swiotlb = &Swiotlb{Mode: BounceNormal}
	}
	return d.Machine.Swiotlb
}

// restricted reports whether the device may use nothing but a pool.
func (d *draft) restricted(device string) bool {
	return d.Machine.Swiotlb != nil && slices.ContainsFunc(d.Machine.Swiotlb.Restricted, func(r RestrictedPool) bool { return slices.Contains(r.Devices, device) })
}

// bounces reports whether Linux makes bounce buffers at boot: where there is memory
// behind the zone of devices (arch/arm64/mm/init.c and arch/riscv/mm/init.c,
// mem_init, Linux 6.12; on arm only with LPAE).
func bounces(tree *machine.Description) bool {
	arch := tree.Platform.Arch
	return len(tree.Zones) > 1 && (arch == machine.ARM64 || arch == machine.RISCV64)
}

// usersOf returns the names of the devices that a region is for.
func usersOf(tree *machine.Description, r machine.Region) []string {
	var list []string
	for i := range tree.Devices {
		if v := &tree.Devices[i]; slices.Contains(r.Users, v.Path) {
			list = append(list, v.Name)
		}
	}
	return list
}

// addDevices adds what the tree says of devices. Those that name an IOMMU have an
// address space each.
func (d *draft) addDevices(tree *machine.Description) {
	for _, v := range tree.Devices {
		d.Devices = append(d.Devices, Device{Device: v.Device})
		if v.IOMMU.Translates() && !d.restricted(v.Name) {
			d.IOMMUGroups = append(d.IOMMUGroups, IOMMUGroup{
				Name: "iommu-" + v.Name, Devices: []string{v.Name}, Page: 4 * mem.KiB, AddressBits: 48, OutputBits: 48, PCI: v.PCI,
			})
		}
	}
	if len(d.IOMMUGroups) > 0 {
		d.note("Each device with an IOMMU has an address space of 48 bits; how wide the IOMMU's addresses are, its driver knows.")
	}
	if len(tree.Devices) > 0 {
		d.note("Devices have the windows of their buses; address_bits, which their drivers know, is left open (Linux takes 32 until a driver says otherwise).")
	}
}

// modelledKernel returns the release whose heaps are modelled that is nearest to
// that of the machine.
func modelledKernel(release string, note func(string, ...any)) version.Version {
	v, err := version.Parse(release)
	switch oldest := (version.Version{Major: 5, Minor: 6}); {
	case err != nil:
		note("The release of the kernel is not known; %s is simulated.", version.Modelled)
		return version.Modelled
	case v.Compare(version.Modelled) > 0:
		note("Linux %s is simulated, the latest release that is modelled.", version.Modelled)
		return version.Modelled
	case v.Compare(oldest) < 0:
		note("Linux %s is simulated, the first release with dma-buf heaps.", oldest)
		return oldest
	}
	return v
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// nameLike returns a name as scenarios take them for one of the kernel's, such as
// linux-cma for linux,cma.
func nameLike(kernels string) string {
	name := notInName.ReplaceAllString(kernels, "-")
	if !nameSyntax.MatchString(name) {
		name = "heap" + name
	}
	return name[:min(len(name), 63)]
}
