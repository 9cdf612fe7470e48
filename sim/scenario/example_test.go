package scenario_test

import (
	"fmt"

	"dmasim/sim/scenario"
)

const tiny = `name: tiny
duration: 1m
memory: [{base: 0x80000000, size: 64MiB}]
heaps: [{name: main, allocator: first-fit, aware: true}]
devices: [{name: camera, reach: [{lo: 0x80000000, size: 16MiB}]}]
workloads:
  - name: pictures
    heap: main
    devices: [camera]
    churn: {every: {exponential: {mean: 100ms}}, size: {fixed: 3060KiB}, lifetime: {fixed: 500ms}}
variants:
  - name: low
    set: {workloads.pictures.placement: low}
  - name: high
    set: {workloads.pictures.placement: high}
`

func ExampleParse() {
	s, err := scenario.Parse("tiny.yaml", []byte(tiny))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range s.Variants {
		client := v.Spec.Workloads[0].Churn.Clients[0]
		fmt.Println(v.Name, client.Name, client.Placement, v.Spec.Page)
	}

	_, err = scenario.Parse("tiny.yaml", []byte("name: tiny\nmemroy: []"))
	fmt.Println(err)
	// Output:
	// low pictures low 4KiB
	// high pictures high 4KiB
	// tiny.yaml:1:1: missing key "heaps" (and 1 more)
}

func ExampleVariant_Build() {
	s, err := scenario.Parse("tiny.yaml", []byte(tiny))
	if err != nil {
		fmt.Println(err)
		return
	}
	v := s.Variant("high")
	cfg, err := v.Build(v.Spec.Seed)
	if err != nil {
		fmt.Println(err)
		return
	}
	op, _ := cfg.Inputs[0].Source.Next(nil)
	fmt.Println(cfg.Heaps[0].Arena, cfg.Clients[0].Plan.Reach, op.Size, op.Lifetime)
	// Output:
	// [0x80000000,0x84000000) [0x80000000,0x81000000) 3133440 500ms
}

func ExampleVariant_With() {
	s, err := scenario.Open("cedar-256mib")
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := s.Variant("others-low").With("heaps.main.allocator", "best-fit")
	fmt.Println(v.Spec.Heaps[0].Allocator, err)

	_, err = v.With("heaps.main.alocator", "best-fit")
	fmt.Println(err)
	// Output:
	// best-fit <nil>
	// heaps.main.alocator=best-fit: unknown key "alocator" (did you mean "allocator"?)
}
