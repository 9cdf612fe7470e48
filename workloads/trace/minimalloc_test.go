package trace_test

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"dmasim/internal/shareddata"
	"dmasim/workloads"
	"dmasim/workloads/trace"
)

// goldens are the instances of benchmarks/challenging and examples in MiniMalloc
// at 9f5cf81: the peak load, and the heights that four placements need.
var goldens = []struct {
	name    string
	buffers int
	load    uint64
	file    string // first fit in file order, as a share of 2^20 bytes
	first   uint64 // first fit in start-size order
	best    uint64 // best fit in start-size order
	offline uint64 // first fit, the largest buffer first, knowing all lifetimes
}{
	{"input.12", 5, 12, "0.000", 12, 12, 12},
	{"A.1048576", 154, 1048576, "1.534", 1789952, 1751040, 1352704},
	{"B.1048576", 170, 1048576, "1.693", 1681408, 1681408, 1420288},
	{"C.1048576", 203, 1039360, "1.688", 1752064, 1752064, 1417216},
	{"D.1048576", 213, 986112, "1.476", 1395712, 1411072, 1292288},
	{"E.1048576", 215, 1048576, "1.890", 1925120, 1479680, 1435648},
	{"F.1048576", 296, 1048576, "1.219", 1258496, 1177600, 1433600},
	{"G.1048576", 308, 1048576, "1.281", 1226752, 1311744, 1421312},
	{"H.1048576", 316, 1048576, "1.239", 1318912, 1321984, 1355776},
	{"I.1048576", 374, 1048576, "1.554", 1910784, 1910784, 1478656},
	{"J.1048576", 409, 989184, "1.514", 1821696, 1702912, 1304576},
	{"K.1048576", 454, 1048576, "2.005", 2383872, 2044928, 1352704},
}

func TestMiniMallocGoldens(t *testing.T) {
	for _, want := range goldens {
		t.Run(want.name, func(t *testing.T) {
			path := shareddata.Path(t, "minimalloc", want.name+".csv")
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			problem, err := trace.ReadMiniMalloc(file, path)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(problem.Buffers); got != want.buffers {
				t.Errorf("%d buffers, want %d", got, want.buffers)
			}
			if got := problem.Load(); got != want.load {
				t.Errorf("load %d, want %d", got, want.load)
			}
			if got := fmt.Sprintf("%.3f", float64(height(t, problem, trace.FileOrder, firstFit))/(1<<20)); got != want.file {
				t.Errorf("first fit in file order needs %s of the capacity, want %s", got, want.file)
			}
			if got := height(t, problem, trace.StartSizeOrder, firstFit); got != want.first {
				t.Errorf("first fit needs %d, want %d", got, want.first)
			}
			if got := height(t, problem, trace.StartSizeOrder, bestFit); got != want.best {
				t.Errorf("best fit needs %d, want %d", got, want.best)
			}
			if got := offlineHeight(problem); got != want.offline {
				t.Errorf("offline first fit needs %d, want %d", got, want.offline)
			}
		})
	}
}

type span struct {
	lo, hi uint64
	buffer uint64
}

// fit chooses a hole of at least size bytes between live spans, which are sorted
// by address, and returns its start; the last hole has no end.
type fit func(live []span, size uint64) uint64

func firstFit(live []span, size uint64) uint64 {
	var end uint64
	for _, s := range live {
		if s.lo-end >= size {
			break
		}
		end = s.hi
	}
	return end
}

func bestFit(live []span, size uint64) uint64 {
	var end uint64
	best, hole := uint64(0), uint64(math.MaxUint64)
	for _, s := range live {
		if n := s.lo - end; n >= size && n < hole {
			best, hole = end, n
		}
		end = s.hi
	}
	if hole == math.MaxUint64 {
		return end
	}
	return best
}

