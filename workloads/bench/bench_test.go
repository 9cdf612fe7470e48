package bench_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dmasim/allocator"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/workloads/bench"
	"dmasim/workloads/trace"
)

func read(t testing.TB, r io.Reader) (*bench.Trace, error) {
	t.Helper()
	reader, err := trace.NewReader(r, "test", trace.Options{Format: trace.Placements})
	if err != nil {
		t.Fatal(err)
	}
	return bench.Read(reader)
}

func mustRead(t testing.TB, text string) *bench.Trace {
	t.Helper()
	tr, err := read(t, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func open(t testing.TB, name string) *bench.Trace {
	t.Helper()
	f, err := os.Open(shareddata.Path(t, "placement", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tr, err := read(t, f)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestGoldenSums replays the random placement trace of 2,000,000 operations. On
// the sums of first fit four independent programs agree; those of best fit and
// the fragmentation are from one other program.
func TestGoldenSums(t *testing.T) {
	tr := open(t, "random.bin.gz")
	if tr.Len() != 2_000_000 || tr.Unit != 4096 || tr.Limited || tr.Arena() != 6789*mem.MiB {
		t.Fatalf("%d operations in units of %d, limited %v, default arena %s", tr.Len(), tr.Unit, tr.Limited, tr.Arena())
	}
	for _, test := range []struct {
		arena             mem.Size
		rounds            int
		failures          [2]int
		sums              [2]uint64
		meanFrag, topFrag float64 // of best fit
	}{
		{6789 * mem.MiB, 1, [2]int{0, 0}, [2]uint64{0x390d63f125000, 0x5d134a6165000}, .499, .640},
		{6075 * mem.MiB, 0, [2]int{7815, 1575}, [2]uint64{0x3622d3b432000, 0x5c3447e87f000}, .965, .992},
	} {
		t.Run(test.arena.String(), func(t *testing.T) {
			t.Parallel()
			results, err := bench.Run(context.Background(), tr, []string{"first-fit", "best-fit"}, test.arena, test.rounds)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if r.AddressSum != test.sums[i] || r.Failures != test.failures[i] || r.Missed != 0 || r.Misplaced != 0 {
					t.Errorf("%s in %s: sum %#x, %d failures, %d missed, %d misplaced; want %#x, %d, 0, 0",
						r.Allocator, test.arena, r.AddressSum, r.Failures, r.Missed, r.Misplaced, test.sums[i], test.failures[i])
				}
				if r.Requests != 1_004_963 || r.NsPerOp > 0 != (test.rounds > 0) || r.Peak > uint64(test.arena) || r.PeakReserved > r.Peak {
					t.Errorf("%s in %s: %d requests, %v ns, peak %d, %d reserved", r.Allocator, test.arena, r.Requests, r.NsPerOp, r.Peak, r.PeakReserved)
				}
			}
			best := results[1]
			if math.Abs(best.MeanFragmentation-test.meanFrag) > .001 || math.Abs(best.PeakFragmentation-test.topFrag) > .001 {
				t.Errorf("best fit in %s: fragmentation %.4f, at most %.4f; want %.3f, %.3f",
					test.arena, best.MeanFragmentation, best.PeakFragmentation, test.meanFrag, test.topFrag)
			}
		})
	}
}

// TestGoldenLimits replays the trace in which a tenth of the requests have to
// end below 1 GiB. The failures are those of Linux's drm_mm, lowest place first.
func TestGoldenLimits(t *testing.T) {
	t.Parallel()
	tr := open(t, "window.bin.gz")
	if !tr.Limited || tr.Arena() != 6748*mem.MiB {
		t.Fatalf("limited %v, default arena %s", tr.Limited, tr.Arena())
	}
	results, err := bench.Run(context.Background(), tr, []string{"first-fit"}, tr.Arena(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.Limited != 27192 || r.Failures != 27192 || r.Missed != 0 || r.Misplaced != 0 {
		t.Errorf("%+v, want 27192 failures, all of them limited", r.Outcome)
	}
}

// TestMixOnGoldenLimits replays the same trace on a strategy that is told its
// limits: everything fits then.
func TestMixOnGoldenLimits(t *testing.T) {
	t.Parallel()
	tr := open(t, "window.bin.gz")
	results, err := bench.Run(context.Background(), tr, []string{"window-fit"}, tr.Arena(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.Failures != 0 || r.Misplaced != 0 {
		t.Errorf("%+v, want no failures", r.Outcome)
	}
}

// TestMix looks at the device mix that strategies get: the limits of the
// requests, each once, and the arena where a request has none or one beyond it.
func TestMix(t *testing.T) {
	many := "" // limits of 20 blocks down to 1, and once more of 18 and 3
	for i := range 20 {
		many += fmt.Sprintf("a %d 4096 0 %d\n", i, 4096*(20-i))
	}
	many += "a 20 4096 0 73728\na 21 4096 0 12288\n"
	blocks := func(counts ...uint64) []mem.RangeSet {
		var windows []mem.RangeSet
		for _, n := range counts {
			windows = append(windows, mem.NewRangeSet(mem.Range{Hi: n * 4096}))
		}
		return windows
	}
	for _, test := range []struct {
		name, text string
		want       []mem.RangeSet
	}{
		{"no limits", "a 0 4096 0\na 1 8192 0\n", blocks(64)},
		{"all limited", "a 0 4096 0 8192\nf 0\na 1 8192 0 16384\na 2 4096 0 8192\n", blocks(2, 4)},
		{"some limited", "a 0 4096 0 8192\na 1 8192 0\na 2 4096 0 8192\n", blocks(2, 64)},
		{"beyond the arena", "a 0 4096 0 8192\na 1 8192 0 409600\n", blocks(2, 64)},
		{"too many", many, blocks(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18)},
	} {
		t.Run(test.name, func(t *testing.T) {
			mixes = nil
			if _, err := bench.Run(context.Background(), mustRead(t, test.text), []string{"test-mix"}, 256*mem.KiB, 1); err != nil {
				t.Fatal(err)
			}
			if len(mixes) != 2 { // examined, then timed
				t.Fatalf("made %d times, want 2", len(mixes))
			}
			for _, got := range mixes {
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestLimits counts by hand: 4 units, of which a limited request may use 2.
func TestLimits(t *testing.T) {
	tr := mustRead(t, "a 0 8192 1\na 1 4096 4096 8192\na 2 4096 0\nf 1\nf 0\na 1 4096 0 8192\na 3 16384 0\n")
	if tr.Unit != 4096 || !tr.Limited || tr.PeakLive != 24576 || tr.Arena() != 24576 {
		t.Fatalf("%+v, default arena %s", *tr, tr.Arena())
	}
	results, err := bench.Run(context.Background(), tr, []string{"first-fit"}, 16*mem.KiB, 3)
	if err != nil {
		t.Fatal(err)
	}
	got := results[0]
	want := bench.Outcome{
		Requests: 5, LimitedRequests: 2, Failures: 2, Limited: 1,
		Peak: 12288, PeakReserved: 12288, AddressSum: 8192,
		MeanFragmentation: got.MeanFragmentation, PeakFragmentation: 0.5,
	}
	if got.Outcome != want {
		t.Errorf("%+v, want %+v", got.Outcome, want)
	}
	if len(got.Rounds) != 3 {
		t.Errorf("%d rounds", len(got.Rounds))
	}
}

// TestProblem replays a static problem in both directions of the facts: first
// fit and best fit need the heights that MiniMalloc's own tests have.
func TestProblem(t *testing.T) {
	path := shareddata.Path(t, "minimalloc", "K.1048576.csv")
	reader, err := trace.Open(path, trace.Options{Order: trace.StartSizeOrder})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	problem := reader.Problem()
	tr, err := bench.Read(reader)
	if err != nil {
		t.Fatal(err)
	}
	if tr.Len() != 2*len(problem.Buffers) || tr.PeakLive != problem.Load() || tr.Arena() != mem.Size(problem.Load()) {
		t.Errorf("%d operations, peak %d, default arena %s", tr.Len(), tr.PeakLive, tr.Arena())
	}
	results, err := bench.Run(context.Background(), tr, []string{"first-fit", "best-fit"}, 4*mem.MiB, 1)
	if err != nil {
		t.Fatal(err)
	}
	if ff, bf := results[0].Peak, results[1].Peak; ff != 2383872 || bf != 2044928 {
		t.Errorf("first fit needs %d bytes, best fit %d; want 2383872, 2044928", ff, bf)
	}
}

// missing refuses every second request, misplacing the others.
type missing struct {
	next uint64
	odd  bool
}

func (m *missing) Alloc(r allocator.Request) (allocator.Block, bool) {
	if m.odd = !m.odd; !m.odd {
		return allocator.Block{}, false
	}
	b := allocator.Block{Addr: m.next, Size: r.Size}
	m.next += r.Size
	return b, true
}

func (m *missing) Free(allocator.Block) error { return nil }

// stuck places all blocks at the same address and takes none back.
type stuck struct{}

func (stuck) Alloc(r allocator.Request) (allocator.Block, bool) {
	return allocator.Block{Size: r.Size}, true
}

func (stuck) Free(b allocator.Block) error {
	return &allocator.FreeError{Block: b, Err: allocator.ErrForeign}
}

// mixes are the device mixes that the strategy test-mix was made with.
var mixes [][]mem.RangeSet

// fickle places blocks where no replay did before.
type fickle struct{ missing }

var fickleStart uint64

func init() {
	allocator.Register(allocator.Spec{Name: "test-mix", New: func(cfg allocator.Config) (allocator.Strategy, error) {
		mixes = append(mixes, cfg.Windows)
		return &missing{}, nil
	}})
	allocator.Register(allocator.Spec{Name: "test-stuck", New: func(allocator.Config) (allocator.Strategy, error) {
		return stuck{}, nil
	}})
	allocator.Register(allocator.Spec{Name: "test-missing", New: func(allocator.Config) (allocator.Strategy, error) {
		return &missing{}, nil
	}})
	allocator.Register(allocator.Spec{Name: "test-fickle", New: func(allocator.Config) (allocator.Strategy, error) {
		fickleStart++
		return &fickle{missing{next: fickleStart}}, nil
	}})
}

func TestFaultsOfStrategies(t *testing.T) {
	tr := mustRead(t, "a 0 4 0\na 1 4 0\na 2 4 8\na 3 4 0 8\n")
	results, err := bench.Run(context.Background(), tr, []string{"test-missing"}, 64, 1)
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	// The blocks at 0 and 4 were placed; the second of them wanted 8.
	if r.Failures != 2 || r.Missed != 1 || r.Limited != 1 || r.LimitedMissed != 0 || r.Misplaced != 1 {
		t.Errorf("%+v", r.Outcome)
	}
	if _, err := bench.Run(context.Background(), tr, []string{"test-fickle"}, 64, 1); !errors.Is(err, bench.ErrNotDeterministic) {
		t.Errorf("a strategy that places at random: %v", err)
	}
	fault := new(bench.FaultError)
	if _, err := bench.Run(context.Background(), tr, []string{"test-stuck"}, 64, 0); !errors.As(err, &fault) || fault.Operation != 2 {
		t.Errorf("overlapping blocks: %v", err)
	}
	freeing := mustRead(t, strings.Repeat("a 0 4 0\nf 0\n", 50))
	if _, err := bench.Run(context.Background(), freeing, []string{"test-stuck"}, 64, 0); !errors.Is(err, allocator.ErrForeign) {
		t.Errorf("a block that is not taken back: %v", err)
	}
	if _, err := bench.Run(context.Background(), tr, []string{"no-such"}, 64, 1); !errors.Is(err, allocator.ErrUnknownStrategy) {
		t.Errorf("an unknown strategy: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := bench.Run(ctx, tr, []string{"first-fit"}, 64, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestUnits(t *testing.T) {
	for _, test := range []struct {
		text string
		unit uint64
		want error
	}{
		{"a 0 8192 4096\n", 4096, nil},
		{"a 0 8192 1\na 1 12288 0\n", 4096, nil},
		{"a 0 8192 0\na 1 6144 0\na 5 4096 3\n", 1, nil},
		{"a 0 8589934592 0\na 1 4294967296 0\n", 4294967296, nil},
		{"a 0 8589934592 0\na 1 1 0\n", 0, bench.ErrTooLarge},
		{"a 0 1 0\na 1 8589934592 0\n", 0, bench.ErrTooLarge},
		{"a 0 18446744073709551615 0\na 1 18446744073709551615 0\n", 0, bench.ErrTooLarge},
		{"# nothing\n", 0, bench.ErrEmpty},
	} {
		tr, err := read(t, strings.NewReader(test.text))
		if !errors.Is(err, test.want) {
			t.Errorf("%q: %v, want %v", test.text, err, test.want)
		}
		if err == nil && tr.Unit != test.unit {
			t.Errorf("%q: unit %d, want %d", test.text, tr.Unit, test.unit)
		}
	}
}

// TestSlots uses the highest slot there is, which must not cost memory.
func TestSlots(t *testing.T) {
	tr := mustRead(t, "a 2147483647 4096 0\nf 2147483647\na 7 4096 0\nf 7\n")
	results, err := bench.Run(context.Background(), tr, []string{"first-fit"}, 4096, 1)
	if err != nil || results[0].Failures != 0 {
		t.Errorf("%+v, %v", results, err)
	}
}

// binaryTrace is a trace of one allocation whose header claims a mean.
func binaryTrace(mean, peak uint64) []byte {
	raw := []byte("DMATRC01")
	for _, word := range []uint64{1, 1, 4096, 0, peak, mean, 0} {
		raw = binary.LittleEndian.AppendUint64(raw, word)
	}
	for _, word := range []uint32{0, 85, 0} {
		raw = binary.LittleEndian.AppendUint32(raw, word)
	}
	return raw
}

func TestHeaderOfBinaryTrace(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(binaryTrace(85*4096, 85*4096)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	tr, err := read(t, &zipped)
	if err != nil || tr.Arena() != mem.MiB {
		t.Errorf("%+v, %v; want an arena of 1 MiB for 100 units of 4 KiB", tr, err)
	}
	if _, err := read(t, bytes.NewReader(binaryTrace(1<<60, 1<<61))); !errors.Is(err, trace.ErrPlacementHeader) {
		t.Errorf("a mean above the peak: %v", err)
	}
}

func Example() {
	reader, err := trace.NewReader(strings.NewReader("a 0 4096 0\na 1 8192 0\nf 0\na 2 8192 0\n"), "example", trace.Options{})
	if err != nil {
		return
	}
	t, err := bench.Read(reader)
	if err != nil {
		return
	}
	results, err := bench.Run(context.Background(), t, []string{"first-fit"}, 32*mem.KiB, 3)
	if err != nil {
		return
	}
	fmt.Println(mem.Size(results[0].PeakReserved), "live at once, placed within", mem.Size(results[0].Peak))
	// Output: 16KiB live at once, placed within 20KiB
}
