package allocator

func init() {
	Register(Spec{
		Name:    "tlsf",
		Summary: "two-level segregated fit: a good fit in constant time, wherever in memory",
		Honours: HonoursAll,
		Params: []Param{
			{Name: "second-level", Summary: "free lists per power of two, rounded up to a power of two", Default: 32, Min: 2, Max: 64},
			{Name: "candidates", Summary: "free blocks looked at in each step of a search", Default: 32, Min: 1, Max: 1 << 20},
		},
		New: newTLSF,
	})
}

// newTLSF makes the two-level segregated fit of Masmano, Ripoll, Crespo and
// Real, "TLSF: a new dynamic memory allocator for real-time systems" (ECRTS
// 2004): segregated fit that looks into the list of the size itself only where
// the paper's search, for lists whose blocks are all long enough, finds nothing.
// The paper has no alignment and never looks into the list of the size.
func newTLSF(cfg Config) (Strategy, error) {
	return newSegregated(cfg, segregatedPolicy{
		lists: cfg.Params["second-level"], candidates: int(cfg.Params["candidates"]), ownLast: true,
	}), nil
}
