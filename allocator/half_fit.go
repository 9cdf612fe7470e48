package allocator

func init() {
	Register(Spec{
		Name:    "half-fit",
		Summary: "one list of holes per power of two, never searched: constant time, and a hole of less than twice the size may be missed",
		Honours: HonoursAll,
		New:     newHalfFit,
	})
}

// newHalfFit makes the half-fit of Ogasawara, "An algorithm with constant
// execution time for dynamic storage allocation" (RTCSA 1995): a hole of s
// granules is in list floor(log2 s), and a request for s takes the first hole of
// the lists from floor(log2(s-1))+1 on. What the paper calls incomplete memory
// use is that a hole of s to 2s granules may be free and not be found.
//
// The paper has no alignment. A request with one, or with any other constraint,
// is tried in that hole, and else in the first of those that are so long that
// alignment and boundary cannot matter. Windows and rules are honoured, but met
// by luck.
func newHalfFit(cfg Config) (Strategy, error) {
	return newSegregated(cfg, segregatedPolicy{lists: 1, candidates: 1}), nil
}
