package sim

import "dmasim/workloads/program"

// useMemory grows, shrinks, touches or pins memory of a process.
func (s *Simulation) useMemory(index int32, step *program.Step) bool { return true }

// adopt makes memory of its own for a process, with some bytes in it.
func (s *Simulation) adopt(index int32, anonymous uint64) {}

// disown frees the memory of a process that ended.
func (s *Simulation) disown(index int32) {}
