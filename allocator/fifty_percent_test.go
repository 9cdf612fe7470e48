package allocator_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// balance is a system in equilibrium: blocks arrive as a Poisson process, live
// for exponential times of mean 1, and the one that goes is any of them.
type balance struct {
	t        *testing.T
	strategy allocator.Strategy
	ledger   *ledger.Ledger
	capacity uint64
	align    uint64
	rng      *rand.Rand
	blocks   []allocator.Block
	handles  []ledger.Handle
}

const (
	balanceRate   = 100.0 // arrivals in the mean lifetime
	balanceMemory = 100_000
)

var balanceSizes = [...]uint64{10, 17, 23, 31, 50}

func newBalance(t *testing.T, policy string, align uint64) *balance {
	t.Helper()
	arena := mem.NewRangeSet(mem.Range{Hi: balanceMemory})
	s, err := allocator.New(policy, allocator.Config{Arena: arena})
	if err != nil {
		t.Fatal(err)
	}
	return &balance{
		t: t, strategy: s, ledger: ledger.New(arena, 1), capacity: balanceMemory, align: align,
		rng: rand.New(rand.NewPCG(1, align)),
	}
}

// flow counts what happened in a span of time.
type flow struct {
	time, holes, blocks, ends float64 // integrals over time, but for time itself
	placed                    float64
	exact, twoSided           float64 // blocks that took a whole hole, and that left two
	change                    int     // of the number of holes
}

// run goes on for a span of time.
func (b *balance) run(span float64) (f flow) {
	b.t.Helper()
	before := b.ledger.HoleCount()
	for f.time < span {
		rate := balanceRate + float64(len(b.blocks))
		holes := b.ledger.HoleCount()
		f.time += 1 / rate
		f.holes += float64(holes) / rate
		f.blocks += float64(len(b.blocks)) / rate
		f.ends += b.freeEnds() / rate
		if b.rng.Float64()*rate < balanceRate {
			b.place(balanceSizes[b.rng.IntN(len(balanceSizes))])
			f.placed++
			switch b.ledger.HoleCount() - holes {
			case -1:
				f.exact++
			case 1:
				f.twoSided++
			case 0:
			default:
				b.t.Fatalf("a placement made %d holes of %d", b.ledger.HoleCount(), holes)
			}
		} else {
			b.free(b.rng.IntN(len(b.blocks)))
		}
		f.change += b.ledger.HoleCount() - holes
	}
	if f.change != b.ledger.HoleCount()-before {
		b.t.Fatalf("%d holes became %d by changes that sum to %d", before, b.ledger.HoleCount(), f.change)
	}
	return f
}

func (b *balance) place(size uint64) {
	block, ok := b.strategy.Alloc(allocator.Request{Size: size, Align: b.align})
	if !ok {
		b.t.Fatalf("no room for %d bytes", size)
	}
	b.blocks = append(b.blocks, block)
	b.handles = append(b.handles, b.ledger.Alloc(block, size, 0))
}

func (b *balance) free(i int) {
	if err := b.strategy.Free(b.blocks[i]); err != nil {
		b.t.Fatal(err)
	}
	if err := b.ledger.Free(b.handles[i]); err != nil {
		b.t.Fatal(err)
	}
	last := len(b.blocks) - 1
	b.blocks[i], b.handles[i] = b.blocks[last], b.handles[last]
	b.blocks, b.handles = b.blocks[:last], b.handles[:last]
}

// freeEnds returns how many ends of the memory are free.
func (b *balance) freeEnds() float64 {
	return float64(b.ledger.FreeIn(mem.RangeSet{{Lo: 0, Hi: 1}}) + b.ledger.FreeIn(mem.RangeSet{{Lo: b.capacity - 1, Hi: b.capacity}}))
}

// TestFiftyPercentRule holds the number of holes to Knuth's fifty-percent rule
// (The Art of Computer Programming, volume 1, section 2.5) in the form that
// survives alignment: in equilibrium as many holes come as go, hence
//
//	holes = (blocks · (1 - exact + two-sided) + free ends of the memory) / 2
//
// where exact and two-sided are the shares of the placements that leave no hole
// of the one they use, and that leave two. Without alignment, with few exact
// fits, that is half a hole for each block, with much of it a whole one. The
// holes for each block are compared with another program's simulation as well.
func TestFiftyPercentRule(t *testing.T) {
	const batches, batch, warmUp = 20, 40, 20
	for _, test := range []struct {
		policy        string
		align         uint64
		holes, blocks float64
	}{
		{"first-fit", 1, 35.635, 100.08},
		{"first-fit", 16, 100.123, 100.08},
		{"best-fit", 1, 31.037, 100.08},
		{"best-fit", 64, 100.115, 100.08},
	} {
		b := newBalance(t, test.policy, test.align)
		b.run(warmUp)
		var perBlock, excess []float64
		for range batches {
			f := b.run(batch)
			exact, twoSided := f.exact/f.placed, f.twoSided/f.placed
			rule := (f.blocks/f.time*(1-exact+twoSided) + f.ends/f.time) / 2
			perBlock = append(perBlock, f.holes/f.blocks)
			excess = append(excess, f.holes/f.time-rule)
		}
		check := func(what string, got []float64, want float64) {
			mean, sd := stat.MeanStdDev(got, nil)
			if se := sd / math.Sqrt(batches); math.Abs(mean-want) > 4*se {
				t.Errorf("%s, alignment %d: %s %.4f ± %.4f, want %.4f", test.policy, test.align, what, mean, se, want)
			}
		}
		check("holes for each block", perBlock, test.holes/test.blocks)
		check("holes above the rule", excess, 0)
	}
}
