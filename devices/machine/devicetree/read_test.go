package devicetree_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/u-root/u-root/pkg/dt"

	"dmasim/allocator/kernel/version"
	"dmasim/devices"
	"dmasim/devices/machine"
	"dmasim/devices/machine/devicetree"
	"dmasim/mem"
)

func blob(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".dtb")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t *testing.T, name string, o devicetree.Options) *machine.Description {
	t.Helper()
	d, err := devicetree.Read(blob(t, name), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBuses(t *testing.T) {
	d := read(t, "buses", devicetree.Options{})
	if d.Platform.Arch != machine.ARM64 || d.Model != "dmasim test board: buses" || !slices.Equal(d.Compatible, []string{"dmasim,buses"}) {
		t.Errorf("platform %+v, model %q, compatible %q", d.Platform, d.Model, d.Compatible)
	}
	// Memory of two nodes and three ranges, two of which touch; the controller is none.
	ram := mem.RangeSet{{Lo: 0x80000000, Hi: 0xc0000000}, {Lo: 0x100000000, Hi: 0x1c0000000}}
	if diff := cmp.Diff(ram, d.RAM); diff != "" {
		t.Error(diff)
	}
	window := mem.RangeSet{{Lo: 0x80000000, Hi: 0xc0000000}}
	buses := []machine.Bus{
		{Path: "/soc", Windows: []devices.Translation{{CPU: 0x80000000, Bus: 0, Size: 1 * mem.GiB}}, Reach: window, Devices: 5},
		{
			Path: "/soc/interconnect@11000", Devices: 1,
			Windows: []devices.Translation{{CPU: 0x80000000, Bus: 0x20000000, Size: 256 * mem.MiB}}, Reach: mem.RangeSet{{Lo: 0x80000000, Hi: 0x90000000}},
		},
		{Path: "/", Windows: []devices.Translation{}, Reach: ram, Devices: 1},
		{
			Path: "/pcie@3000", Devices: 1,
			Windows: []devices.Translation{{CPU: 0x80000000, Bus: 0x80000000, Size: 1 * mem.GiB}, {CPU: 0x100000000, Bus: 0x800000000, Size: 2 * mem.GiB}},
			Reach:   mem.RangeSet{{Lo: 0x80000000, Hi: 0xc0000000}, {Lo: 0x100000000, Hi: 0x180000000}},
		},
	}
	if diff := cmp.Diff(buses, d.Buses); diff != "" {
		t.Error(diff)
	}
	for _, want := range []struct {
		name, bus string
		iommu     devices.IOMMU
		coherence devices.Coherence
		reach     mem.RangeSet
	}{
		{"ethernet-10000", "/soc", devices.NoIOMMU, devices.NonCoherent, window},
		{"video-codec-12000", "/soc/interconnect@11000", devices.NoIOMMU, devices.NonCoherent, mem.RangeSet{{Lo: 0x80000000, Hi: 0x90000000}}},
		// Its windows are those of IOVAs.
		{"display-13000", "/soc", devices.AlwaysIOMMU, devices.NonCoherent, ram},
		// Behind an empty dma-ranges, and coherent by its bus.
		{"usb-14000", "/soc", devices.NoIOMMU, devices.Coherent, window},
		{"usb-15000", "/soc", devices.NoIOMMU, devices.NonCoherent, window},
		// The parent may lack dma-ranges; two that do end the search.
		{"mmc-16000", "/soc", devices.NoIOMMU, devices.NonCoherent, window},
		{"mmc-17000", "/", devices.NoIOMMU, devices.NonCoherent, ram},
		{"pcie-3000", "/pcie@3000", devices.NoIOMMU, devices.NonCoherent, buses[3].Reach},
	} {
		i := slices.IndexFunc(d.Devices, func(v machine.Device) bool { return v.Name == want.name })
		if i < 0 {
			t.Errorf("no device %s", want.name)
			continue
		}
		v := d.Devices[i]
		if v.Bus != want.bus || v.IOMMU != want.iommu || v.Coherence != want.coherence || !slices.Equal(v.Reach, want.reach) {
			t.Errorf("%s: %+v, want %+v", want.name, v, want)
		}
		if err := v.Validate(); err != nil {
			t.Error(err)
		}
		if v.IOMMU == devices.NoIOMMU && !slices.Equal(v.Device.Reach().Intersect(d.RAM), v.Reach) {
			t.Errorf("%s: compiled, it reaches %s, want %s", v.Name, v.Device.Reach().Intersect(d.RAM), v.Reach)
		}
	}
	if len(d.Devices) != 8 {
		t.Errorf("%d devices", len(d.Devices))
	}
}

// TestZonesByKernel follows ZONE_DMA of arm64, whose end the least window decides
// in different ways.
func TestZonesByKernel(t *testing.T) {
	for _, test := range []struct {
		kernel version.Version
		zones  string
	}{
		{version.Version{Major: 4, Minor: 14}, "DMA [0x80000000,0xc0000000) Normal [0x100000000,0x1c0000000)"},
		{version.Version{Major: 5, Minor: 4}, "DMA32 [0x80000000,0xc0000000) Normal [0x100000000,0x1c0000000)"},
		{version.Version{Major: 5, Minor: 10}, "DMA [0x80000000,0xc0000000) Normal [0x100000000,0x1c0000000)"},
		// 0x90000000 in bits is 4 GiB.
		{version.Version{Major: 6, Minor: 1}, "DMA [0x80000000,0xc0000000) Normal [0x100000000,0x1c0000000)"},
		{version.Version{Major: 6, Minor: 12}, "DMA [0x80000000,0x90000000) DMA32 [0x90000000,0xc0000000) Normal [0x100000000,0x1c0000000)"},
	} {
		var zones []string
		for _, z := range read(t, "buses", devicetree.Options{Kernel: test.kernel}).Zones {
			zones = append(zones, z.Name+" "+z.Ranges.String())
		}
		if got := strings.Join(zones, " "); got != test.zones {
			t.Errorf("Linux %s: %s, want %s", test.kernel, got, test.zones)
		}
	}
}

func TestPools(t *testing.T) {
	d := read(t, "pools", devicetree.Options{})
	codec, wifi := []string{"/soc/video-codec@1000"}, []string{"/soc/wifi@2000"}
	at := func(lo, size uint64) mem.Range { return mem.Range{Lo: lo, Hi: lo + size} }
	want := []machine.Region{
		{Name: "sram@10000000", Kind: machine.Coherent, Range: at(0x10000000, 0x10000), Users: []string{}},
		{Name: "firmware@41000000", Kind: machine.NoMap, Range: at(0x41000000, 0x100000), Users: []string{}},
		{Name: "wifi@42000000", Kind: machine.Restricted, Range: at(0x42000000, 0x400000), Users: wifi},
		// The first of its windows has no room for 64 MiB; at the end of the second.
		{Name: "default-pool", Kind: machine.CMA, Range: at(0x4c000000, 0x4000000), Placed: true, Default: true, Users: codec},
		// From the top of memory down, aligned, below what is reserved there.
		{Name: "codec", Kind: machine.Coherent, Range: at(0x5f700000, 0x800000), Placed: true, Users: codec},
		{Name: "log@5ff00000", Kind: machine.Reserved, Range: at(0x5ff00000, 0x80000), Users: []string{}},
		{Name: "log@5ff00000", Kind: machine.Reserved, Range: at(0x5ff80000, 0x40000), Users: []string{}},
	}
	if diff := cmp.Diff(want, d.Regions); diff != "" {
		t.Error(diff)
	}
	for _, warning := range []string{
		"mapped-pool@43000000 is no pool to Linux, and its memory not reserved: on arm,",
		"both@44000000 is no pool to Linux, and its memory not reserved: reusable and no-map exclude each other",
		"crooked@45000000 is no pool to Linux, and its memory not reserved: place and size of a CMA area have to be multiples of 4MiB",
		"giant: no room for its 512MiB",
	} {
		if !warned(d, warning) {
			t.Errorf("no warning %q in %q", warning, d.Warnings)
		}
	}
	if i := slices.IndexFunc(d.Devices, func(v machine.Device) bool { return v.Name == "video-codec-1000" }); i < 0 ||
		!slices.Equal(d.Devices[i].Pools, []string{"default-pool", "codec"}) {
		t.Errorf("devices %+v", d.Devices)
	}
	if d.Taken().Size() != 0x100000+0x400000+0x800000+0xc0000 {
		t.Errorf("taken %s", d.Taken())
	}
}

// TestBesideAnother has a region whose window begins with another one.
func TestBesideAnother(t *testing.T) {
	cells := dt.WithProperty(dt.PropertyU32("#address-cells", 1), dt.PropertyU32("#size-cells", 1))
	text := func(key, value string) dt.Property { return dt.Property{Name: key, Value: []byte(value + "\x00")} }
	root := dt.NewNode("", cells, dt.WithChildren(
		dt.NewNode("memory", dt.WithProperty(text("device_type", "memory"), dt.PropertyU32Array("reg", []uint32{0x40000000, 0x10000000}))),
		dt.NewNode("reserved-memory", cells, dt.WithProperty(dt.Property{Name: "ranges"}), dt.WithChildren(
			dt.NewNode("fixed", dt.WithProperty(dt.PropertyU32Array("reg", []uint32{0x40000000, 0x100000}))),
			dt.NewNode("moving", dt.WithProperty(dt.PropertyU32("size", 0x200000), dt.PropertyU32Array("alloc-ranges", []uint32{0x40000000, 0x8000000}))),
		)),
	))
	for kernel, want := range map[version.Version]uint64{{Major: 6, Minor: 4}: 0x47e00000, {Major: 6, Minor: 5}: 0x40100000} {
		d, err := devicetree.Read(made(t, root), devicetree.Options{Arch: machine.ARM64, Kernel: kernel})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Regions[1]; got.Name != "moving" || got.Range.Lo != want {
			t.Errorf("Linux %s: %+v, want it at 0x%x", kernel, got, want)
		}
	}
}

func warned(d *machine.Description, text string) bool {
	return slices.ContainsFunc(d.Warnings, func(w string) bool { return strings.Contains(w, text) })
}

// TestPoolsByPlatform has pools that depend on the page size and the architecture.
func TestPoolsByPlatform(t *testing.T) {
	d := read(t, "pools", devicetree.Options{Arch: machine.ARM64})
	if !slices.ContainsFunc(d.Regions, func(r machine.Region) bool { return r.Name == "mapped-pool@43000000" && r.Kind == machine.Coherent }) {
		t.Error("arm64 has pools that are mapped")
	}
	// A pageblock has 512 MiB, more than the machine has in one piece behind page 0.
	d = read(t, "pools", devicetree.Options{Arch: machine.ARM64, PageSize: 64 * mem.KiB})
	if !warned(d, "default-pool: no room") {
		t.Errorf("warnings %q", d.Warnings)
	}
}

func TestReadings(t *testing.T) {
	_, err := devicetree.Read(blob(t, "readings"), devicetree.Options{})
	if !errors.Is(err, devicetree.ErrNoRAM) {
		t.Errorf("error %v, want ErrNoRAM", err)
	}
	d := read(t, "readings", devicetree.Options{RAM: []devicetree.Bank{{Size: 1 * mem.GiB}}})
	if d.Platform.Arch != machine.RISCV64 || d.RAM.String() != "[0x80000000,0xc0000000)" {
		t.Errorf("platform %+v, RAM %s", d.Platform, d.RAM)
	}
	if len(d.Regions) != 1 || d.Regions[0].Name != "taken" || d.Regions[0].Range.Lo != 0xbf000000 {
		t.Errorf("regions %+v", d.Regions)
	}
	for _, warning := range []string{
		"/memory@0 is called memory but has not the device_type",
		"/reserved-memory/refused: alignment has 4 bytes; Linux wants 8",
		"/soc/bus has no #address-cells: Linux takes the 1 of /soc, the specification 2",
	} {
		if !warned(d, warning) {
			t.Errorf("no warning %q in %q", warning, d.Warnings)
		}
	}
	if v := d.Devices[0]; v.Coherence != devices.Coherent || v.Reach.String() != "[0x80000000,0x88000000)" {
		t.Errorf("device %+v", v)
	}
}

// TestRAM has banks that replace those of the tree.
func TestRAM(t *testing.T) {
	bank := func(base, size uint64) devicetree.Bank {
		return devicetree.Bank{Base: mem.Addr(base), HasBase: true, Size: mem.Size(size)}
	}
	d := read(t, "buses", devicetree.Options{RAM: []devicetree.Bank{{Size: 512 * mem.MiB}, bank(0x200000000, 1<<30)}})
	if d.RAM.String() != "[0x80000000,0xa0000000) ∪ [0x200000000,0x240000000)" || !warned(d, "the tree's own RAM [0x80000000,0xc0000000)") {
		t.Errorf("RAM %s, warnings %q", d.RAM, d.Warnings)
	}
	for _, wrong := range []devicetree.Bank{bank(0, 0), bank(1<<63, 1<<63)} {
		if _, err := devicetree.Read(blob(t, "buses"), devicetree.Options{RAM: []devicetree.Bank{wrong}}); err == nil {
			t.Errorf("RAM %+v", wrong)
		}
	}
}
