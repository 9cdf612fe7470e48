package report_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

// cedar is a tiny model of a video decoder that reaches the first 256 MiB of
// 1 GiB and shares them with clients that reach everything.
type cedar struct {
	failures      [allocator.NumCauses]uint64
	arena, window mem.RangeSet
	othersHigh    bool // the others are placed from the top
	granule       uint64

	live []tinyBuffer // by address
	run  metrics.Run
}

type tinyBuffer struct {
	mem.Range
	client    int
	requested uint64
	until     time.Duration
	tone      uint8
}

const (
	cedarMapRows  = 192
	cedarDuration = 60 * time.Second
)

var cedarClients = []struct {
	name    string
	devices []string
	reach   int // of cedar.run's heap: 0 the decoder's window, 1 everything
	every   time.Duration
	sizes   [2]uint64
	life    [2]time.Duration
}{
	{"cedar", []string{"vpu"}, 0, 120 * time.Millisecond, [2]uint64{3110400, 3110400}, [2]time.Duration{400 * time.Millisecond, 3 * time.Second}},
	{"camera", []string{"isp"}, 1, 350 * time.Millisecond, [2]uint64{8 << 20, 12 << 20}, [2]time.Duration{3 * time.Second, 9 * time.Second}},
	{"display", []string{"de"}, 1, 200 * time.Millisecond, [2]uint64{64 << 10, 8 << 20}, [2]time.Duration{1 * time.Second, 60 * time.Second}},
}

