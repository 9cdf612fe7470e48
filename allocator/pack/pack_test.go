package pack_test

import (
	"context"
	"errors"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator/pack"
	"dmasim/internal/shareddata"
	"dmasim/workloads/trace"
)

// instances are the challenging ones of MiniMalloc at 9f5cf81. All fit in 2^20
// bytes. firstFit is in the order of start, of those at one time the largest
// first, and bySize is first fit with the largest first; both from programs that
// share no code with this one.
var instances = []struct {
	name                   string
	load, firstFit, bySize uint64
}{
	{"A", 1048576, 1789952, 1352704},
	{"B", 1048576, 1681408, 1420288},
	{"C", 1039360, 1752064, 1417216},
	{"D", 986112, 1395712, 1292288},
	{"E", 1048576, 1925120, 1435648},
	{"F", 1048576, 1258496, 1433600},
	{"G", 1048576, 1226752, 1421312},
	{"H", 1048576, 1318912, 1355776},
	{"I", 1048576, 1910784, 1478656},
	{"J", 989184, 1821696, 1304576},
	{"K", 1048576, 2383872, 1352704},
}

const capacity = 1 << 20

func read(tb testing.TB, name string) []pack.Buffer {
	tb.Helper()
	path := shareddata.Path(tb, "minimalloc", name+".csv")
	file, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	problem, err := trace.ReadMiniMalloc(file, path)
	if err != nil {
		tb.Fatal(err)
	}
	buffers := make([]pack.Buffer, len(problem.Buffers))
	for i, b := range problem.Buffers {
		buffers[i] = pack.Buffer{Start: b.Lower, End: b.Upper, Size: b.Size, Align: b.Align}
	}
	return buffers
}

// check fails the test if the result is not a packing of the height it claims.
func check(tb rapid.TB, buffers []pack.Buffer, r *pack.Result) {
	tb.Helper()
	if err := pack.Check(buffers, r.Offsets); err != nil {
		tb.Fatal(err)
	}
	if got := pack.Height(buffers, r.Offsets); got != r.Height {
		tb.Fatalf("the packing is %d high, the result says %d", got, r.Height)
	}
	if r.LowerBound > r.Height {
		tb.Fatalf("lower bound %d above the height %d", r.LowerBound, r.Height)
	}
	last := r.Curve[len(r.Curve)-1]
	if last.Height != r.Height || r.Curve[0].Steps != 0 {
		tb.Fatalf("the curve does not lead from step 0 to the height %d: %v", r.Height, r.Curve)
	}
	for k, p := range r.Curve[1:] {
		if p.Height >= r.Curve[k].Height || p.Steps < r.Curve[k].Steps {
			tb.Fatalf("the curve does not fall: %v", r.Curve)
		}
	}
}

func TestBoundsAndFirstFitOfMiniMalloc(t *testing.T) {
	for _, want := range instances {
		t.Run(want.name, func(t *testing.T) {
			buffers := read(t, want.name+".1048576")
			load, err := pack.Load(buffers)
			if err != nil || load != want.load {
				t.Errorf("load %d, %v, want %d", load, err, want.load)
			}
			for by, height := range map[pack.Order]uint64{pack.ByStart: want.firstFit, pack.BySize: want.bySize} {
				offsets, err := pack.FirstFit(buffers, by)
				if err != nil {
					t.Fatal(err)
				}
				if err := pack.Check(buffers, offsets); err != nil {
					t.Error(err)
				}
				if got := pack.Height(buffers, offsets); got != height {
					t.Errorf("first fit by %s: height %d, want %d", by, got, height)
				}
			}
		})
	}
}

// TestPackMiniMalloc reaches the capacity on all instances. Where the load equals
// the capacity, that is proven to be optimal.
func TestPackMiniMalloc(t *testing.T) {
	const steps = 1e6 // more than four times what the hardest needs
	for _, want := range instances {
		t.Run(want.name, func(t *testing.T) {
			buffers := read(t, want.name+".1048576")
			r, err := pack.Pack(context.Background(), buffers, pack.Options{Capacity: capacity, Steps: steps})
			if err != nil {
				t.Fatal(err)
			}
			check(t, buffers, r)
			t.Logf("height %.4f of the capacity after %d steps", float64(r.Height)/capacity, r.Steps)
			if r.Height > capacity {
				t.Errorf("height %d above the capacity", r.Height)
			}
			if got := r.Optimal(); got != (r.Height == want.load) {
				t.Errorf("optimal: %v", got)
			}
		})
	}
}

func TestPackExample(t *testing.T) {
	buffers := read(t, "input.12")
	r, err := pack.Pack(context.Background(), buffers, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, buffers, r)
	if r.Height != 12 || !r.Optimal() {
		t.Errorf("height %d, want 12", r.Height)
	}
}

