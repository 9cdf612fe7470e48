package bench

import (
	"context"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
)

// Outcome is what a strategy did, apart from its speed. It is the same in every
// replay.
type Outcome struct {
	Requests        int
	LimitedRequests int // those with a limit

	// Failures counts the requests that were refused, Missed those of them for
	// which there was a legal place. Limited and LimitedMissed count the requests
	// with a limit among them.
	Failures, Missed, Limited, LimitedMissed int
	// Misplaced counts the blocks that break the alignment or the limit of their
	// request, because the strategy does not honour it.
	Misplaced int

	Peak         uint64 // end of the highest block ever placed, in bytes from the arena's start
	PeakReserved uint64 // the most bytes that blocks held at once
	AddressSum   uint64 // of all blocks placed, in bytes from the arena's start, modulo 2^64

	// Fragmentation is 1 - largest hole / free bytes, the mean and the highest of
	// some 2000 samples: behind the first hundredth of the trace, every
	// 2000th of it.
	MeanFragmentation, PeakFragmentation float64
}

// samples is the number of samples of the fragmentation, and checks how often
// the ledger looks for overlapping blocks; warmUp is the part of the trace
// without samples.
const (
	samples = 2000
	checks  = 20
	warmUp  = 100
)

// examine replays the trace with a ledger beside the strategy.
func examine(ctx context.Context, t *Trace, name string, cfg allocator.Config) (Outcome, error) {
	s, err := allocator.New(name, cfg)
	if err != nil {
		return Outcome{}, err
	}
	e := examination{
		strategy: s,
		ledger:   ledger.New(cfg.Usable(), 1),
		blocks:   make([]allocator.Block, t.slots),
		handles:  make([]ledger.Handle, t.slots),
	}
	var fragmentation float64
	sampled := 0
	for i := range t.ops {
		if i%burst == 0 && ctx.Err() != nil {
			return Outcome{}, ctx.Err()
		}
		if err := e.do(&t.ops[i], t.Unit); err != nil {
			return Outcome{}, &FaultError{name, i + 1, err}
		}
		done := i + 1
		if done > t.Len()/warmUp && done%max(t.Len()/samples, 1) == 0 {
			index := e.fragmentation()
			fragmentation += index
			sampled++
			e.PeakFragmentation = max(e.PeakFragmentation, index)
		}
		if done%max(t.Len()/checks, 1) == 0 {
			if err := e.ledger.Check(); err != nil {
				return Outcome{}, &FaultError{name, done, err}
			}
		}
	}
	e.MeanFragmentation = fragmentation / float64(sampled)
	e.Peak, e.PeakReserved = e.ledger.HighWater(), e.ledger.PeakReserved()
	return e.Outcome, nil
}

// examination is a replay under way.
type examination struct {
	Outcome
	strategy allocator.Strategy
	ledger   *ledger.Ledger
	blocks   []allocator.Block // by slot; one of size 0 is none
	handles  []ledger.Handle   // by slot
}

func (e *examination) do(o *op, unit uint64) error {
	slot := o.slot &^ freed
	b := &e.blocks[slot]
	if o.slot&freed != 0 {
		if b.Size == 0 {
			return nil
		}
		if err := e.strategy.Free(*b); err != nil {
			return err
		}
		b.Size = 0
		return e.ledger.Free(e.handles[slot])
	}
	r := o.request(unit)
	e.Requests++
	if o.limit != 0 {
		e.LimitedRequests++
	}
	placed, ok := e.strategy.Alloc(r)
	if !ok {
		e.fail(r)
		return nil
	}
	if at, ok := r.Place(placed.Addr, placed.Addr+r.Size, false); !ok || at != placed.Addr {
		e.Misplaced++
	}
	e.AddressSum += placed.Addr
	*b, e.handles[slot] = placed, e.ledger.Alloc(placed, r.Size, 0)
	return nil
}

func (e *examination) fail(r allocator.Request) {
	missed := e.ledger.Diagnose(r).Cause == allocator.Policy
	limited := r.Hi != 0
	e.Failures++
	if missed {
		e.Missed++
	}
	if limited {
		e.Limited++
	}
	if limited && missed {
		e.LimitedMissed++
	}
}

func (e *examination) fragmentation() float64 {
	free := e.ledger.FreeBytes()
	if free == 0 {
		return 0
	}
	return 1 - float64(e.ledger.Largest())/float64(free)
}
