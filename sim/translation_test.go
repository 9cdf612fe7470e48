package sim_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
	"dmasim/workloads/program"
)

// behindIOMMU puts a device of cfg behind an IOMMU of 1 GiB of addresses.
func behindIOMMU(cfg *sim.Config, device int, change func(*sim.IOMMUGroup)) {
	memory, emitted := cfg.Devices[device].BehindIOMMU(0)
	cfg.Devices[device] = memory
	g := sim.IOMMUGroup{
		Name: "smmu", Page: 4096, Aperture: mem.Range{Hi: uint64(mem.GiB)},
		Masters: []sim.Master{{Device: device, Emitted: emitted}},
	}
	if change != nil {
		change(&g)
	}
	cfg.IOMMUs = append(cfg.IOMMUs, g)
}

// withBounce makes a device reach the first GiB only, in which a pool is; the
// carveout is not.
func withBounce(cfg *sim.Config, device int, size mem.Size) {
	cfg.Devices[device].AddressBits = 30
	cfg.Bounce = append(cfg.Bounce, sim.BouncePool{Name: "swiotlb", Place: mem.Range{Lo: 0x3000_0000, Hi: 0x3000_0000 + uint64(size)}})
}

// TestTranslation tells stories of devices that do not address memory as it lies.
func TestTranslation(t *testing.T) {
	const carveout = 2
	r, w := program.ReadOnly, program.WriteOnly
	transfer := func(of program.Variable, access program.Access, time time.Duration) program.Step {
		return program.Step{Verb: program.DMA, Of: of, As: none, With: none, Access: access, Time: time}
	}
	unfenced := func(s program.Step) program.Step { s.Unfenced = true; return s }
	attach := func(of program.Variable, device int32, as program.Variable) program.Step {
		return program.Step{Verb: program.Attach, Of: of, Device: device, As: as}
	}
	mapped := func(size mem.Size, device int32, of, as program.Variable) []program.Step {
		return []program.Step{get(carveout, size, of), attach(of, device, as), on(program.MapDMA, as)}
	}
	steps := func(parts ...any) *program.Program {
		var list []program.Step
		for _, part := range parts {
			switch part := part.(type) {
			case program.Step:
				list = append(list, part)
			case []program.Step:
				list = append(list, part...)
			}
		}
		return do(list...)
	}
	sleep := func(d time.Duration) program.Step { return program.Step{Verb: program.Sleep, Time: d} }
	wait := func(of program.Variable) program.Step {
		return program.Step{Verb: program.Wait, Of: of, Access: w, As: none}
	}
	cpu := func(verb program.Verb, of program.Variable, access program.Access) program.Step {
		return program.Step{Verb: verb, Of: of, Access: access, As: none}
	}
	repeated := func(count uint64, body ...program.Step) program.Step {
		return program.Step{Verb: program.Repeat, Count: count, Body: body, Of: none, As: none}
	}
	pool := func(size mem.Size) func(*sim.Config) {
		return func(cfg *sim.Config) { withBounce(cfg, 1, size) }
	}
	iommu := func(change func(*sim.IOMMUGroup)) func(*sim.Config) {
		return func(cfg *sim.Config) { behindIOMMU(cfg, 1, change) }
	}
	lazy := func(g *sim.IOMMUGroup) { g.Lazy = true }
	padded := func(change func(*sim.Config)) func(*sim.Config) {
		return func(cfg *sim.Config) {
			cfg.Devices[1].Padding = 64
			change(cfg)
		}
	}
	const display, camera = 1, 0
	for name, test := range map[string]struct {
		program *program.Program
		change  func(*sim.Config)
		want    []string
	}{
		"out of reach, without bounce buffers": {
			program: steps(mapped(64*mem.KiB, display, a, b), sleep(ms)),
			change:  func(cfg *sim.Config) { cfg.Devices[display].AddressBits = 30 },
			want:    []string{"0s p: unreachable", "0s free 64KiB"},
		},
		"out of reach, bounced": {
			program: steps(mapped(64*mem.KiB, display, a, b), sleep(ms)),
			change:  pool(mem.MiB),
			want:    []string{"1ms free 64KiB"},
		},
		"the longest that is bounced": {
			program: steps(mapped(256*mem.KiB, display, a, b), sleep(ms)),
			change:  pool(mem.MiB),
			want:    []string{"1ms free 256KiB"},
		},
		"longer than that": {
			program: steps(mapped(260*mem.KiB, display, a, b), sleep(ms)),
			change:  pool(64 * mem.MiB),
			want:    []string{"0s p: bounce", "0s free 260KiB"},
		},
		"bounce buffers all used": {
			program: steps(repeated(5, mapped(256*mem.KiB, display, a, b)...), sleep(ms)),
			change:  pool(mem.MiB),
			want:    []string{"0s p: bounce", "1ms free 256KiB", "1ms free 256KiB", "1ms free 256KiB", "1ms free 256KiB", "1ms free 256KiB"},
		},
		"bounce buffers given back": {
			program: steps(mapped(256*mem.KiB, display, a, b), repeated(20, on(program.UnmapDMA, b), on(program.MapDMA, b)), sleep(ms)),
			change:  pool(256 * mem.KiB),
			want:    []string{"1ms free 256KiB"},
		},
		"bounce buffers out of reach themselves": {
			program: steps(mapped(64*mem.KiB, display, a, b), sleep(ms)),
			change: func(cfg *sim.Config) {
				withBounce(cfg, display, mem.MiB)
				cfg.Devices[display].AddressBits = 29
			},
			want: []string{"0s p: unreachable", "0s free 64KiB"},
		},
		"a restricted pool, though memory is in reach": {
			program: steps(mapped(512*mem.KiB, display, a, b), sleep(ms)),
			change: func(cfg *sim.Config) {
				withBounce(cfg, display, 64*mem.MiB)
				cfg.Devices[display].AddressBits, cfg.Bounce[0].Devices = 0, []int{display}
			},
			want: []string{"0s p: bounce", "0s free 512KiB"},
		},
		"the pool of others": {
			program: steps(mapped(64*mem.KiB, display, a, b), sleep(ms)),
			change: func(cfg *sim.Config) {
				withBounce(cfg, display, 64*mem.MiB)
				cfg.Bounce[0].Devices = []int{camera}
			},
			want: []string{"0s p: unreachable", "0s free 64KiB"},
		},
		"forced": {
			program: steps(mapped(512*mem.KiB, camera, a, b), sleep(ms)),
			change: func(cfg *sim.Config) {
				withBounce(cfg, display, 64*mem.MiB)
				cfg.Bounce[0].Force = true
			},
			want: []string{"0s p: bounce", "0s free 512KiB"},
		},
		"a driver that does not know the reach": {
			program: steps(mapped(64*mem.KiB, display, a, b), transfer(b, w, ms), wait(a)),
			change: func(cfg *sim.Config) {
				withBounce(cfg, display, 64*mem.MiB)
				cfg.Devices[display].Beyond = devices.Faults
			},
			want: []string{"0s fault display p", "1ms free 64KiB"},
		},
		"an import goes stale": {
			program: steps(mapped(64*mem.KiB, display, a, b), attach(a, camera, c), on(program.MapDMA, c), transfer(c, w, ms), transfer(b, r, ms), wait(a)),
			change:  pool(mem.MiB),
			want:    []string{"1ms stale-transfer display p", "2ms lost-write display p", "2ms free 64KiB"},
		},
		"mapped when the other is done, it does not": {
			program: steps(get(carveout, 64*mem.KiB, a), attach(a, camera, c), on(program.MapDMA, c), transfer(c, w, ms), wait(a), on(program.UnmapDMA, c),
				attach(a, display, b), on(program.MapDMA, b), transfer(b, r, ms), wait(a)),
			change: pool(mem.MiB),
			want:   []string{"2ms free 64KiB"},
		},
		"a bracket loses data": {
			program: steps(mapped(64*mem.KiB, display, a, b), attach(a, camera, c), on(program.MapDMA, c), bind(program.Mmap, a, d), transfer(c, w, ms), wait(a),
				cpu(program.BeginCPUAccess, a, r), on(program.Read, d), cpu(program.EndCPUAccess, a, r)),
			change: pool(mem.MiB),
			want:   []string{"1ms lost-write p", "1ms stale-read p", "1ms free 64KiB"},
		},
		"the CPU wrote without a bracket": {
			program: steps(mapped(64*mem.KiB, display, a, b), bind(program.Mmap, a, d), on(program.Write, d), transfer(b, r, ms), wait(a)),
			change:  pool(mem.MiB),
			want:    []string{"0s stale-transfer display p", "1ms lost-write display p", "1ms free 64KiB"},
		},
		"the CPU wrote within one": {
			program: steps(mapped(64*mem.KiB, display, a, b), bind(program.Mmap, a, d), on(program.Write, d), cpu(program.EndCPUAccess, a, w), transfer(b, r, ms), wait(a)),
			change:  pool(mem.MiB),
			want:    []string{"1ms free 64KiB"},
		},
		"what a device wrote to its copy": {
			program: steps(mapped(64*mem.KiB, display, a, b), bind(program.Mmap, a, d), transfer(b, w, ms), wait(a), on(program.Read, d), cpu(program.BeginCPUAccess, a, r), on(program.Read, d)),
			change:  pool(mem.MiB),
			want:    []string{"1ms stale-read p", "1ms free 64KiB"},
		},
		"overshoot into a slot": {
			program: steps(mapped(64*mem.KiB, display, a, b), get(carveout, 64*mem.KiB, c), transfer(b, w, ms), wait(a)),
			change:  padded(pool(mem.MiB)),
			want:    []string{"1ms free 64KiB", "1ms free 64KiB"},
		},
		"overshoot into somebody's copy": {
			program: steps(mapped(64*mem.KiB, display, a, b), mapped(64*mem.KiB, display, c, d), transfer(b, w, ms), wait(a), transfer(d, r, ms), wait(c)),
			change:  padded(pool(mem.MiB)),
			want:    []string{"0s scribble display p", "2ms free 64KiB", "2ms free 64KiB"},
		},
		"bounce buffers given back under a transfer": {
			program: steps(mapped(64*mem.KiB, display, a, b), unfenced(transfer(b, w, 5*ms)), on(program.Detach, b),
				mapped(64*mem.KiB, display, c, d), sleep(10*ms)),
			change: pool(64 * mem.KiB),
			want:   []string{"0s use-after-free display p", "0s scribble display p", "10ms free 64KiB", "10ms free 64KiB"},
		},
		"through an IOMMU, whatever the reach": {
			program: steps(mapped(mem.MiB, display, a, b), transfer(b, w, ms), wait(a)),
			change:  iommu(nil),
			want:    []string{"1ms free 1MiB"},
		},
		"pieces become one": {
			program: steps(get(0, mem.MiB+4*mem.KiB, a), attach(a, display, b), on(program.MapDMA, b), transfer(b, w, ms), wait(a)),
			change: func(cfg *sim.Config) {
				cfg.Devices[display].Contiguous = true
				behindIOMMU(cfg, display, nil)
			},
			want: []string{"1ms free 1028KiB"},
		},
		"but not across larger IOMMU pages": {
			program: steps(get(0, mem.MiB+4*mem.KiB, a), get(0, 4*mem.KiB, c), attach(c, display, d), on(program.MapDMA, d), get(0, 64*mem.KiB+4*mem.KiB, c), attach(c, display, b), on(program.MapDMA, b), sleep(ms)),
			change: func(cfg *sim.Config) {
				cfg.Devices[display].SegmentsMax = 1
				behindIOMMU(cfg, display, func(g *sim.IOMMUGroup) { g.Page = 128 << 10 })
			},
			want: []string{"0s p: segments", "0s free 1028KiB", "0s free 4KiB", "0s free 68KiB"},
		},
		"beyond the width of the IOMMU": {
			program: steps(mapped(mem.MiB, display, a, b), sleep(ms)),
			change: func(cfg *sim.Config) {
				behindIOMMU(cfg, display, nil)
				cfg.Devices[display].AddressBits = 30
			},
			want: []string{"0s p: unreachable", "0s free 1MiB"},
		},
		"overshoot ends with a fault": {
			program: steps(mapped(mem.MiB, display, a, b), get(carveout, mem.MiB, c), transfer(b, w, ms), wait(a)),
			change:  padded(iommu(nil)),
			want:    []string{"0s fault display p", "1ms free 1MiB", "1ms free 1MiB"},
		},
		"so does reading beyond the end": {
			program: steps(mapped(mem.MiB, display, a, b), get(carveout, mem.MiB, c), transfer(b, r, ms), wait(a)),
			change:  padded(iommu(nil)),
			want:    []string{"0s fault display p", "1ms free 1MiB", "1ms free 1MiB"},
		},
		"overshoot within the buffer": {
			program: steps(mapped(mem.MiB-64, display, a, b), transfer(b, w, ms), wait(a)),
			change:  padded(iommu(nil)),
			want:    []string{"1ms free 1048512B"},
		},
		"overshoot within the last IOMMU page": {
			program: steps(mapped(4*mem.KiB, display, a, b), get(carveout, mem.MiB, c), transfer(b, w, ms), wait(a)),
			change:  padded(iommu(func(g *sim.IOMMUGroup) { g.Page = 16 << 10 })),
			want:    []string{"0s scribble display p", "1ms free 1MiB", "1ms free 4KiB"},
		},
		"overshoot within the last IOMMU page and beyond": {
			program: steps(mapped(12*mem.KiB, display, a, b), get(carveout, mem.MiB, c), transfer(b, w, ms), wait(a)),
			change: func(cfg *sim.Config) {
				cfg.Devices[display].Padding = 8 * mem.KiB
				behindIOMMU(cfg, display, func(g *sim.IOMMUGroup) { g.Page = 16 << 10 })
			},
			want: []string{"0s fault display p", "0s scribble display p", "1ms free 1MiB", "1ms free 12KiB"},
		},
		"overshoot into another buffer of the group": {
			program: steps(mapped(mem.MiB, display, a, b), get(carveout, mem.MiB, c), attach(c, display, d), on(program.MapDMA, d), transfer(d, w, ms), wait(c)),
			change:  padded(iommu(nil)),
			want:    []string{"0s scribble display p", "1ms free 1MiB", "1ms free 1MiB"},
		},
		"addresses that the device cannot emit": {
			program: steps(mapped(mem.MiB, display, a, b), transfer(b, w, ms), wait(a)),
			change: func(cfg *sim.Config) {
				cfg.Devices[display].AddressBits, cfg.Devices[display].Beyond = 29, devices.Truncate
				behindIOMMU(cfg, display, nil)
			},
			want: []string{"0s fault display p", "1ms free 1MiB"},
		},
		"no room": {
			program: steps(mapped(2*mem.MiB, display, a, b), mapped(2*mem.MiB, display, c, d), sleep(ms)),
			change:  iommu(func(g *sim.IOMMUGroup) { g.Aperture.Hi = uint64(4 * mem.MiB) }),
			want:    []string{"0s p: iova", "0s free 2MiB", "0s free 2MiB"},
		},
		"strict: room again at once": {
			program: steps(mapped(mem.MiB, display, a, b), repeated(20, on(program.UnmapDMA, b), on(program.MapDMA, b)), sleep(ms)),
			change:  iommu(func(g *sim.IOMMUGroup) { g.Aperture.Hi = uint64(4 * mem.MiB) }),
			want:    []string{"1ms free 1MiB"},
		},
		"lazy: no room until the flush": {
			program: steps(mapped(mem.MiB, display, a, b), repeated(0, on(program.UnmapDMA, b), on(program.MapDMA, b)), sleep(9*ms), may(on(program.MapDMA, b)), sleep(ms), on(program.MapDMA, b), sleep(ms)),
			change: iommu(func(g *sim.IOMMUGroup) {
				lazy(g)
				g.Aperture.Hi = uint64(4 * mem.MiB)
			}),
			want: []string{"0s p: iova", "9ms p: iova", "11ms free 1MiB"},
		},
		"strict: unmapped under a transfer": {
			program: steps(mapped(mem.MiB, display, a, b), unfenced(transfer(b, w, 50*ms)), on(program.Detach, b), on(program.Close, a), get(carveout, mem.MiB, a), sleep(20*ms)),
			change:  iommu(nil),
			want:    []string{"0s fault display p", "0s free 1MiB", "20ms free 1MiB"},
		},
		"lazy: it goes on until the flush": {
			program: steps(mapped(mem.MiB, display, a, b), unfenced(transfer(b, w, 50*ms)), on(program.Detach, b), on(program.Close, a), get(carveout, mem.MiB, a), sleep(20*ms),
				get(carveout, mem.MiB, c), sleep(50*ms)),
			change: iommu(lazy),
			want:   []string{"0s use-after-free display p", "0s free 1MiB", "0s scribble display p", "10ms fault display p", "70ms free 1MiB", "70ms free 1MiB"},
		},
		"lazy: unmapped before a transfer begins": {
			program: steps(mapped(mem.MiB, display, a, b), transfer(b, w, 5*ms), unfenced(transfer(b, w, 5*ms)), on(program.UnmapDMA, b), sleep(20*ms)),
			change:  iommu(lazy),
			want:    []string{"5ms fault display p", "20ms free 1MiB"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := machineWith(t, sim.Process{Name: "p", Program: test.program})
			for i := range cfg.Devices {
				cfg.Devices[i].Coherence = devices.Coherent
			}
			test.change(&cfg)
			seen, _ := play(t, cfg)
			if got, want := strings.Join(seen.lines, "\n"), strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestFigures: what a failed map says.
func TestFigures(t *testing.T) {
	mapOf := func(size mem.Size) *program.Program {
		return do(program.Step{Verb: program.Repeat, Count: 3, Of: none, As: none, Body: []program.Step{
			get(2, size, a), {Verb: program.Attach, Of: a, Device: 1, As: b}, on(program.MapDMA, b), on(program.UnmapDMA, b), on(program.MapDMA, b),
		}})
	}
	for name, test := range map[string]struct {
		size   mem.Size
		change func(*sim.Config)
		want   string
	}{
		"bounce":   {200 * mem.KiB, func(cfg *sim.Config) { withBounce(cfg, 1, 512*mem.KiB) }, "bounce 200KiB 112KiB 56KiB 0B"},
		"too long": {512 * mem.KiB, func(cfg *sim.Config) { withBounce(cfg, 1, 64*mem.MiB) }, "bounce 512KiB 64MiB 256KiB 0B"},
		"iova": {mem.MiB, func(cfg *sim.Config) {
			behindIOMMU(cfg, 1, func(g *sim.IOMMUGroup) { g.Lazy, g.Aperture.Hi = true, uint64(4*mem.MiB) })
		}, "iova 1MiB 1020KiB 1020KiB 2MiB"},
	} {
		cfg := machineWith(t, sim.Process{Name: "p", Program: mapOf(test.size)})
		test.change(&cfg)
		got := ""
		s, err := sim.New(cfg, watcher(func(e *sim.Event) {
			if d := e.Diagnosis; e.Kind == sim.Map && d.Cause != allocator.None && got == "" {
				got = fmt.Sprintf("%v %v %v %v %v", d.Cause, mem.Size(d.Size), mem.Size(d.Free), mem.Size(d.Largest), mem.Size(d.Waiting))
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// TestClientsMap: buffers of a source are mapped for their devices as long as they
// live, with and without transfers, and a name can be used again at once.
func TestClientsMap(t *testing.T) {
	plan, err := devices.Merge()
	if err != nil {
		t.Fatal(err)
	}
	arena := mem.Range{Lo: 1 << 30, Hi: 1<<30 + 64<<20}
	cfg := sim.Config{
		CheckEvery: 1,
		Heaps:      []sim.Heap{{Name: "main", Arena: mem.NewRangeSet(arena), Granule: 4096, Allocator: "first-fit"}},
		Devices:    []devices.Device{{Name: "camera"}},
		Clients:    []sim.Client{{Name: "pictures", Devices: []int{0}, Plan: plan}},
		Inputs: []sim.Input{{Name: "script", Clients: []int{0}, Source: &script{ops: []workloads.Op{
			timed(0, 5*ms, uint64(mem.MiB)),
			{At: ms, Kind: workloads.Alloc, Size: uint64(2 * mem.MiB), Buffer: 7},
			{At: 2 * ms, Kind: workloads.Alloc, Size: uint64(8 * mem.MiB), Buffer: 8},
			{At: 3 * ms, Kind: workloads.Free, Buffer: 7},
			{At: 4 * ms, Kind: workloads.Alloc, Size: uint64(2 * mem.MiB), Buffer: 7},
			{At: 6 * ms, Kind: workloads.Free, Buffer: 7},
			{At: 6 * ms, Kind: workloads.Free, Buffer: 8},
		}}}},
	}
	behindIOMMU(&cfg, 0, func(g *sim.IOMMUGroup) { g.Aperture.Hi = uint64(8 * mem.MiB) })
	seen, s := play(t, cfg)
	want := []string{"2ms pictures: iova", "3ms free 2MiB", "5ms free 1MiB", "6ms free 2MiB", "6ms free 8MiB"}
	if got := strings.Join(seen.lines, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if u := s.Spaces()[0].Usage(); u.Used != 0 || u.Mappings != 0 {
		t.Errorf("in the end: %+v", u)
	}
	if seen.kinds[sim.Map] != 4 || seen.kinds[sim.Unmap] != 3 {
		t.Errorf("%d maps, one of which failed, %d unmaps", seen.kinds[sim.Map], seen.kinds[sim.Unmap])
	}
}
