package heap_test

import (
	"slices"
	"testing"
	"time"

	"dmasim/allocator"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

func free(t testing.TB, h *heap.Pages, now time.Duration, buffers ...heap.Buffer) {
	t.Helper()
	for _, b := range buffers {
		if err := h.Free(b, now); err != nil {
			t.Fatal(err)
		}
	}
}

func work(t testing.TB, h *heap.Pages, now time.Duration) {
	t.Helper()
	if err := h.Work(now); err != nil {
		t.Fatal(err)
	}
}

// TestPoolsAreQueues: what was freed first is handed out first, order by order,
// and counts as its new user's.
func TestPoolsAreQueues(t *testing.T) {
	m, first := machine(t, 64*mib)
	second := addOwner(t, m, physmem.OwnerConfig{Name: "second"})
	h := heap.NewPages(pages(m, heap.Pooled, v612))
	a, b := take(t, h, first, mib+65536), take(t, h, first, mib)
	blocks := slices.Concat(h.Blocks(a), h.Blocks(b))
	free(t, h, 0, a, b)
	if h.Kept() != 2*mib+65536 || h.Usage().Reserved != 0 || m.Counters().DMABuf != 512+16 {
		t.Fatalf("%d bytes kept, %+v", h.Kept(), h.Usage())
	}
	if kind, owner := m.At(blocks[0].PFN); kind != physmem.DMABuf || owner != 0 {
		t.Errorf("a frame of the pool is %v of owner %d", kind, owner)
	}
	counters := m.Counters()
	c := take(t, h, second, 2*mib)
	if want := []physmem.Block{blocks[0], blocks[2]}; !slices.Equal(h.Blocks(c), want) {
		t.Errorf("got %v, want %v", h.Blocks(c), want)
	}
	if m.Counters() != counters || h.Kept() != 65536 {
		t.Error("the page allocator was asked, although the pool had it")
	}
	if _, owner := m.At(blocks[0].PFN + 255); owner != second {
		t.Errorf("a frame belongs to owner %d, want %d", owner, second)
	}
	// A block of order 4 is no help for single pages, nor larger ones.
	if got := orders(h, take(t, h, second, 65536-4096)); got != "0x15" {
		t.Errorf("60 KiB are %s", got)
	}
	check(t, h)
}

// TestPoolsHaveTheOrdersOfAndroid in all releases.
func TestPoolsHaveTheOrdersOfAndroid(t *testing.T) {
	m, owner := machine(t, 64*mib)
	h := heap.NewPages(pages(m, heap.Pooled, v510))
	if got := orders(h, take(t, h, owner, mib)); got != "8x1" {
		t.Errorf("1 MiB in 5.10 is %s", got)
	}
}

// TestPoolSize: what the pools may not keep goes back, block by block. Buffers
// whose free was put off are not in the pools.
func TestPoolSize(t *testing.T) {
	for _, delay := range []time.Duration{0, ms} {
		m, owner := machine(t, 64*mib)
		cfg := pages(m, heap.Pooled, v612)
		cfg.Pool, cfg.Delay = mib+4096, delay
		h := heap.NewPages(cfg)
		before := m.Counters().Free
		a, b, c := take(t, h, owner, mib), take(t, h, owner, 65536+8192), take(t, h, owner, 3*mib)
		free(t, h, 0, a, b, c)
		if want := 4*mib + 65536 + 8192; delay > 0 && h.Kept() != want {
			t.Errorf("delay %v: %d bytes are kept before they are freed, want %d", delay, h.Kept(), want)
		}
		work(t, h, delay)
		if h.Kept() != mib+4096 || m.Counters().Free != before-257 {
			t.Errorf("delay %v: %d bytes kept, %d pages free of %d", delay, h.Kept(), m.Counters().Free, before)
		}
		check(t, h)
	}
}

// TestFreesThatArePutOff are done in their turn.
func TestFreesThatArePutOff(t *testing.T) {
	m, owner := machine(t, 64*mib)
	cfg := pages(m, heap.Pooled, v612)
	cfg.Delay = 5 * ms
	h := heap.NewPages(cfg)
	if _, ok := h.Due(); ok {
		t.Error("something is due")
	}
	a, b, c := take(t, h, owner, mib), take(t, h, owner, mib), take(t, h, owner, mib)
	first, second := h.Blocks(a)[0], h.Blocks(b)[0]
	free(t, h, 0, a)
	free(t, h, ms, b, c)
	if due, ok := h.Due(); !ok || due != 5*ms || h.Usage().Blocks != 0 || h.Kept() != 3*mib {
		t.Errorf("due at %v, %v; %+v", due, ok, h.Usage())
	}
	// Not yet in a pool: the next buffer is new.
	d := take(t, h, owner, mib)
	if h.Blocks(d)[0] == first || h.Kept() != 3*mib {
		t.Errorf("%v was handed out before it was in a pool", first)
	}
	work(t, h, 5*ms-1)
	if due, _ := h.Due(); due != 5*ms {
		t.Errorf("due at %v", due)
	}
	work(t, h, 5*ms)
	if due, _ := h.Due(); due != 6*ms {
		t.Errorf("due at %v", due)
	}
	e, f := take(t, h, owner, mib), take(t, h, owner, mib)
	if h.Blocks(e)[0] != first || h.Blocks(f)[0] == second {
		t.Errorf("got %v and %v", h.Blocks(e), h.Blocks(f))
	}
	work(t, h, 6*ms)
	if _, ok := h.Due(); ok || h.Kept() != 2*mib {
		t.Errorf("%d bytes kept", h.Kept())
	}
	check(t, h)
}

// TestPoolsUnderPressure: what waits to be freed goes first, the last of it
// first, then the pools, single pages before large blocks.
func TestPoolsUnderPressure(t *testing.T) {
	m, owner := machine(t, 64*mib)
	cfg := pages(m, heap.Pooled, v612)
	cfg.Delay = 5 * ms
	h := heap.NewPages(cfg)
	pooled := take(t, h, owner, 4*mib+60*4096) // 4 blocks of order 8, 3 of order 4, 12 pages
	old, young := take(t, h, owner, 2*mib), take(t, h, owner, mib)
	oldFrame, youngFrame := h.Blocks(old)[0].PFN, h.Blocks(young)[0].PFN
	smallFrame, middleFrame, largeFrame := h.Blocks(pooled)[18].PFN, h.Blocks(pooled)[4].PFN, h.Blocks(pooled)[0].PFN
	free(t, h, 0, pooled)
	work(t, h, 5*ms)
	free(t, h, 6*ms, old)
	free(t, h, 7*ms, young)
	all := 7*mib + 60*4096
	if h.Kept() != all {
		t.Fatalf("%d bytes kept, want %d", h.Kept(), all)
	}
	// Want of memory, a few pages at a time.
	glutton := addOwner(t, m, physmem.OwnerConfig{Name: "glutton", Unkillable: true})
	var gone []string
	frames := []struct {
		name string
		pfn  uint64
	}{{"young", youngFrame}, {"old", oldFrame}, {"small", smallFrame}, {"middle", middleFrame}, {"large", largeFrame}}
	for h.Kept() > 0 {
		if got, _, err := m.Populate(glutton, physmem.Anonymous, 1); err != nil || got != 1 {
			t.Fatalf("%d bytes kept, and no page to be had: %v", h.Kept(), err)
		}
		for _, f := range frames {
			kind, owner := m.At(f.pfn)
			if pooled := kind == physmem.DMABuf && owner == 0; !pooled && !slices.Contains(gone, f.name) {
				gone = append(gone, f.name)
			}
		}
	}
	if want := []string{"young", "old", "small", "middle", "large"}; !slices.Equal(gone, want) {
		t.Errorf("gave back %v, want %v", gone, want)
	}
	if _, ok := h.Due(); ok {
		t.Error("something is due")
	}
	work(t, h, time.Hour)
	if m.Counters().DMABuf != 0 || m.Counters().Kills != 0 {
		t.Errorf("%d frames, %d killed", m.Counters().DMABuf, m.Counters().Kills)
	}
	check(t, h)
}

// TestPressureOfTheHeapItself: a buffer that finds nothing free gets what the heap
// had put off, and what its own pools have in other sizes.
func TestPressureOfTheHeapItself(t *testing.T) {
	for _, kernel := range []string{"6.3", "6.12"} {
		m, owner := machine(t, 64*mib)
		version := v612
		if kernel == "6.3" {
			version = v63
		}
		cfg := pages(m, heap.Pooled, version)
		cfg.Delay = ms
		h := heap.NewPages(cfg)
		var small []heap.Buffer
		for range 1024 {
			small = append(small, take(t, h, owner, 32768))
		}
		free(t, h, 0, small[:512]...)
		work(t, h, ms)
		free(t, h, 2*ms, small[512:]...)
		if h.Kept() != 32*mib {
			t.Fatalf("%d bytes kept", h.Kept())
		}
		b := take(t, h, owner, 60*mib)
		if h.Kept() > 3*mib || m.Counters().Kills > 0 {
			t.Errorf("%v: %d bytes still kept, %d killed", kernel, h.Kept(), m.Counters().Kills)
		}
		free(t, h, 3*ms, b)
		check(t, h)
		refuse(t, h, owner, 65*mib, heap.Failure{Cause: allocator.Exhausted, Killed: true})
		if h.Kept() != 0 {
			t.Errorf("%v: %d bytes kept after a request that took everything", kernel, h.Kept())
		}
	}
}
