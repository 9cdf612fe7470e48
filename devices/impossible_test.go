package devices_test

import (
	"errors"
	"strings"
	"testing"

	"dmasim/devices"
	"dmasim/mem"
)

// memory is what there is of memory, as a device.
func memory(ranges ...mem.Range) devices.Device {
	d := devices.Device{Name: "memory"}
	for _, r := range ranges {
		d.Spans = append(d.Spans, devices.Span{Lo: mem.Addr(r.Lo), Hi: mem.Addr(r.Hi)})
	}
	return d
}

// TestImpossible holds what cannot be, in the field and by the rules, with the two
// devices and the rules that say so.
func TestImpossible(t *testing.T) {
	named := func(name string) devices.Device { return lookup(t, name)[0] }
	fimc := named("fimc-is-fw").WithoutIOMMU()
	tests := []struct {
		name    string
		devices []devices.Device
		payload uint64
		picture string
		want    [2]string // devices
		rules   [2]string // beginnings
	}{
		{
			name:    "an exact pitch beside one of whole tiles of 64 bytes",
			devices: []devices.Device{named("mxsfb"), named("rockchip-drm-mali")}, picture: "1366x768:rgb565",
			want: [2]string{"mxsfb", "rockchip-drm-mali"}, rules: [2]string{"image (a stride is the width", "image (strides are multiples of 64B"},
		}, {
			name:    "scanout from VRAM of what a camera captures",
			devices: []devices.Device{named("amdgpu-scanout"), named("rcar-vin")},
			want:    [2]string{"amdgpu-scanout", "rcar-vin"}, rules: [2]string{"addresses (vram of AMD)", "addresses (system memory)"},
		}, {
			name:    "two graphics cards, each with memory of its own",
			devices: []devices.Device{named("amdgpu-visible-vram"), named("i915-dg2-lmem")},
			want:    [2]string{"amdgpu-visible-vram", "i915-dg2-lmem"}, rules: [2]string{"addresses (vram of AMD)", "addresses (vram of Intel)"},
		}, {
			name:    "memory between two windows, below the bus limit",
			devices: []devices.Device{named("juno-pcie"), memory(mem.Range{Lo: 0x100000000, Hi: 0x800000000})},
			want:    [2]string{"juno-pcie", "memory"}, rules: [2]string{"reach (", "reach ("},
		}, {
			name:    "a restricted pool and a device that reaches something else",
			devices: []devices.Device{named("mt8192-wifi-restricted"), named("sunxi-cedar-a20")},
			want:    [2]string{"mt8192-wifi-restricted", "sunxi-cedar-a20"}, rules: [2]string{"reach ([0xc0000000,0xc4000000))", "reach ([0x40000000,0x50000000))"},
		}, {
			name:    "10 MiB at 64 MiB where the multiple is in the last 10 MiB of a CMA area",
			devices: []devices.Device{fimc, memory(mem.Range{Lo: 0x40800000, Hi: 0x44800000})}, payload: 10 * mib,
			want: [2]string{"fimc-is-fw", "memory"}, rules: [2]string{"alignment (64MiB)", "reach ("},
		}, {
			name:    "everything copied, and more than 256 KiB in one segment",
			devices: []devices.Device{named("sev-guest-swiotlb"), named("vc4-hvs")}, payload: 256*kib + 1,
			want: [2]string{"sev-guest-swiotlb", "vc4-hvs"}, rules: [2]string{"segments (at most 256KiB, mapped at most 256KiB)", "segments (one)"},
		}, {
			name:    "no DRAM at all",
			devices: []devices.Device{named("nvme-prp"), named("meson-g12a-sdio-sram")},
			want:    [2]string{"nvme-prp", "meson-g12a-sdio-sram"}, rules: [2]string{"addresses (system memory)", "addresses (sram of Amlogic)"},
		}, {
			name: "a 32-bit card behind a bus on which memory begins at 16 GiB",
			devices: []devices.Device{
				{Name: "card", AddressBits: 35, Translate: []devices.Translation{{CPU: 0, Bus: 16 * gib, Size: 32 * gib}}}, memory(mem.Range{Lo: 24 * gib, Hi: 32 * gib}),
			},
			want: [2]string{"card", "memory"}, rules: [2]string{"reach ([0x0,0x400000000))", "reach ("},
		}, {
			name: "an address bit and an alignment",
			devices: []devices.Device{
				{Name: "bit", ZeroBits: []uint8{12}},
				{Name: "odd", Align: 8 * kib, Origin: &devices.Origin{Base: 0x1000}},
			},
			want: [2]string{"bit", "odd"}, rules: [2]string{"zero bits ([12])", "alignment (8KiB)"},
		}, {
			name: "a base above what the other reaches",
			devices: []devices.Device{
				{Name: "bank", Origin: &devices.Origin{Base: 0x80000000}}, {Name: "low", AddressBits: 31},
			},
			want: [2]string{"bank", "low"}, rules: [2]string{"origin (0x80000000)", "reach ([0x0,0x80000000))"},
		}, {
			name:    "an end where none may be",
			devices: []devices.Device{{Name: "exec", Boundary: devices.Boundaries{{Size: 4 * kib, Exclusive: true}}}, {Name: "pages", Align: 4 * kib}},
			want:    [2]string{"exec", "pages"}, rules: [2]string{"boundary (4KiB)", "alignment (4KiB)"},
		}, {
			name:    "sizes",
			devices: []devices.Device{{Name: "small", SizeMax: mib}, {Name: "large", SizeMin: 2 * mib}},
			want:    [2]string{"small", "large"}, rules: [2]string{"size (at most 1MiB)", "size (at least 2MiB)"},
		}, {
			name:    "granularities of which one is a power of two",
			devices: []devices.Device{{Name: "power", PowerOfTwo: true}, {Name: "odd", Granularity: 48}},
			want:    [2]string{"power", "odd"}, rules: [2]string{"granularity (a power of two)", "granularity (48B)"},
		}, {
			name:    "padding that passes the aperture of another's IOMMU",
			devices: []devices.Device{{Name: "pads", Padding: 2 * mib}, {Name: "gart", IOMMU: devices.AlwaysIOMMU, MMU: &devices.MMU{Bits: 20}}},
			want:    [2]string{"pads", "gart"}, rules: [2]string{"size (padding 2MiB)", "translated addresses, reach ([0x0,0x100000))"},
		}, {
			name:    "an aperture of 32 MiB for the whole of a Tegra20",
			devices: []devices.Device{named("tegra20-gart")}, payload: 33 * mib,
			want: [2]string{"tegra20-gart", devices.TheBuffer}, rules: [2]string{"translated addresses, reach ([0x58000000,0x5a000000))", "size (33MiB)"},
		}, {
			name:    "a hole in the aperture",
			devices: []devices.Device{named("tegra-vde")}, payload: 3 * gib,
			want: [2]string{"tegra-vde", devices.TheBuffer}, rules: [2]string{"translated addresses, reach (", "size (3GiB)"},
		}, {
			name:    "a bank of 4 GiB",
			devices: []devices.Device{named("mtk-m4u-mt8192")}, payload: 5 * gib,
			want: [2]string{"mtk-m4u-mt8192", devices.TheBuffer}, rules: [2]string{"translated addresses, reach (", "size (5GiB)"},
		}, {
			name:    "one segment, longer than the longest",
			devices: []devices.Device{named("vc4-binner")}, payload: 17 * mib,
			want: [2]string{"vc4-binner", devices.TheBuffer}, rules: [2]string{"segments (at most 16MiB, one)", "size (17MiB)"},
		}, {
			name:    "shortest and longest segments",
			devices: []devices.Device{{Name: "long", SegmentMin: 64 * kib}, {Name: "short", SegmentMax: 4 * kib}},
			want:    [2]string{"long", "short"}, rules: [2]string{"segments (at least 64KiB)", "segments (at most 4KiB)"},
		}, {
			name:    "a boundary with a guard",
			devices: []devices.Device{{Name: "tg3", Boundary: devices.Boundaries{{Size: 64 * kib, Guard: 8}}}}, payload: 64*kib - 7,
			want: [2]string{"tg3", devices.TheBuffer}, rules: [2]string{"reach ([0x0,0xffffffffffffffff)), boundary (64KiB)", "size ("},
		}, {
			name: "contents of different kinds",
			devices: func() []devices.Device {
				frame := devices.Device{Name: "venus", Contents: []devices.Content{
					{Name: "non-pixel", Spans: []devices.Span{{Lo: 0x1000000, Size: 0x24800000}}}, {Name: "pixel", Spans: []devices.Span{{Lo: 0x40000000, Size: 0x10000000}}},
				}}
				other := frame
				frame.Content, other.Content, other.Name = "non-pixel", "pixel", "venus-too"
				return []devices.Device{frame, other}
			}(),
			want: [2]string{"venus", "venus-too"}, rules: [2]string{"reach (", "reach ("},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			plan, err := devices.Merge(test.devices...)
			if err == nil {
				err = plan.Check(test.payload)
			}
			if err == nil && test.picture != "" {
				_, err = plan.Layout(picture(t, test.picture))
			}
			var conflict *devices.Conflict
			if !errors.As(err, &conflict) {
				t.Fatalf("%v, want a conflict", err)
			}
			if conflict.Devices != test.want {
				t.Errorf("devices %q, want %q", conflict.Devices, test.want)
			}
			for i := range test.rules {
				if !strings.HasPrefix(conflict.Rules[i], test.rules[i]) {
					t.Errorf("rule %d: %s, want %s", i, conflict.Rules[i], test.rules[i])
				}
			}
		})
	}
}

// TestPossible is about what is close to impossible.
func TestPossible(t *testing.T) {
	fimc := lookup(t, "fimc-is-fw")[0].WithoutIOMMU()
	request := merge(t, fimc, memory(mem.Range{Lo: 0x41000000, Hi: 0x45000000})).Request(10*mib, 4096)
	if at, ok := request.Place(0, 1<<40, false); !ok || at != 0x44000000 {
		t.Errorf("the one place for 10 MiB at 64 MiB: %#x, %v", at, ok)
	}
	plan := merge(t, lookup(t, "sev-guest-swiotlb", "vc4-hvs")...)
	if err := plan.Check(256 * kib); err != nil {
		t.Error(err)
	}
	// Before the IOMMU, a mask that is no power of two; behind it, all memory.
	venus := merge(t, lookup(t, "venus-sdm845", "tg3-4g")...)
	if err := venus.Check(3 * gib); err != nil {
		t.Error(err)
	}
}
