package scenario_test

import (
	"testing"

	"dmasim/sim/scenario"
)

const agedMachine = `
name: aged
duration: 1s
memory: [{base: 0, size: 128MiB}]
machine: {aged: {unusable: 0.5}}
heaps:
  - {name: system, kind: system}
  - {name: left, arena: [{base: 0, size: 1MiB}], allocator: tlsf}
  - {name: right, arena: [{base: 1MiB, size: 1MiB}], allocator: tlsf}
processes:
  - {name: init, anonymous: 1MiB}
`

// A replication draws the state of memory anew, as it does the work.
func TestBuildSeedsTheMachine(t *testing.T) {
	sc, err := scenario.Parse("aged.yaml", []byte(agedMachine))
	if err != nil {
		t.Fatal(err)
	}
	v := &sc.Variants[0]
	if !v.Random() {
		t.Error("an aged machine depends on no seed")
	}
	for _, seed := range []uint64{5, 6} {
		cfg, err := v.Build(seed)
		if err != nil || cfg.Machine.Seed != seed {
			t.Errorf("seed %d: machine has %d, %v", seed, cfg.Machine.Seed, err)
		}
	}
}

func TestWithAllocators(t *testing.T) {
	sc, err := scenario.Parse("aged.yaml", []byte(agedMachine))
	if err != nil {
		t.Fatal(err)
	}
	made, err := sc.WithAllocators([]string{"best-fit", "slab:slab=32"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.Resolved(".")
	if err != nil {
		t.Fatal(err)
	}
	again, err := scenario.Parse("again.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*scenario.Scenario{made, again} {
		for i, want := range []string{"best-fit", "slab:slab=32"} {
			v := s.Variants[i]
			if v.Name != scenario.NameFor(want, "variant") || v.Spec.Heaps[1].Allocator != want || v.Spec.Heaps[2].Allocator != want || v.Spec.Heaps[0].Allocator != "" {
				t.Errorf("variant %s has %+v", v.Name, v.Spec.Heaps)
			}
		}
	}
	for _, wrong := range [][]string{{"best-fitt"}, {"tlsf", "tlsf"}} {
		if _, err := sc.WithAllocators(wrong); err == nil {
			t.Errorf("%v: no error", wrong)
		}
	}
}
