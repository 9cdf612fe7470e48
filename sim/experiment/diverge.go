package experiment

import (
	"context"
	"fmt"
	"iter"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/heap"
	"dmasim/sim/scenario"
)

// Divergence is where two variants on the same work part ways.
type Divergence struct {
	Variants [2]string `json:"variants"`
	Seed     uint64    `json:"seed"`
	Events   uint64    `json:"events"`  // that were compared
	Place    *Parting  `json:"place"`   // the first buffer that lies elsewhere; null: none does
	Outcome  *Parting  `json:"outcome"` // the first request that one serves and the other does not, or for another cause; null: there is none
	// Unlike is the first event that is of another kind, client, time or size: the
	// work itself differs from there on, and nothing beyond is compared. 0: never.
	Unlike uint64 `json:"unlike_event"`
}

// Parting is an event of both variants, and their memory just after it.
type Parting struct {
	Event  uint64        `json:"event"` // its number, from 1
	At     time.Duration `json:"at_ns"`
	Client string        `json:"client"`
	Heap   string        `json:"heap"`
	Size   mem.Size      `json:"size_bytes"`
	Sides  [2]Side       `json:"sides"`
}

// Side is one variant at a parting.
type Side struct {
	Cause   allocator.Cause `json:"cause"`   // none: served
	Address *mem.Addr       `json:"address"` // null: not served, or of a heap that takes pages
	Free    mem.Size        `json:"free_bytes"`
	Largest mem.Size        `json:"largest_free_bytes"`
	Arena   mem.Range       `json:"-"`
	Map     string          `json:"map"` // "" of a heap that takes pages
}

// mapCells is the length of a map: a character for each part of the arena, from
// its lowest address.
const mapCells = 72

// Diverge runs two variants side by side with one seed until the first request
// whose outcome differs, or to the end.
func Diverge(ctx context.Context, a, b *scenario.Variant, seed uint64) (*Divergence, error) {
	d := &Divergence{Variants: [2]string{a.Name, b.Name}, Seed: seed}
	first, err := newPlayer(ctx, a, seed)
	if err != nil {
		return nil, err
	}
	defer first.stop()
	second, err := newPlayer(ctx, b, seed)
	if err != nil {
		return nil, err
	}
	defer second.stop()
	for d.Outcome == nil && d.Unlike == 0 {
		x, y := first.next(), second.next()
		switch {
		case first.err != nil:
			return nil, fmt.Errorf("variant %s: %w", a.Name, first.err)
		case second.err != nil:
			return nil, fmt.Errorf("variant %s: %w", b.Name, second.err)
		case x == nil && y == nil:
			return d, nil
		case x == nil || y == nil || x.Kind != y.Kind || x.Client != y.Client || x.At != y.At || x.Size != y.Size || x.Heap != y.Heap:
			d.Unlike = d.Events + 1
			continue
		}
		d.Events++
		if x.Kind != sim.Alloc && x.Kind != sim.Map {
			continue
		}
		sameOutcome := x.Diagnosis.Cause == y.Diagnosis.Cause
		if d.Place == nil && (!sameOutcome || x.Buffer.Block.Addr != y.Buffer.Block.Addr) {
			d.Place = parting(first, second, x, y)
		}
		if !sameOutcome {
			d.Outcome = parting(first, second, x, y)
		}
	}
	return d, nil
}

// player runs a simulation event by event.
type player struct {
	sim  *sim.Simulation
	cfg  sim.Config
	pull func() (*sim.Event, bool)
	stop func()
	err  error
}

func newPlayer(ctx context.Context, v *scenario.Variant, seed uint64) (*player, error) {
	cfg, err := v.Build(seed)
	if err != nil {
		return nil, fmt.Errorf("variant %s: %w", v.Name, err)
	}
	s, err := sim.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("variant %s: %w", v.Name, err)
	}
	p := &player{sim: s, cfg: cfg}
	p.pull, p.stop = iter.Pull(func(yield func(*sim.Event) bool) {
		s.Observe(observerFunc(func(e *sim.Event) {
			if !yield(e) {
				s.Stop()
			}
		}))
		p.err = s.Run(ctx)
	})
	return p, nil
}

// next returns the next event, which is good until the one after; nil at the end.
func (p *player) next() *sim.Event {
	e, _ := p.pull()
	return e
}

// observerFunc is an observer of events.
type observerFunc func(*sim.Event)

func (observerFunc) Advance(time.Duration) {}

func (f observerFunc) Event(e *sim.Event) { f(e) }

func parting(a, b *player, x, y *sim.Event) *Parting {
	return &Parting{
		Event: x.Number, At: x.At, Client: a.cfg.Clients[x.Client].Name, Heap: a.cfg.Heaps[x.Heap].Name, Size: mem.Size(x.Size),
		Sides: [2]Side{a.side(x), b.side(y)},
	}
}

func (p *player) side(e *sim.Event) Side {
	s := Side{Cause: e.Diagnosis.Cause}
	h := p.sim.Heaps()[e.Heap]
	if h == nil {
		return s
	}
	if s.Cause == allocator.None {
		at := mem.Addr(e.Buffer.Block.Addr)
		s.Address = &at
	}
	s.Free, s.Largest = mem.Size(h.Ledger.FreeBytes()), mem.Size(h.Ledger.Largest())
	s.Arena = mem.Range{Lo: h.Arena[0].Lo, Hi: h.Arena[len(h.Arena)-1].Hi}
	s.Map = drawMap(h, s.Arena)
	return s
}

// drawMap draws an arena: in each cell the letter of the client that holds most of
// it, a for the first; "." where more is free, and "#" from the 27th client on.
func drawMap(h *heap.Heap, arena mem.Range) string {
	cell := max((arena.Hi-arena.Lo+mapCells-1)/mapCells, 1)
	held := make([]map[int]uint64, mapCells)
	for _, entry := range h.Ledger.Live() {
		for lo := entry.Lo; lo < entry.Hi; {
			i := (lo - arena.Lo) / cell
			hi := min(entry.Hi, arena.Lo+(i+1)*cell)
			if held[i] == nil {
				held[i] = map[int]uint64{}
			}
			held[i][int(entry.Owner)] += hi - lo
			lo = hi
		}
	}
	text := make([]byte, 0, mapCells)
	for i := range held {
		lo := arena.Lo + uint64(i)*cell
		if lo >= arena.Hi {
			break
		}
		letter, most, free := byte('.'), uint64(0), min(cell, arena.Hi-lo)
		for owner := range h.Owners {
			bytes := held[i][owner]
			free -= bytes
			if bytes > most {
				most, letter = bytes, '#'
				if owner < 26 {
					letter = 'a' + byte(owner)
				}
			}
		}
		if free > most {
			letter = '.'
		}
		text = append(text, letter)
	}
	return string(text)
}