// height replays the problem without a limit and returns the end of the highest
// block.
func height(t *testing.T, problem *trace.Problem, order trace.Order, place fit) uint64 {
	t.Helper()
	source, err := problem.Replay(trace.ReplayOptions{Order: order})
	if err != nil {
		t.Fatal(err)
	}
	var live []span
	var highest uint64
	for op, ok := source.Next(nil); ok; op, ok = source.Next(nil) {
		if op.Kind == workloads.Free {
			live = slices.DeleteFunc(live, func(s span) bool { return s.buffer == op.Buffer })
			continue
		}
		lo := place(live, op.Size)
		i, _ := slices.BinarySearchFunc(live, lo, func(s span, lo uint64) int { return cmp.Compare(s.lo, lo) })
		live = slices.Insert(live, i, span{lo, lo + op.Size, op.Buffer})
		highest = max(highest, lo+op.Size)
	}
	return highest
}

// offlineHeight places the largest buffer first, each as low as those placed
// before it that live at the same time allow.
func offlineHeight(problem *trace.Problem) uint64 {
	buffers := slices.Clone(problem.Buffers)
	slices.SortStableFunc(buffers, func(a, b trace.Buffer) int { return cmp.Compare(b.Size, a.Size) })
	type placed struct {
		trace.Buffer
		lo uint64
	}
	var done []placed
	var highest uint64
	for _, b := range buffers {
		var lo uint64
		for _, p := range done { // sorted by address
			if p.Lower >= b.Upper || b.Lower >= p.Upper {
				continue
			}
			if p.lo >= lo+b.Size {
				break
			}
			lo = max(lo, p.lo+p.Size)
		}
		i, _ := slices.BinarySearchFunc(done, lo, func(p placed, lo uint64) int { return cmp.Compare(p.lo, lo) })
		done = slices.Insert(done, i, placed{b, lo})
		highest = max(highest, lo+b.Size)
	}
	return highest
}

func TestReadMiniMalloc(t *testing.T) {
	want := []trace.Buffer{{ID: "b1", Lower: 0, Upper: 3, Size: 4, Align: 1}, {ID: "b 2", Lower: 3, Upper: 9, Size: 5, Align: 1}}
	aligned := slices.Clone(want)
	aligned[0].Align = 64
	for name, test := range map[string]struct {
		text string
		want []trace.Buffer
	}{
		"plain":           {"id,lower,upper,size\nb1,0,3,4\nb 2,3,9,5\n", want},
		"any order":       {"size,upper,id,lower\n4,3,b1,0\n5,9,b 2,3\n", want},
		"other names":     {"buffer,start,upper,size\nb1,0,3,4\nb 2,3,9,5\n", want},
		"inclusive end":   {"buffer_id,begin,end,size\nb1,0,2,4\nb 2,3,8,5\n", want},
		"alignment":       {"id,lower,upper,size,alignment\nb1,0,3,4,64\nb 2,3,9,5,1\n", aligned},
		"hint":            {"id,lower,upper,size,hint\nb1,0,3,4,-1\nb 2,3,9,5,128\n", want},
		"no last newline": {"id,lower,upper,size\nb1,0,3,4\nb 2,3,9,5", want},
		"empty last line": {"id,lower,upper,size\nb1,0,3,4\nb 2,3,9,5\n\n\n", want},
		"from elsewhere":  {"\ufeffid, lower, upper, size\r\nb1, 0, 3, 4\r\nb 2, 3, 9, 5\r\n", want},
	} {
		problem, err := trace.ReadMiniMalloc(strings.NewReader(test.text), "x.csv")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(problem.Buffers, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, problem.Buffers, test.want)
		}
	}
}

