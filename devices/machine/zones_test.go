package machine_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/internal/shareddata"
	"dmasim/mem"
)

func kernel(major, minor int) version.Version { return version.Version{Major: major, Minor: minor} }

func ranges(bounds ...uint64) mem.RangeSet {
	var set mem.RangeSet
	for i := 0; i < len(bounds); i += 2 {
		set = append(set, mem.Range{Lo: bounds[i], Hi: bounds[i+1]})
	}
	return set
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// Real memory maps. Addresses of device trees are those of Linux 6.1.
var (
	pc16GiB  = ranges(0x1000, 0x9fc00, 0x100000, 0xc0000000, 0x100000000, 0x440000000)
	rpi1GiB  = ranges(0, 0x3b400000)
	rpi4GiB  = ranges(0, 0x3b400000, 0x40000000, 0xfc000000)
	rpi8GiB  = ranges(0, 0x3b400000, 0x40000000, 0xfc000000, 0x100000000, 0x200000000)
	imx8mm   = ranges(0x40000000, 0xc0000000)
	poplar   = ranges(0, 0x80000000)
	mustang  = ranges(0x100000000, 0x180000000)
	appleM1  = ranges(0x800000000, 0xa00000000)
	juno     = ranges(0x80000000, 0x100000000, 0x880000000, 0xa00000000)
	a20      = ranges(0x40000000, 0x80000000)
	hifive   = ranges(0x80000000, 0x480000000)
	visionMB = ranges(0x80000000, 0xc0000000)
)

func TestZones(t *testing.T) {
	const rpiLimit = 0x40000000 // zone_dma_bits 30
	tests := map[string]struct {
		platform machine.Platform
		ram      mem.RangeSet
		want     []machine.Zone
	}{
		"PC, 16 GiB": {
			machine.Platform{Arch: machine.AMD64}, pc16GiB,
			[]machine.Zone{
				{"DMA", ranges(0x1000, 0x9f000, 0x100000, 0x1000000)},
				{"DMA32", ranges(0x1000000, 0xc0000000)},
				{"Normal", ranges(0x100000000, 0x440000000)},
			},
		},
		"PC, 16 GiB, x86-32 before 6.15": {
			machine.Platform{Arch: machine.I386, Kernel: kernel(6, 12)}, pc16GiB,
			[]machine.Zone{
				{"DMA", ranges(0x1000, 0x9f000, 0x100000, 0x1000000)},
				{"Normal", ranges(0x1000000, 896*mib)},
				{"HighMem", ranges(896*mib, 0xc0000000, 0x100000000, 0x440000000)},
			},
		},
		"PC, 16 GiB, x86-32, 6.15": {
			machine.Platform{Arch: machine.I386, Kernel: kernel(6, 15), LowMemory: 0x377fe000}, pc16GiB,
			[]machine.Zone{
				{"DMA", ranges(0x1000, 0x9f000, 0x100000, 0x1000000)},
				{"Normal", ranges(0x1000000, 0x377fe000)},
				{"HighMem", ranges(0x377fe000, 0xc0000000)},
			},
		},
		"PC, 512 MiB, x86-32 without high memory": {
			machine.Platform{Arch: machine.I386}, ranges(0x100000, 512*mib),
			[]machine.Zone{{"DMA", ranges(0x100000, 16*mib)}, {"Normal", ranges(16*mib, 512*mib)}},
		},
		"Raspberry Pi 4, 1 GiB": {
			machine.Platform{Arch: machine.ARM64, DMALimit: rpiLimit}, rpi1GiB,
			[]machine.Zone{{"DMA", rpi1GiB}},
		},
		"Raspberry Pi 4, 4 GiB": {
			machine.Platform{Arch: machine.ARM64, DMALimit: rpiLimit}, rpi4GiB,
			[]machine.Zone{{"DMA", ranges(0, 0x3b400000)}, {"DMA32", ranges(0x40000000, 0xfc000000)}},
		},
		"Raspberry Pi 4, 8 GiB": {
			machine.Platform{Arch: machine.ARM64, DMALimit: rpiLimit}, rpi8GiB,
			[]machine.Zone{
				{"DMA", ranges(0, 0x3b400000)},
				{"DMA32", ranges(0x40000000, 0xfc000000)},
				{"Normal", ranges(0x100000000, 0x200000000)},
			},
		},
		"Raspberry Pi 4, 8 GiB, 4.14": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(4, 14), DMALimit: rpiLimit}, rpi8GiB,
			[]machine.Zone{{"DMA", rpi4GiB}, {"Normal", ranges(0x100000000, 0x200000000)}},
		},
		"Raspberry Pi 4, 8 GiB, 5.4": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(5, 4), DMALimit: rpiLimit}, rpi8GiB,
			[]machine.Zone{{"DMA32", rpi4GiB}, {"Normal", ranges(0x100000000, 0x200000000)}},
		},
		"Raspberry Pi 4, 8 GiB, arm": {
			machine.Platform{Arch: machine.ARM, DMALimit: rpiLimit}, rpi8GiB,
			[]machine.Zone{
				{"DMA", ranges(0, 0x30000000)},
				{"HighMem", ranges(0x30000000, 0x3b400000, 0x40000000, 0xfc000000, 0x100000000, 0x200000000)},
			},
		},
		"Raspberry Pi 3, 6.1: the limit is rounded up": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 1), DMALimit: 0x3f000000}, ranges(0, 0x40000000),
			[]machine.Zone{{"DMA", ranges(0, 0x40000000)}},
		},
		"Raspberry Pi 3, 6.12: the limit is exact": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 12), DMALimit: 0x3f000000}, ranges(0, 0x40000000),
			[]machine.Zone{{"DMA", ranges(0, 0x3f000000)}, {"DMA32", ranges(0x3f000000, 0x40000000)}},
		},
		"i.MX8M Mini": {
			machine.Platform{Arch: machine.ARM64}, imx8mm,
			[]machine.Zone{{"DMA", imx8mm}},
		},
		"i.MX8M Mini, 5.10: 1 GiB on every machine": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(5, 10)}, imx8mm,
			[]machine.Zone{{"DMA", ranges(0x40000000, 0x80000000)}, {"DMA32", ranges(0x80000000, 0xc0000000)}},
		},
		"i.MX8M Mini with a limit below its RAM, 6.1: widened": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 1), DMALimit: 0x40000000}, imx8mm,
			[]machine.Zone{{"DMA", imx8mm}},
		},
		"i.MX8M Mini with a limit below its RAM, 6.12: empty": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 12), DMALimit: 0x40000000}, imx8mm,
			[]machine.Zone{{"DMA32", imx8mm}},
		},
		"Poplar, 6.1": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 1), DMALimit: 0x40000000}, poplar,
			[]machine.Zone{{"DMA", ranges(0, 0x40000000)}, {"DMA32", ranges(0x40000000, 0x80000000)}},
		},
		"Mustang, RAM above 4 GiB, 6.1": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 1)}, mustang,
			[]machine.Zone{{"DMA", mustang}},
		},
		"Mustang, RAM above 4 GiB, 5.10": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(5, 10)}, mustang,
			[]machine.Zone{{"DMA", ranges(0x100000000, 0x140000000)}, {"DMA32", ranges(0x140000000, 0x180000000)}},
		},
		"Apple M1, 6.1, 16 KiB pages": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 1), PageSize: 16 * mem.KiB}, appleM1,
			[]machine.Zone{{"DMA", appleM1}},
		},
		"RAM above 4 GiB with a limit in it, 6.12": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 12), DMALimit: 0x840000000}, appleM1,
			[]machine.Zone{{"DMA", ranges(0x800000000, 0x840000000)}, {"Normal", ranges(0x840000000, 0xa00000000)}},
		},
		"Juno r2, 6.1": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 1), DMALimit: 0xa00000000}, juno,
			[]machine.Zone{{"DMA", ranges(0x80000000, 0x100000000)}, {"Normal", ranges(0x880000000, 0xa00000000)}},
		},
		"Juno r2, 6.12": {
			machine.Platform{Arch: machine.ARM64, Kernel: kernel(6, 12), DMALimit: 0xa00000000}, juno,
			[]machine.Zone{{"DMA", ranges(0x80000000, 0x100000000)}, {"Normal", ranges(0x880000000, 0xa00000000)}},
		},
		"Cubieboard2, without ZONE_DMA": {
			machine.Platform{Arch: machine.ARM}, a20,
			[]machine.Zone{{"Normal", ranges(0x40000000, 0x70000000)}, {"HighMem", ranges(0x70000000, 0x80000000)}},
		},
		"128 MiB of dma_zone_size": {
			machine.Platform{Arch: machine.ARM, Kernel: kernel(5, 7), DMALimit: 0xc8000000}, ranges(0xc0000000, 0xd0000000),
			[]machine.Zone{{"DMA", ranges(0xc0000000, 0xc8000000)}, {"Normal", ranges(0xc8000000, 0xd0000000)}},
		},
		"128 MiB of dma_zone_size, 5.8: a page less": {
			machine.Platform{Arch: machine.ARM, Kernel: kernel(5, 8), DMALimit: 0xc8000000}, ranges(0xc0000000, 0xd0000000),
			[]machine.Zone{{"DMA", ranges(0xc0000000, 0xc7fff000)}, {"Normal", ranges(0xc7fff000, 0xd0000000)}},
		},
		"HiFive Unmatched": {
			machine.Platform{Arch: machine.RISCV64}, hifive,
			[]machine.Zone{{"DMA32", ranges(0x80000000, 0x100000000)}, {"Normal", ranges(0x100000000, 0x480000000)}},
		},
		"RISC-V, 1 GiB": {
			machine.Platform{Arch: machine.RISCV64}, visionMB,
			[]machine.Zone{{"DMA32", visionMB}},
		},
		"less than a page": {
			machine.Platform{Arch: machine.AMD64}, ranges(0x1001, 0x2fff), nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := machine.Zones(test.platform, test.ram)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("zones (-want +got):\n%s", diff)
			}
		})
	}
}

