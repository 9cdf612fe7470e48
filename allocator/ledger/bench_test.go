package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/ledger"
	"dmasim/mem"
)

// churn replaces one random block of a ledger after another.
type churn struct {
	ledger  *ledger.Ledger
	random  *rand.Rand
	handles []ledger.Handle
	places  []allocator.Block
	spare   allocator.Block
	next    []uint32 // which blocks to replace, drawn beforehand
	at      int
}

// newChurn makes a ledger of an arena from base on, with live blocks of 1 to 8
// pages, each with a random gap behind it.
func newChurn(base uint64, live int) *churn {
	c := &churn{random: rand.New(rand.NewPCG(1, 2))}
	addr := base
	for range live + 1 {
		size := (1 + c.random.Uint64N(8)) << 12
		c.places = append(c.places, allocator.Block{Addr: addr, Size: size})
		addr += size + c.random.Uint64N(4)<<12
	}
	c.random.Shuffle(len(c.places), func(i, j int) { c.places[i], c.places[j] = c.places[j], c.places[i] })
	c.spare, c.places = c.places[live], c.places[:live]
	c.ledger = ledger.New(mem.RangeSet{{Lo: base, Hi: addr}}, 4)
	for i, place := range c.places {
		c.handles = append(c.handles, c.ledger.Alloc(place, place.Size, i%4))
	}
	c.next = make([]uint32, 1<<16)
	for i := range c.next {
		c.next[i] = c.random.Uint32N(uint32(live))
	}
	return c
}

// step frees a random block and places one where the last freed one was.
func (c *churn) step() {
	i := c.next[c.at&(len(c.next)-1)]
	c.at++
	if err := c.ledger.Free(c.handles[i]); err != nil {
		panic(err)
	}
	c.places[i], c.spare = c.spare, c.places[i]
	c.handles[i] = c.ledger.Alloc(c.places[i], c.places[i].Size, int(i)%4)
}

func BenchmarkAllocFree(b *testing.B) {
	for _, watches := range []int{0, 3} {
		b.Run(fmt.Sprintf("live=10000/watches=%d", watches), func(b *testing.B) {
			c := newChurn(0, 10_000)
			for i := range watches {
				c.ledger.Watch(mem.RangeSet{{Lo: 0, Hi: 1 << (26 + i)}}, func(owner int) bool { return owner == i })
			}
			b.ReportAllocs()
			for b.Loop() {
				c.step()
			}
		})
	}
}

func BenchmarkHolesAfter(b *testing.B) {
	for _, changes := range []int{2, 100, 500, 1000, 2000, 5000, 20000} {
		b.Run(fmt.Sprintf("live=10000/changes=%d", changes), func(b *testing.B) {
			c := newChurn(0, 10_000)
			for b.Loop() {
				b.StopTimer()
				for range changes / 2 {
					c.step()
				}
				b.StartTimer()
				c.ledger.Largest()
			}
		})
	}
}

// BenchmarkDiagnose explains failures with a change between any two.
func BenchmarkDiagnose(b *testing.B) {
	for _, test := range []struct {
		name string
		req  allocator.Request
	}{
		{"exhausted", allocator.Request{Size: 1 << 40}},
		{"window", allocator.Request{Size: 48 << 20, Hi: 1 << 27}},
		{"fragmented", allocator.Request{Size: 1 << 22, Hi: 1 << 27}},
		{"alignment", allocator.Request{Size: 3 << 12, Align: 1 << 27, Lo: 1}},
		{"boundary", allocator.Request{Size: 3 << 12, Boundary: 2 << 12}},
		{"policy", allocator.Request{Size: 3 << 12, Align: 1 << 14}},
	} {
		b.Run(test.name, func(b *testing.B) {
			c := newChurn(0, 10_000)
			if d := c.ledger.Diagnose(test.req); d.Cause.String() != test.name {
				b.Fatalf("%+v", d)
			}
			b.ReportAllocs()
			for b.Loop() {
				c.step()
				c.ledger.Diagnose(test.req)
			}
		})
	}
}

// BenchmarkWalk walks over all holes and all blocks, as samples do.
func BenchmarkWalk(b *testing.B) {
	for _, changes := range []int{500, 4000, 40000} {
		b.Run(fmt.Sprintf("live=10000/changes=%d", changes), func(b *testing.B) {
			c := newChurn(0, 10_000)
			var free, reserved uint64
			for b.Loop() {
				b.StopTimer()
				for range changes / 2 {
					c.step()
				}
				b.StartTimer()
				for _, hole := range c.ledger.Holes() {
					free += hole.Size()
				}
				for _, block := range c.ledger.Live() {
					reserved += block.Hi - block.Lo
				}
			}
			if free == 0 || reserved == 0 {
				b.Error("nothing was walked over")
			}
		})
	}
}
