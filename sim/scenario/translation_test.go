package scenario_test

import (
	"strings"
	"testing"

	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/scenario"
)

// bridged is a machine with bounce buffers and IOMMU groups.
const bridged = `name: bridged
duration: 10s
memory: [{base: 0x1000, size: 8GiB}]
machine:
  kernel: 6.12
  swiotlb: {slots: 1000, restricted: [{name: wifi-pool, base: 0x40000000, size: 1MiB, devices: [wifi]}]}
heaps:
  - {name: system, kind: system}
devices:
  - {name: display, address_bits: 30}
  - {name: wifi}
  - {use: venus-msm8916, name: decoder}
  - {name: encoder, address_bits: 31, align: 8KiB}
iommu_groups:
  - {name: video, devices: [decoder, encoder], address_bits: 36, output_bits: 34, reserved: [{base: 0x8000000, size: 1MiB}]}
processes:
  - name: p
    program:
      - alloc: {heap: system, size: 1MiB, as: frame}
`

func TestBridged(t *testing.T) {
	s, err := scenario.Parse("bridged.yaml", []byte(bridged))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := s.Variants[0].Build(1)
	if err != nil {
		t.Fatal(err)
	}
	// 1000 slots are 8 segments of 128; the pool is at the top of the first 4 GiB.
	pool := mem.Range{Lo: 4<<30 - 8*256<<10, Hi: 4 << 30}
	restricted := mem.Range{Lo: 0x40000000, Hi: 0x40100000}
	if len(cfg.Bounce) != 2 || cfg.Bounce[0].Place != pool || cfg.Bounce[1].Place != restricted || cfg.Bounce[1].Devices[0] != 1 || cfg.Bounce[0].Force {
		t.Errorf("pools %+v", cfg.Bounce)
	}
	for _, z := range cfg.Machine.Zones {
		if both := z.Ranges.Intersect(mem.RangeSet{restricted, pool}); len(both) > 0 {
			t.Errorf("zone %s has bounce buffers: %s", z.Name, both)
		}
	}
	g := cfg.IOMMUs[0]
	if g.Name != "video" || !g.Lazy || g.Page != 4096 || g.Aperture != (mem.Range{Hi: 1 << 36}) || len(g.Masters) != 2 {
		t.Errorf("group %+v", g)
	}
	// What the decoder cannot address is not handed out.
	if want := mem.NewRangeSet(mem.Range{Lo: 0x8000000, Hi: 0x8100000}, mem.Range{Lo: 0xddc00000, Hi: 1 << 36}); g.Reserved.String() != want.String() {
		t.Errorf("reserved %s, want %s", g.Reserved, want)
	}
	if e := g.Masters[1].Emitted; e.AddressBits != 31 || e.Align != 8*mem.KiB || cfg.Devices[3].AddressBits != 34 || cfg.Devices[3].Align != 0 {
		t.Errorf("encoder: emits %+v, of memory %+v", e, cfg.Devices[3])
	}
	roundTrip(t, s)
	if _, err := sim.New(cfg); err != nil {
		t.Error(err)
	}
	text := strings.Replace(bridged, "kernel: 6.12", "kernel: 6.12\n  arch: arm64\n  dma_limit: 0x40000000", 1)
	if s, err = scenario.Parse("arm.yaml", []byte(text)); err != nil {
		t.Fatal(err)
	}
	if cfg, _ = s.Variants[0].Build(1); cfg.IOMMUs[0].Lazy || cfg.Bounce[0].Place.Hi != 0x40000000 {
		t.Errorf("on arm64: lazy %v, pool at %s", cfg.IOMMUs[0].Lazy, cfg.Bounce[0].Place)
	}
}

// TestBridgedMistakes: what is wrong is told with its place.
func TestBridgedMistakes(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown mode", "slots: 1000", "mode: forced", `6:19: unknown mode "forced", want normal, force or noforce (did you mean "force"?)`},
		{"too many slots", "slots: 1000", "slots: 3000000000", `6:20: want at most 2097152 slots, which are 4GiB`},
		{"no room", "slots: 1000", "slots: 2097152", `6:12: there is no room for 4GiB of bounce buffers below 0x100000000`},
		{"base outside memory", "slots: 1000", "base: 0x200000000", `6:19: [0x200000000,0x204000000) is not all memory, or a heap's`},
		{"base within a page", "slots: 1000", "base: 0x10000800", `6:19: want the start of a page`},
		{"pools overlap", "slots: 1000", "base: 0x40000000", `6:44: [0x40000000,0x40100000) overlaps another pool`},
		{"restricted pools too early", "kernel: 6.12", "kernel: 5.10", `6:38: Linux 5.10 has no restricted pools, they came with 5.15`},
		{"restricted pool of part of a slot", "base: 0x40000000", "base: 0x40000100", `6:39: a pool is whole slots of 2KiB, and at most 4GiB`},
		{"restricted pool of nobody", "devices: [wifi]", "devices: []", `6:96: no device`},
		{"restricted pool of somebody", "devices: [wifi]", "devices: [wiffi]", `6:97: unknown device "wiffi" (did you mean "wifi"?)`},
		{"two ways", "devices: [wifi]", "devices: [encoder]", `15:38: device "encoder" is in another IOMMU group or restricted pool, or there twice`},
		{"the default's name", "name: wifi-pool", "name: swiotlb", `6:46: that is the name of the default pool`},
		{"unknown device", "[decoder, encoder]", "[decoder, encodr]", `15:38: unknown device "encodr" (did you mean "encoder"?)`},
		{"twice", "[decoder, encoder]", "[decoder, decoder]", `15:38: device "decoder" is in another IOMMU group or restricted pool, or there twice`},
		{"no IOMMU", "align: 8KiB", "align: 8KiB, iommu: none", `15:38: the description of device "encoder" says that there is no IOMMU (iommu: none)`},
		{"page", "output_bits: 34", "page: 5KiB", `15:72: want a power of two from 4KiB to 64KiB`},
		{"page larger than the machine's", "output_bits: 34", "page: 16KiB", `15:72: Linux does not use an IOMMU whose pages are larger than its own, 4KiB`},
		{"input", "address_bits: 36", "address_bits: 65", `15:62: want 13 to 64 bits`},
		{"output", "output_bits: 34", "output_bits: 12", `15:79: want 13 to 64 bits`},
		{"aperture", "output_bits: 34", "aperture: {base: 0x1000000000, size: 1MiB}", `15:76: want a part of the addresses that the IOMMU translates, [0x0,0x1000000000)`},
		{"empty aperture", "output_bits: 34", "aperture: {base: 0x0, size: 4KiB}", `15:5: aperture [0x0,0x1000): no page of 4KiB behind address 0`},
		{"flush mode", "output_bits: 34", "mode: lasy", `15:72: unknown mode "lasy", want strict or lazy (did you mean "lazy"?)`},
		{"reserved nothing", "size: 1MiB}]}\nproc", "size: 0B}]}\nproc", `15:118: the range is empty`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(bridged, c.old, c.new, 1)
			if text == bridged {
				t.Fatal("nothing was replaced")
			}
			_, err := scenario.Parse("s.yaml", []byte(text))
			if err == nil {
				t.Fatal("no mistake was found")
			}
			got := strings.TrimPrefix(err.Error(), "s.yaml:")
			if i := strings.LastIndex(got, " (and "); i > 0 {
				got = got[:i]
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