func TestZonesRefuses(t *testing.T) {
	for _, p := range []machine.Platform{
		{},
		{Arch: "sparc"},
		{Arch: machine.AMD64, PageSize: 64 * mem.KiB},
		{Arch: machine.ARM64, PageSize: 8 * mem.KiB},
	} {
		if zones, err := machine.Zones(p, rpi4GiB); err == nil {
			t.Errorf("%+v has zones %v, want an error", p, zones)
		}
	}
}

// TestZonesOfKernelLog compares with what a real kernel printed.
func TestZonesOfKernelLog(t *testing.T) {
	log, err := os.ReadFile(shareddata.Path(t, "dmesg", "system-heap-oom-192MiB-linux-6.12.log"))
	if err != nil {
		t.Fatal(err)
	}
	address := func(text []byte) uint64 {
		n, err := strconv.ParseUint(string(text), 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var ram []mem.Range
	for _, m := range regexp.MustCompile(`BIOS-e820: \[mem (\w+)-(\w+)\] usable`).FindAllSubmatch(log, -1) {
		// The kernel never uses page 0.
		ram = append(ram, mem.Range{Lo: max(address(m[1]), 0x1000), Hi: address(m[2]) + 1})
	}
	zones, err := machine.Zones(machine.Platform{Arch: machine.AMD64, Kernel: kernel(6, 12)}, mem.NewRangeSet(ram...))
	if err != nil {
		t.Fatal(err)
	}
	type span struct {
		Name   string
		Lo, Hi uint64
	}
	var got, want []span
	for _, z := range zones {
		got = append(got, span{z.Name, z.Ranges.Hull().Lo, z.Ranges.Hull().Hi})
	}
	for _, m := range regexp.MustCompile(`\]   (\w+) +\[mem (\w+)-(\w+)\]`).FindAllSubmatch(log, -1) {
		want = append(want, span{string(m[1]), address(m[2]), address(m[3]) + 1})
	}
	// Where no hole is next to a limit, hulls are what the kernel prints.
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 2 {
		t.Errorf("zones (-kernel +model):\n%s", diff)
	}
}

// TestZonesPartitionMemory: every whole page that a kernel can use is in one
// zone, and zones are in order.
func TestZonesPartitionMemory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := machine.Platform{
			Arch: rapid.SampledFrom([]machine.Arch{machine.AMD64, machine.I386, machine.ARM64, machine.ARM, machine.RISCV64}).Draw(t, "arch"),
			Kernel: rapid.SampledFrom([]version.Version{
				kernel(4, 9), kernel(4, 16), kernel(5, 5), kernel(5, 8), kernel(5, 11), kernel(6, 12), kernel(6, 15),
			}).Draw(t, "kernel"),
			DMALimit:  mem.Addr(rapid.Uint64().Draw(t, "limit")),
			LowMemory: mem.Size(rapid.Uint64Range(0, 4*gib).Draw(t, "low")),
		}
		if p.Arch == machine.ARM64 {
			p.PageSize = rapid.SampledFrom([]mem.Size{4 * mem.KiB, 16 * mem.KiB, 64 * mem.KiB}).Draw(t, "page")
		}
		page := max(uint64(p.PageSize), 4096)
		var list []mem.Range
		for range rapid.IntRange(0, 5).Draw(t, "ranges") {
			lo := rapid.OneOf(rapid.Uint64Range(0, 16*gib), rapid.Uint64()).Draw(t, "lo")
			size := rapid.Uint64Range(0, 8*gib).Draw(t, "size")
			list = append(list, mem.Range{Lo: lo, Hi: lo + min(size, ^lo)})
		}
		ram := mem.NewRangeSet(list...)
		zones, err := machine.Zones(p, ram)
		if err != nil {
			t.Fatal(err)
		}
		var all mem.RangeSet
		for i, z := range zones {
			if len(z.Ranges) == 0 || i > 0 && z.Ranges.Hull().Lo < zones[i-1].Ranges.Hull().Hi {
				t.Fatalf("zone %v behind %v", z, zones[max(i-1, 0)])
			}
			for _, r := range z.Ranges {
				if r.Lo%page != 0 || r.Hi%page != 0 || !ram.Contains(r) {
					t.Fatalf("%s has %s, not whole pages of RAM %s", z.Name, r, ram)
				}
			}
			all = all.Union(z.Ranges)
		}
		usable := ram
		if p.Arch == machine.I386 {
			usable = ram.Intersect(ranges(0, max(uint64(p.LowMemory), 4*gib)))
		}
		for _, r := range usable.Subtract(all) {
			if first := (r.Lo + page - 1) / page * page; first >= r.Lo && first < r.Hi && r.Hi-first >= page {
				t.Fatalf("%s is in no zone of %v", r, zones)
			}
		}
	})
}

func ExampleZones() {
	zones, err := machine.Zones(machine.Platform{
		Arch:     machine.ARM64,
		DMALimit: 0x40000000, // a Raspberry Pi 4: 30 bits
	}, mem.RangeSet{{Lo: 0, Hi: 0x3b400000}, {Lo: 0x40000000, Hi: 0xfc000000}, {Lo: 0x100000000, Hi: 0x200000000}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, z := range zones {
		fmt.Printf("%-6s %s\n", z.Name, z.Ranges)
	}
	// Output:
	// DMA    [0x0,0x3b400000)
	// DMA32  [0x40000000,0xfc000000)
	// Normal [0x100000000,0x200000000)
}