func TestReadMiniMallocErrors(t *testing.T) {
	const header = "id,lower,upper,size\n"
	long := strings.Repeat("9", 100)
	for text, want := range map[string]string{
		"":                                                    "x.csv:1: no header: want the columns id, lower, upper and size",
		header:                                                "x.csv:2: no buffers follow the header",
		"\n" + header:                                         `x.csv:1: unknown column ""`,
		"id,lower,upper\n":                                    "x.csv:1: no column size",
		"id,lower,size\n":                                     "x.csv:1: no column upper",
		"id,end,size\n":                                       "x.csv:1: no column lower",
		"id,lower,upper,bytes":                                `x.csv:1: unknown column "bytes"`,
		"id,start,lower,end":                                  "x.csv:1: two columns for lower",
		header + "1,0,3\n":                                    "x.csv:2: 3 fields, want 4",
		header + "1,0,3,4,5\n":                                "x.csv:2: 5 fields, want 4",
		header + "1,0,3,4\n2,1":                               "x.csv:3: 2 fields, want 4",
		header + ",0,3,4\n":                                   "x.csv:2: id is empty",
		header + "1,0,3,4\n2,1,3,4\n1,5,6,7":                  `x.csv:4: id "1" is already that of line 2`,
		header + "1,0,3,4\n1,5,6,7\n2,0,x,1":                  `x.csv:3: id "1" is already that of line 2`, // before what is wrong behind it
		header + "1,0,3,4\n2,0,x,1\n1,5,6,7":                  `x.csv:3: upper "x" is not a whole number`,
		header + "1,3,3,4\n":                                  "x.csv:2: the lifetime [3, 3) is empty",
		header + "1,5,3,4\n":                                  "x.csv:2: the lifetime [5, 3) is empty",
		header + "1,-5,3,4\n":                                 "x.csv:2: lower -5 is negative",
		header + "1,0,-3,4\n":                                 "x.csv:2: upper -3 is negative",
		header + "1,0,3,-4\n":                                 "x.csv:2: size -4 is negative",
		header + "1,0,3,0\n":                                  "x.csv:2: size is 0",
		header + "1,0,3,4KiB\n":                               `x.csv:2: size "4KiB" is not a whole number`,
		header + "1,0,3.5,4\n":                                `x.csv:2: upper "3.5" is not a whole number`,
		header + "1,0,,4\n":                                   `x.csv:2: upper "" is not a whole number`,
		header + "1,0," + long + ",4\n":                       `x.csv:2: upper "` + long[:40] + `" does not fit in 64 bits`,
		header + "1,0,3,9223372036854775808\n":                `x.csv:2: size "9223372036854775808" does not fit in 64 bits`,
		header + "1,0,3,9223372036854775807\n2,7,8,1\n":       "x.csv:3: the sizes sum to 2^63 bytes or more",
		header + "1,0,3,4\n\n2,0,3,4\n":                       "x.csv:4: a row after an empty line, which ends the file for MiniMalloc",
		"id,lower,end,size\n1,0,9223372036854775807,4\n":      "x.csv:2: end 9223372036854775807: the time after it does not fit in 64 bits",
		"id,lower,end,size\n1,4,2,4\n":                        "x.csv:2: the lifetime [4, 3) is empty",
		"id,lower,upper,size,alignment\n1,0,3,4,0\n":          "x.csv:2: alignment is 0",
		"id,lower,upper,size,alignment\n1,0,3,4,-8\n":         "x.csv:2: alignment -8 is negative",
		"id,lower,upper,size,hint\n1,0,3,4,low\n":             `x.csv:2: hint "low" is not a whole number`,
		"id,lower,upper,size,gaps\n1,0,3,4,1-2\n":             "x.csv:1: column gaps: buffers that are away for part of their life are not supported",
		"id,lower,upper,size,offset\n1,0,3,4,0\n":             "x.csv:1: column offset: fixed positions are not supported",
		header + "1,0,3,4\n" + strings.Repeat("x", 1<<17):     "x.csv:3: the line is longer than 65536 bytes",
		header + "1,0,3,4\n2," + strings.Repeat(",", 1000):    "x.csv:3: 1002 fields, want 4",
		"id,lower,upper,end,size\n1,0,3,2,4\n":                "x.csv:1: both columns upper and end",
		strings.Repeat("z", 1000) + ",lower,upper,size\n":     `x.csv:1: unknown column "` + strings.Repeat("z", 40) + `"`,
		"{\"traceEvents\": []}\n":                             `x.csv:1: unknown column "{\"traceEvents\": []}"`,
		header + "1,0,3,4\n" + strings.Repeat("y", 60) + ",0": "x.csv:3: 2 fields, want 4",
	} {
		_, err := trace.ReadMiniMalloc(strings.NewReader(text), "x.csv")
		if err == nil || err.Error() != want {
			t.Errorf("%.80q:\n got %v\nwant %s", text, err, want)
			continue
		}
		var place *trace.Error
		if !errors.As(err, &place) || place.Path != "x.csv" {
			t.Errorf("%.80q: %T is not an Error", text, err)
		}
	}
}

func TestReadMiniMallocPassesOnReadErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	_, err := trace.ReadMiniMalloc(io.MultiReader(strings.NewReader("id,lower,upper,size\n1,0,3,4\n"), iotest.ErrReader(broken)), "x.csv")
	if !errors.Is(err, broken) || err.Error() != "x.csv:3: disk on fire" {
		t.Errorf("got %v", err)
	}
}

// endless is a line without an end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '7'
	}
	e.read += len(p)
	return len(p), nil
}

func TestReadMiniMallocStopsInLongLine(t *testing.T) {
	line := &endless{}
	if _, err := trace.ReadMiniMalloc(line, "x.csv"); err == nil || line.read > 1<<20 {
		t.Errorf("%v after %d bytes", err, line.read)
	}
}

func anyProblem() *rapid.Generator[*trace.Problem] {
	return rapid.Custom(func(t *rapid.T) *trace.Problem {
		p := &trace.Problem{}
		unit := rapid.SampledFrom([]int64{1, 1999, 1<<30 + 1}).Draw(t, "unit") // times of few digits and of many
		for i := range rapid.IntRange(1, 30).Draw(t, "buffers") {
			lower := unit * rapid.Int64Range(0, 20).Draw(t, "lower")
			p.Buffers = append(p.Buffers, trace.Buffer{
				ID:    fmt.Sprint("b", i),
				Lower: lower,
				Upper: lower + unit*rapid.Int64Range(1, 10).Draw(t, "life"),
				Size:  rapid.Uint64Range(1, 5).Draw(t, "size"),
				Align: 1,
			})
		}
		return p
	})
}

func TestReplayProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		problem := anyProblem().Draw(t, "problem")
		order := rapid.SampledFrom(trace.Orders()).Draw(t, "order")
		tick := rapid.SampledFrom([]time.Duration{1, time.Millisecond}).Draw(t, "tick")
		source, err := problem.Replay(trace.ReplayOptions{Order: order, Tick: tick})
		if err != nil {
			t.Fatal(err)
		}
		checkReplay(t, problem, source, order, tick)
	})
}

// checkReplay fails unless the source allocates and frees each buffer once, at
// its times and in the right order.
func checkReplay(t interface{ Fatalf(string, ...any) }, problem *trace.Problem, source workloads.Source, order trace.Order, tick time.Duration) {
	live, freed := map[uint64]bool{}, map[uint64]bool{}
	var last workloads.Op
	var load, peak uint64
	for op, ok := source.Next(nil); ok; op, ok = source.Next(nil) {
		if op.Buffer >= uint64(len(problem.Buffers)) {
			t.Fatalf("%+v: no such buffer", op)
		}
		b := problem.Buffers[op.Buffer]
		if op.At < last.At || (op.At == last.At && op.Kind == workloads.Free && last.Kind == workloads.Alloc && last.Size > 0) {
			t.Fatalf("%+v after %+v", op, last)
		}
		if op.Kind == workloads.Free {
			if !live[op.Buffer] || op.At != time.Duration(b.Upper)*tick {
				t.Fatalf("%+v: want the end of a live buffer, this is %+v", op, b)
			}
			if last.Kind == workloads.Free && last.At == op.At && last.Buffer > op.Buffer {
				t.Fatalf("%+v after %+v", op, last)
			}
			delete(live, op.Buffer)
			freed[op.Buffer] = true
			load -= b.Size
		} else {
			if live[op.Buffer] || freed[op.Buffer] || op.At != time.Duration(b.Lower)*tick || op.Size != b.Size || op.Align != b.Align || op.Lifetime != 0 || op.Client != 0 {
				t.Fatalf("%+v: want the start of a new buffer, this is %+v", op, b)
			}
			if last.Kind == workloads.Alloc && last.At == op.At && last.Size > 0 {
				bySize := order == trace.StartSizeOrder && last.Size != op.Size
				if (bySize && last.Size < op.Size) || (!bySize && last.Buffer > op.Buffer) {
					t.Fatalf("order %s: %+v after %+v", order, op, last)
				}
			}
			live[op.Buffer] = true
			load += b.Size
			peak = max(peak, load)
		}
		last = op
	}
	if err := source.Err(); err != nil || len(live) > 0 || len(freed) != len(problem.Buffers) {
		t.Fatalf("%v: %d buffers left, %d of %d freed", err, len(live), len(freed), len(problem.Buffers))
	}
	if got := problem.Load(); got != peak {
		t.Fatalf("load is %d, the replay reached %d", got, peak)
	}
}

