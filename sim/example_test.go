package sim_test

import (
	"context"
	"fmt"
	"time"

	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads"
)

// printer is an observer that tells what happened.
type printer struct{ cfg sim.Config }

func (p printer) Advance(_ time.Duration) {}

func (p printer) Event(e *sim.Event) {
	if e.Kind == sim.Alloc {
		fmt.Printf("%v %s: %v at %v, %v\n", e.At, p.cfg.Clients[e.Client].Name, mem.Size(e.Size), mem.Addr(e.Buffer.Block.Addr), e.Diagnosis.Cause)
	}
}

// A video engine that reaches the first 256 MiB, and a buffer that could lie
// anywhere but is in its way.
func ExampleNew() {
	vpu, _ := devices.Lookup("sunxi-cedar-a20")
	constrained, err := devices.Merge(vpu)
	if err != nil {
		fmt.Println(err)
		return
	}
	anywhere, err := devices.Merge()
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg := sim.Config{
		Heaps: []sim.Heap{{
			Name: "main", Arena: mem.NewRangeSet(mem.Range{Lo: 0x40000000, Hi: 0x80000000}),
			Granule: 4096, Allocator: "first-fit", Aware: true,
		}},
		Devices: []devices.Device{vpu},
		Clients: []sim.Client{
			{Name: "apps", Plan: anywhere},
			{Name: "decoder", Devices: []int{0}, Plan: constrained},
		},
		Inputs: []sim.Input{{
			Name: "script", Clients: []int{0, 1},
			Source: &script{ops: []workloads.Op{
				{At: 0, Client: 0, Buffer: 1, Size: uint64(255 * mem.MiB)},
				{At: time.Second, Client: 1, Buffer: 2, Size: uint64(3 * mem.MiB)},
			}},
		}},
	}
	s, err := sim.New(cfg, printer{cfg})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 0s apps: 255MiB at 0x40000000, none
	// 1s decoder: 3MiB at 0x0, window
}
