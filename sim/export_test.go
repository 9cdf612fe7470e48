package sim

// Scheduled returns how much was ever scheduled.
func (s *Simulation) Scheduled() uint64 { return s.scheduled }
