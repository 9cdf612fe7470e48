package sim_test

import (
	"testing"

	"dmasim/mem"
	"dmasim/sim"
	"dmasim/workloads/program"
)

// TestFreesThatArePutOffAreDoneOnce: a heap's work is scheduled once for all that
// waits, however much that is, and what was freed is in the pool afterwards.
func TestFreesThatArePutOffAreDoneOnce(t *testing.T) {
	const rounds = 300
	cfg := machineWith(t, sim.Process{Name: "p", Program: do(
		program.Step{Verb: program.Repeat, Count: rounds, Of: none, As: none, Body: []program.Step{get(3, 64*mem.KiB, a), on(program.Close, a)}},
		sleep(10*ms), get(3, 2*mem.MiB, b), sleep(ms))})
	cfg.CheckEvery = 0
	seen, s := play(t, cfg)
	if seen.kinds[sim.Free] != rounds+1 {
		t.Fatalf("%d buffers freed", seen.kinds[sim.Free])
	}
	h := s.Pages()[3]
	if _, waits := h.Due(); waits || h.Usage().Blocks != 0 {
		t.Errorf("%+v, more to do: %v", h.Usage(), waits)
	}
	if kept := h.Kept(); kept != uint64(2*mem.MiB) { // the size of the pool
		t.Errorf("%s kept, want 2MiB", mem.Size(kept))
	}
	if n := s.Scheduled(); n > 20 {
		t.Errorf("%d things were scheduled for %d frees at one instant", n, rounds)
	}
}