// tiny draws so few buffers that the optimum can be found by force, on a short
// time axis, so that packings are tight.
func tiny(t *rapid.T) []pack.Buffer {
	aligns := rapid.SampledFrom([][]uint64{{0, 1}, {1, 2, 4}, {2, 3}}).Draw(t, "alignments")
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pack.Buffer {
		start := rapid.Int64Range(-3, 5).Draw(t, "start")
		return pack.Buffer{
			Start: start,
			End:   start + rapid.Int64Range(1, 5).Draw(t, "duration"),
			Size:  rapid.Uint64Range(1, 7).Draw(t, "size"),
			Align: rapid.SampledFrom(aligns).Draw(t, "align"),
		}
	}), 1, 7).Draw(t, "buffers")
}

// optimum tries all orders of placing every buffer at the lowest offset where it
// is free. The best packing is among those: take its buffers by offset.
func optimum(buffers []pack.Buffer) uint64 {
	offsets := make([]uint64, len(buffers))
	placed := make([]bool, len(buffers))
	best := uint64(math.MaxUint64)
	var search func(left int, height uint64)
	search = func(left int, height uint64) {
		if height >= best {
			return
		}
		if left == 0 {
			best = height
			return
		}
		for i, b := range buffers {
			if placed[i] {
				continue
			}
			placed[i] = true
			offsets[i] = lowest(buffers, offsets, placed, i)
			search(left-1, max(height, offsets[i]+b.Size))
			placed[i] = false
		}
	}
	search(len(buffers), 0)
	return best
}

// lowest returns the lowest legal offset of buffer i among the other placed ones.
func lowest(buffers []pack.Buffer, offsets []uint64, placed []bool, i int) uint64 {
	b := buffers[i]
	for offset := uint64(0); ; offset += max(b.Align, 1) {
		free := true
		for j, c := range buffers {
			if j != i && placed[j] && b.Start < c.End && c.Start < b.End &&
				offset < offsets[j]+c.Size && offsets[j] < offset+b.Size {
				free = false
			}
		}
		if free {
			return offset
		}
	}
}

func TestPackAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buffers := tiny(t)
		want := optimum(buffers)
		bound, err := pack.LowerBound(buffers)
		if err != nil {
			t.Fatal(err)
		}
		if bound > want {
			t.Fatalf("lower bound %d above the optimum %d", bound, want)
		}
		r, err := pack.Pack(context.Background(), buffers, pack.Options{Seed: rapid.Uint64().Draw(t, "seed")})
		if err != nil {
			t.Fatal(err)
		}
		check(t, buffers, r)
		if r.Height != want || !r.Optimal() {
			t.Fatalf("height %d, lower bound %d, want %d for both", r.Height, r.LowerBound, want)
		}
		if want > 1 {
			r, err = pack.Pack(context.Background(), buffers, pack.Options{Capacity: want - 1})
			if err != nil {
				t.Fatal(err)
			}
			check(t, buffers, r)
			if r.LowerBound < want {
				t.Fatalf("not proven that %d is too little: lower bound %d", want-1, r.LowerBound)
			}
		}
	})
}

// random draws larger sets of buffers.
func random(t *rapid.T) []pack.Buffer {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) pack.Buffer {
		start := rapid.Int64Range(0, 100).Draw(t, "start")
		return pack.Buffer{
			Start: start,
			End:   start + rapid.Int64Range(1, 30).Draw(t, "duration"),
			Size:  rapid.Uint64Range(1, 1000).Draw(t, "size"),
			Align: rapid.SampledFrom([]uint64{0, 1, 16, 24, 64}).Draw(t, "align"),
		}
	}), 0, 60).Draw(t, "buffers")
}

func TestPackIsDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buffers := random(t)
		options := pack.Options{Seed: rapid.Uint64().Draw(t, "seed"), Steps: 5000}
		first, err := pack.Pack(context.Background(), buffers, options)
		if err != nil {
			t.Fatal(err)
		}
		check(t, buffers, first)
		again, err := pack.Pack(context.Background(), buffers, options)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(first.Offsets, again.Offsets) || !slices.Equal(first.Curve, again.Curve) || first.Steps != again.Steps {
			t.Fatalf("two results: %+v and %+v", first, again)
		}
		// With fewer steps the curve is the same as far as it goes.
		options.Steps = rapid.Int64Range(1, 5000).Draw(t, "fewer steps")
		short, err := pack.Pack(context.Background(), buffers, options)
		if err != nil {
			t.Fatal(err)
		}
		if short.Steps > options.Steps {
			t.Fatalf("%d steps, want at most %d", short.Steps, options.Steps)
		}
		if len(short.Curve) > len(first.Curve) || !slices.Equal(short.Curve, first.Curve[:len(short.Curve)]) {
			t.Fatalf("curve of %d steps %v, of %d steps %v", short.Steps, short.Curve, first.Steps, first.Curve)
		}
	})
}