func TestReplayErrors(t *testing.T) {
	problem := func(b trace.Buffer) *trace.Problem { return &trace.Problem{Buffers: []trace.Buffer{b}} }
	plain := trace.Buffer{ID: "b", Lower: 0, Upper: 10, Size: 1, Align: 1}
	late := plain
	late.Upper = math.MaxInt64 / 999
	for _, test := range []struct {
		problem *trace.Problem
		options trace.ReplayOptions
		want    string
	}{
		{problem(plain), trace.ReplayOptions{Order: "size"}, `unknown order "size", want one of ["file" "start-size"]`},
		{problem(plain), trace.ReplayOptions{Tick: -time.Second}, "the time step is -1s, want more than 0"},
		{problem(late), trace.ReplayOptions{}, `buffer "b": 9232604641496272 time steps of 1µs are longer than can be simulated`},
	} {
		if _, err := test.problem.Replay(test.options); err == nil || err.Error() != test.want {
			t.Errorf("got %v\nwant %s", err, test.want)
		}
	}
}

func FuzzReadMiniMalloc(f *testing.F) {
	f.Add("id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\n")
	f.Add("\ufeffsize,end,start,buffer,alignment,hint\r\n4,3,0,a,64,-1\r\n\r\n")
	f.Add("id,lower,upper,size\n1,0,9223372036854775807,9223372036854775807\n")
	f.Add("id,lower,upper,size,gaps\n1,0,3,4,1-2@0:1\n")
	f.Fuzz(func(t *testing.T, text string) {
		problem, err := trace.ReadMiniMalloc(strings.NewReader(text), "x.csv")
		if err != nil {
			var place *trace.Error
			if !errors.As(err, &place) || place.Line < 1 || place.Line > 1+strings.Count(text, "\n")+1 {
				t.Fatalf("%v: %+v", err, place)
			}
			return
		}
		again := "id,lower,upper,size,alignment\n"
		for _, b := range problem.Buffers {
			if b.ID == "" || b.Lower < 0 || b.Upper <= b.Lower || b.Size == 0 || b.Align == 0 {
				t.Fatalf("read %+v", b)
			}
			again += fmt.Sprintf("%s,%d,%d,%d,%d\n", b.ID, b.Lower, b.Upper, b.Size, b.Align)
		}
		reread, err := trace.ReadMiniMalloc(strings.NewReader(again), "again.csv")
		if err != nil || !slices.Equal(problem.Buffers, reread.Buffers) {
			t.Fatalf("wrote %q, read %+v, %v", again, reread, err)
		}
		for _, order := range trace.Orders() {
			source, err := problem.Replay(trace.ReplayOptions{Order: order, Tick: 1})
			if err != nil {
				t.Fatalf("replay: %v", err)
			}
			checkReplay(t, problem, source, order, 1)
		}
	})
}

func ExampleReadMiniMalloc() {
	const file = `id,lower,upper,size
weights,0,9,4096
input,0,3,1024
output,3,9,2048
`
	problem, err := trace.ReadMiniMalloc(strings.NewReader(file), "network.csv")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("peak load:", problem.Load(), "bytes")
	source, err := problem.Replay(trace.ReplayOptions{Order: trace.StartSizeOrder, Tick: time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	for op, ok := source.Next(nil); ok; op, ok = source.Next(nil) {
		name := problem.Buffers[op.Buffer].ID
		if op.Kind == workloads.Free {
			fmt.Println(op.At, "free", name)
		} else {
			fmt.Println(op.At, "alloc", name, op.Size)
		}
	}
	// Output:
	// peak load: 6144 bytes
	// 0s alloc weights 4096
	// 0s alloc input 1024
	// 3ms free input
	// 3ms alloc output 2048
	// 9ms free weights
	// 9ms free output
}
