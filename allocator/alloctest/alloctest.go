package alloctest

import (
	"testing"

	"dmasim/allocator"
)

// Option says what a strategy promises.
type Option func(*suite)

// Honours names the parts of a request that the strategy takes into account, as
// in its [allocator.Spec]. Without it only the size is checked.
func Honours(parts allocator.Honours) Option { return func(s *suite) { s.honours = parts } }

// Exact says that the strategy never refuses a request for which there is a
// legal place.
func Exact() Option { return func(s *suite) { s.exact = true } }

// Unit says that a block for size bytes starts and ends at multiples of what
// unit returns, a multiple of the granule; this limits what Exact demands. A
// unit of 0 means that there are no blocks of that size. The default is the
// granule.
func Unit(unit func(size, granule uint64) uint64) Option { return func(s *suite) { s.unit = unit } }

// suite is a strategy and its promises.
type suite struct {
	make    func(allocator.Config) (allocator.Strategy, error)
	honours allocator.Honours
	exact   bool
	unit    func(size, granule uint64) uint64
}

// Run tests the strategies that newStrategy makes, which must not depend on
// each other. Its Params are nil; a strategy with parameters fills them in.
func Run(t *testing.T, newStrategy func(allocator.Config) (allocator.Strategy, error), options ...Option) {
	s := &suite{
		make: newStrategy,
		unit: func(_, granule uint64) uint64 { return granule },
	}
	for _, option := range options {
		option(s)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"random-operations", s.testRandom},
		{"exhaustion-and-recovery", s.testExhaustion},
		{"double-free", s.testDoubleFree},
		{"foreign-free", s.testForeignFree},
		{"determinism", s.testDeterminism},
		{"gaps", s.testGaps},
		{"granule", s.testGranule},
		{"extremes", s.testExtremes},
		{"direction", s.testDirection},
		{"no-allocation", s.testNoAllocation},
	} {
		t.Run(test.name, test.run)
	}
}