func runCedar(othersHigh bool, granule uint64, seed uint64) metrics.Run {
	m := &cedar{
		arena:      mem.NewRangeSet(mem.Range{Lo: 0x40000000, Hi: 0x80000000}),
		window:     mem.NewRangeSet(mem.Range{Lo: 0x40000000, Hi: 0x50000000}),
		othersHigh: othersHigh, granule: granule,
	}
	m.run.Maps = []metrics.Map{{Hull: m.arena.Hull(), Arena: m.arena, Reaches: []mem.RangeSet{m.window, m.arena}, Rows: cedarMapRows}}
	m.run.Summary.Duration = cedarDuration
	heap := metrics.HeapTotals{Name: "dram", Causes: map[string]uint64{}, Allocator: "first-fit", Capacity: mem.Size(m.arena.Size()), UnusableSize: 4 * mem.MiB,
		Reaches: []metrics.ReachTotals{{Device: "vpu", Capacity: mem.Size(m.window.Size())}, {Device: "isp", Capacity: mem.Size(m.arena.Size())}}}
	m.run.Summary.Heaps = []metrics.HeapTotals{heap}
	for _, c := range cedarClients {
		m.run.Summary.Clients = append(m.run.Summary.Clients, metrics.ClientTotals{Name: c.name, Devices: c.devices, Heap: "dram", Causes: map[string]uint64{}})
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	draw := func(r [2]uint64) uint64 { return r[0] + rng.Uint64N(r[1]-r[0]+1) }
	for at := time.Duration(0); at <= cedarDuration; at += 10 * time.Millisecond {
		m.live = slices.DeleteFunc(m.live, func(b tinyBuffer) bool { return b.until <= at })
		for i, c := range cedarClients {
			if at%c.every == 0 {
				size, life := draw(c.sizes), draw([2]uint64{uint64(c.life[0]), uint64(c.life[1])})
				m.alloc(at, i, c.reach == 0, size, at+time.Duration(life))
			}
		}
		if at%(150*time.Millisecond) == 0 {
			m.sample(at)
		}
	}
	m.total()
	return m.run
}

func (m *cedar) alloc(at time.Duration, client int, windowed bool, size uint64, until time.Duration) {
	m.run.Summary.Events++
	totals := &m.run.Summary.Clients[client]
	totals.Requests++
	totals.RequestedBytes += mem.Size(size)
	reserve := (size + m.granule - 1) / m.granule * m.granule
	reach := m.arena
	if windowed {
		reach = m.window
	}
	free := m.free()
	holes := free.Intersect(reach)
	if !windowed && m.othersHigh {
		holes = slices.Clone(holes)
		slices.Reverse(holes)
	}
	for _, hole := range holes {
		if hole.Size() >= reserve {
			lo := hole.Lo
			if !windowed && m.othersHigh {
				lo = hole.Hi - reserve
			}
			b := tinyBuffer{mem.Range{Lo: lo, Hi: lo + reserve}, client, size, until, uint8(m.run.Summary.Events & 1)}
			i, _ := slices.BinarySearchFunc(m.live, b.Lo, func(b tinyBuffer, lo uint64) int {
				if b.Lo < lo {
					return -1
				}
				return 1
			})
			m.live = slices.Insert(m.live, i, b)
			m.run.Summary.Heaps[0].HighWater = max(m.run.Summary.Heaps[0].HighWater, mem.Size(b.Hi-m.arena.Hull().Lo))
			return
		}
	}
	f := metrics.Failure{At: at, Op: m.run.Summary.Events, Client: totals.Name, Heap: "dram", Size: mem.Size(size), Reserve: mem.Size(reserve),
		Cause: allocator.Fragmented, Free: mem.Size(free.Size()), InReach: mem.Size(holes.Size()), Largest: mem.Size(largest(holes)), Polluted: mem.Size(m.polluted())}
	if f.InReach < f.Reserve {
		f.Cause = allocator.WindowFull
	}
	if f.Free < f.Reserve {
		f.Cause = allocator.Exhausted
	}
	totals.Failures++
	totals.FailedBytes += f.Size
	totals.Causes[f.Cause.String()]++
	m.run.Summary.Heaps[0].Causes[f.Cause.String()]++
	m.failures[f.Cause]++
	m.run.Failures = append(m.run.Failures, f)
}

func (m *cedar) free() mem.RangeSet {
	used := make([]mem.Range, len(m.live))
	for i, b := range m.live {
		used[i] = b.Range
	}
	return m.arena.Subtract(mem.NewRangeSet(used...))
}

// polluted is what the others hold of the window.
func (m *cedar) polluted() (n uint64) {
	for _, b := range m.live {
		if b.client != 0 {
			n += b.Intersect(m.window[0]).Size()
		}
	}
	return n
}

func largest(set mem.RangeSet) (n uint64) {
	for _, r := range set {
		n = max(n, r.Size())
	}
	return n
}

func (m *cedar) sample(at time.Duration) {
	free := m.free()
	s := metrics.Sample{At: at, Free: free.Size(), Largest: largest(free), Holes: len(free), Blocks: len(m.live), Failures: m.failures}
	for _, b := range m.live {
		s.Requested += b.requested
		s.Reserved += b.Size()
	}
	s.Peak = s.Reserved
	reachable := free.Intersect(m.window)
	s.Reaches = []metrics.ReachSample{
		{Free: reachable.Size(), Largest: largest(reachable), Polluted: m.polluted()},
		{Free: s.Free, Largest: s.Largest},
	}
	m.run.Samples = append(m.run.Samples, s)

	p := &m.run.Maps[0]
	p.Times = append(p.Times, at)
	row := p.Hull.Size() / uint64(p.Rows)
	for i := range uint64(p.Rows) {
		r := mem.Range{Lo: p.Hull.Lo + i*row, Hi: p.Hull.Lo + (i+1)*row}
		cell := metrics.Cell{Client: -1}
		var most, used uint64
		for _, b := range m.live {
			n := b.Intersect(r).Size()
			used += n
			if n > most {
				most, cell.Client, cell.Tone = n, int16(b.client), b.tone
			}
		}
		cell.Fill = uint8(used * 255 / row)
		p.Cells = append(p.Cells, cell)
	}
}

func index(free, largest float64) float64 {
	if free == 0 {
		return 0
	}
	return 1 - largest/free
}

func (m *cedar) total() {
	h := &m.run.Summary.Heaps[0]
	n := float64(len(m.run.Samples))
	for _, s := range m.run.Samples {
		h.MeanRequested += float64(s.Requested) / n
		h.MeanReserved += float64(s.Reserved) / n
		h.MeanBlocks += float64(s.Blocks) / n
		h.PeakReserved = max(h.PeakReserved, mem.Size(s.Peak))
		h.PeakRequested = max(h.PeakRequested, mem.Size(s.Requested))
		i := index(float64(s.Free), float64(s.Largest))
		h.MeanLargestFreeIndex += i / n
		h.WorstLargestFreeIndex = max(h.WorstLargestFreeIndex, i)
		for k, r := range s.Reaches {
			t := &h.Reaches[k]
			i := index(float64(r.Free), float64(r.Largest))
			t.MeanFree += float64(r.Free) / n
			t.MeanPolluted += float64(r.Polluted) / n
			t.MeanLargestFreeIndex += i / n
			t.WorstLargestFreeIndex = max(t.WorstLargestFreeIndex, i)
		}
	}
	waste := h.MeanReserved - h.MeanRequested
	h.Internal = metrics.Internal{Padding: waste * 0.1, Granule: waste * 0.7, Allocator: waste * 0.2}
	if len(m.run.Failures) > 0 {
		m.run.Summary.First = &m.run.Failures[0]
	}
}

// cedarStory is the scenario in n variants, at most 8, the first two of which
// are the point: others low, and others high. What it returns shares its runs
// with other tests.
func cedarStory(n int) *result.Result {
	return &result.Result{Manifest: result.NewManifest("cedar-a20", 1), Variants: slices.Clone(cedarVariants()[:n])}
}

var cedarVariants = sync.OnceValue(func() []result.Variant {
	variants := make([]result.Variant, 8)
	for i := range variants {
		v := &variants[i]
		v.Name = "others-low"
		if i%2 == 1 {
			v.Name = "others-high"
		}
		granule := uint64(4096) << (2 * (i / 2))
		if i >= 2 {
			v.Name += fmt.Sprintf("-%dKiB", granule>>10)
		}
		v.Run = runCedar(i%2 == 1, granule, 1)
	}
	return variants
})
