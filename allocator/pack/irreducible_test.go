package pack_test

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/pack"
)

const attempt = 100_000 // steps

func choose(buffers []pack.Buffer, indices []int) []pack.Buffer {
	var chosen []pack.Buffer
	for _, i := range indices {
		chosen = append(chosen, buffers[i])
	}
	return chosen
}

func TestIrreducibleAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buffers := tiny(t)
		needed := optimum(buffers)
		limit := rapid.Uint64Range(1, needed).Draw(t, "capacity")
		core, err := pack.Irreducible(context.Background(), buffers, limit, attempt)
		if err != nil {
			t.Fatal(err)
		}
		if limit == needed {
			if core != nil {
				t.Fatalf("core %+v of what fits", core)
			}
			return
		}
		if core == nil || !core.Irreducible || !slices.IsSorted(core.Buffers) {
			t.Fatalf("got %+v", core)
		}
		if got := optimum(choose(buffers, core.Buffers)); got <= limit {
			t.Fatalf("the core needs %d of %d", got, limit)
		}
		for k := range core.Buffers {
			without := slices.Delete(slices.Clone(core.Buffers), k, k+1)
			if len(without) == 0 {
				continue
			}
			if got := optimum(choose(buffers, without)); got > limit {
				t.Fatalf("the core needs %d of %d without buffer %d as well", got, limit, core.Buffers[k])
			}
		}
	})
}

// TestIrreducibleByLoad looks for the reason why an instance of MiniMalloc does
// not fit in a little less than its load: it is one time.
func TestIrreducibleByLoad(t *testing.T) {
	buffers := read(t, "K.1048576")
	core, err := pack.Irreducible(context.Background(), buffers, capacity-1, attempt)
	if err != nil {
		t.Fatal(err)
	}
	if core == nil || !core.Irreducible {
		t.Fatalf("got %+v", core)
	}
	var total, smallest uint64 = 0, capacity
	for _, b := range choose(buffers, core.Buffers) {
		total += b.Size
		smallest = min(smallest, b.Size)
		for _, c := range choose(buffers, core.Buffers) {
			if b.End <= c.Start || c.End <= b.Start {
				t.Errorf("%v and %v do not live together", b, c)
			}
		}
	}
	if total <= capacity-1 || total-smallest > capacity-1 {
		t.Errorf("a core of %d bytes, the smallest buffer has %d", total, smallest)
	}
}

// aboveLoad are buffers of which at most 4 bytes live at a time, and that need 5.
var aboveLoad = []pack.Buffer{
	{Start: 1, End: 3, Size: 2}, {Start: 0, End: 2, Size: 2}, {Start: 2, End: 4, Size: 1},
	{Start: 4, End: 6, Size: 2}, {Start: 2, End: 5, Size: 1}, {Start: 3, End: 5, Size: 1},
	{Start: 5, End: 7, Size: 2},
}

// TestIrreducibleBySearch has one reason in the middle of buffers that are none.
func TestIrreducibleBySearch(t *testing.T) {
	buffers := []pack.Buffer{{Start: -10, End: 0, Size: 4}, {Start: 0, End: 7, Size: 3}}
	for _, b := range aboveLoad {
		b.Start, b.End = b.Start+20, b.End+20
		buffers = append(buffers, b)
	}
	buffers = append(buffers, pack.Buffer{Start: 26, End: 28, Size: 2})
	core, err := pack.Irreducible(context.Background(), buffers, 4, attempt)
	if err != nil {
		t.Fatal(err)
	}
	if core == nil || !core.Irreducible || !slices.Equal(core.Buffers, []int{2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("got %+v", core)
	}

	// With a single step, nothing is known.
	core, err = pack.Irreducible(context.Background(), aboveLoad, 4, 1)
	if core != nil || err != nil {
		t.Errorf("got %+v, %v", core, err)
	}
}

func TestIrreducibleRefusesNothingToDo(t *testing.T) {
	for _, n := range [][2]uint64{{0, 1}, {1, 0}} {
		if _, err := pack.Irreducible(context.Background(), nil, n[0], int64(n[1])); err == nil {
			t.Errorf("capacity %d and %d steps are accepted", n[0], n[1])
		}
	}
}
