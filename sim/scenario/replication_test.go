package scenario_test

import (
	"errors"
	"testing"

	"go.yaml.in/yaml/v4"

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

// What is wrong one by one may be right together, and is checked then.
func TestWithAll(t *testing.T) {
	sc, err := scenario.Parse("aged.yaml", []byte(agedMachine))
	if err != nil {
		t.Fatal(err)
	}
	v := &sc.Variants[0]
	set := func(path, text string) scenario.Setting {
		return scenario.Setting{Path: path, Value: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}}
	}
	moved, err := v.WithAll([]scenario.Setting{set("heaps.left.arena.0.base", "1MiB"), set("heaps.right.arena.0.base", "0x0")})
	if err != nil || moved.Spec.Heaps[1].Arena[0].Base != 1<<20 {
		t.Fatal(err)
	}
	if _, err := v.With("heaps.left.arena.0.base", "1MiB"); err == nil {
		t.Error("overlapping heaps are right")
	}
	for _, c := range []struct {
		settings []scenario.Setting
		index    int
		inPath   bool
	}{
		{[]scenario.Setting{set("heaps.left.allocator", "best-fit"), set("heaps.left.allocator", "bestfit")}, 1, false},
		{[]scenario.Setting{set("heaps.left.allocator", "best-fit"), set("heaps.lefd.allocator", "best-fit")}, 1, true},
		{[]scenario.Setting{set("heaps.left.alocator", "best-fit"), set("seed", "2")}, 0, true},
	} {
		var wrong *scenario.SettingError
		if _, err := v.WithAll(c.settings); !errors.As(err, &wrong) || wrong.Index != c.index || wrong.InPath != c.inPath || wrong.Err.Suggestion == "" {
			t.Errorf("%v: %#v", c.settings, err)
		}
	}
}