func TestPackEndsWithItsContext(t *testing.T) {
	buffers := read(t, "D.1048576")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	improvements := 0
	r, err := pack.Pack(ctx, buffers, pack.Options{Improved: func(p pack.Point) {
		if improvements++; improvements == 3 {
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, buffers, r)
	if len(r.Curve) != 3 {
		t.Errorf("%d points after a cancellation at the third", len(r.Curve))
	}

	// With a context that has ended before, there is still a packing.
	r, err = pack.Pack(ctx, buffers, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, buffers, r)
	if r.Steps != 0 {
		t.Errorf("%d steps after the context has ended", r.Steps)
	}
}

func TestPackOfNothing(t *testing.T) {
	r, err := pack.Pack(context.Background(), nil, pack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	check(t, nil, r)
	if r.Height != 0 || !r.Optimal() || len(r.Offsets) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestBadBuffers(t *testing.T) {
	tests := map[string]pack.Buffer{
		"empty lifetime":    {Start: 3, End: 3, Size: 1},
		"negative lifetime": {Start: 3, End: 2, Size: 1},
		"no size":           {Start: 0, End: 1},
		"absurd size":       {Start: 0, End: 1, Size: 1 << 62},
		"absurd alignment":  {Start: 0, End: 1, Size: 1, Align: math.MaxUint64},
	}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			buffers := []pack.Buffer{{Start: 0, End: 1, Size: 1}, bad}
			_, packErr := pack.Pack(context.Background(), buffers, pack.Options{})
			_, loadErr := pack.Load(buffers)
			_, boundErr := pack.LowerBound(buffers)
			_, fitErr := pack.FirstFit(buffers, pack.BySize)
			_, coreErr := pack.Irreducible(context.Background(), buffers, 1, 1)
			checkErr := pack.Check(buffers, []uint64{0, 0})
			for _, err := range []error{packErr, loadErr, boundErr, fitErr, coreErr, checkErr} {
				if err == nil || err.Error() != packErr.Error() {
					t.Errorf("error %v, want %v", err, packErr)
				}
			}
		})
	}
	crowd := make([]pack.Buffer, 6000)
	for i := range crowd {
		crowd[i] = pack.Buffer{End: 1, Size: 1}
	}
	if _, err := pack.Pack(context.Background(), crowd, pack.Options{}); !errors.Is(err, pack.ErrTooLarge) {
		t.Errorf("error %v of %d buffers that live together", err, len(crowd))
	}
	if _, err := pack.FirstFit(nil, "colour"); err == nil {
		t.Error("an unknown order is accepted")
	}
}

// BenchmarkPackMiniMalloc packs the eleven instances one after the other and
// reports the geometric mean of height over capacity, after each had its equal
// share of 50 ms, 1 s and 10 s, and the time until all fit in the capacity.
// Shares that are not needed, because the packing is proven to be optimal, are
// not used up.
func BenchmarkPackMiniMalloc(b *testing.B) {
	budgets := map[string]time.Duration{"gm@50ms": 50 * time.Millisecond, "gm@1s": time.Second, "gm@10s": 10 * time.Second}
	logs := map[string]float64{}
	var untilFit time.Duration
	var all [][]pack.Buffer
	for _, i := range instances {
		all = append(all, read(b, i.name+".1048576"))
	}
	n := time.Duration(len(all))
	runs := 0
	for b.Loop() {
		runs++
		for _, buffers := range all {
			start := time.Now()
			heights := map[string]uint64{}
			ctx, cancel := context.WithTimeout(context.Background(), budgets["gm@10s"]/n)
			fits := false
			_, err := pack.Pack(ctx, buffers, pack.Options{Improved: func(p pack.Point) {
				elapsed := time.Since(start)
				for name, budget := range budgets {
					if _, ok := heights[name]; !ok || elapsed <= budget/n {
						heights[name] = p.Height
					}
				}
				if !fits && p.Height <= capacity {
					fits = true
					untilFit += elapsed
				}
			}})
			cancel()
			if err != nil {
				b.Fatal(err)
			}
			if !fits {
				untilFit += time.Since(start)
			}
			for name, height := range heights {
				logs[name] += math.Log(float64(height) / capacity)
			}
		}
	}
	for name, sum := range logs {
		b.ReportMetric(math.Exp(sum/float64(len(all)*runs)), name)
	}
	b.ReportMetric(untilFit.Seconds()/float64(runs), "s-until-all-fit")
}
