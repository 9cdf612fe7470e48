package golden_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"dmasim/allocator/golden"
)

const header = `# format=dmasim-golden/1
# allocator=cma
# mode=test
# unit=page
# base=0x1000
# size=0x40
# order_per_bit=0
# granule=1
# ops=3
op,id,size,align,lo,hi,flags,result
`

const rows = `alloc,0,4,4,,,,0x1000
alloc,1,2,,,,,0x1004
free,0,,,,,,ok
`

func read(text string) (*golden.Recording, error) {
	return golden.Read("test.csv", strings.NewReader(text))
}

func TestRead(t *testing.T) {
	rec, err := read(header + rows)
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Rows) != 3 || rec.Rows[0].String() != "alloc id=0 size=4 align=4" || rec.Rows[2].String() != "free id=0" {
		t.Errorf("rows %v", rec.Rows)
	}
	if rec.Rows[1].Align.Given || rec.Rows[1].Align.Or(7) != 7 || rec.Rows[0].Line != 11 {
		t.Errorf("rows %+v", rec.Rows)
	}
	if mode, err := rec.Header.Text("mode"); mode != "test" || err != nil {
		t.Errorf("mode %q, %v", mode, err)
	}
}

// replace returns the recording with one piece of text exchanged.
func replace(old, with string) string {
	text := header + rows
	if strings.Count(text, old) != 1 {
		panic(old + " is not there exactly once")
	}
	return strings.Replace(text, old, with, 1)
}

func TestMalformed(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "test.csv:1: the file ends before the column names"},
		{"no rows", header[:strings.Index(header, "op,")], "test.csv:10: the file ends before the column names"},
		{"not a recording", "hello\n", `test.csv:1: want "# key=value" or the column names "op,id,size,align,lo,hi,flags,result"`},
		{"other format", replace("golden/1", "golden/2"), `test.csv:1: format "dmasim-golden/2": want "dmasim-golden/1"`},
		{"header without a value", replace("mode=test", "mode"), `test.csv:3: header line "mode": want "# key=value"`},
		{"key twice", replace("# mode=test", "# unit=page"), `test.csv:4: header key "unit" again: first in line 3`},
		{"key missing", replace("# unit=page\n", ""), `test.csv:9: the header has no "unit"`},
		{"bad number of rows", replace("ops=3", "ops=x"), "test.csv:9: ops=x: want a decimal number of 64 bits, or 0x and a hexadecimal one"},
		{"rows missing", replace("free,0,,,,,,ok\n", ""), "test.csv:12: the file has 2 rows, the header promises 3"},
		{"torn at the end", strings.TrimSuffix(header+rows, "\n"), "test.csv:13: the file ends within a line"},
		{"torn row", replace("alloc,1,2,,,,,0x1004", "alloc,1,2,,,"), "test.csv:12: torn row: 6 columns, want 8"},
		{"empty line", replace("free,0,,,,,,ok", ""), "test.csv:13: torn row: 1 columns, want 8"},
		{"unknown operation", replace("free,0", "frob,0"), `test.csv:13: unknown operation "frob"`},
		{"id missing", replace("free,0", "free,"), `test.csv:13: id "": want a decimal number of 64 bits`},
		{"id where none is", replace("free,0,", "work,0,"), `test.csv:13: id "0": work has none`},
		{"ids not in order", replace("alloc,1", "alloc,2"), "test.csv:12: alloc id 2: want 1, ids count up by one"},
		{"free of a later id", replace("free,0", "free,2"), "test.csv:13: free of id 2, which was never allocated"},
		{"freed twice", header + strings.Replace(rows, "alloc,1,2,,,,,0x1004", "free,0,,,,,,ok", 1), "test.csv:13: free of id 0, which is free already"},
		{"size", replace("alloc,1,2", "alloc,1,-2"), `test.csv:12: "-2": want a decimal number of 64 bits`},
		{"lo", replace("free,0,,,,", "free,0,,,5,"), `test.csv:13: "5": want 0x and a hexadecimal number of 64 bits`},
		{"result of free", replace(",ok", ",0x0"), `test.csv:13: result "0x0" of free: want ok`},
		{"result torn", replace(",0x1004", ",0x"), `test.csv:12: result "0x": "0x" is neither an error word nor a plain hexadecimal number of 64 bits`},
		{"result padded", replace(",0x1004", ",0x01004"), `test.csv:12: result "0x01004": "0x01004" is neither an error word nor a plain hexadecimal number of 64 bits`},
		{"no result", replace(",0x1004", ","), `test.csv:12: result "": "" is neither an error word nor a plain hexadecimal number of 64 bits`},
		{"result at the top", replace(",0x1004", ",0xffffffffffffffff"), `test.csv:12: result "0xffffffffffffffff": ends above 2^64`},
		{"carriage returns", strings.ReplaceAll(header+rows, "\n", "\r\n"), "test.csv:1: format \"dmasim-golden/1\\r\": want \"dmasim-golden/1\""},
		{"bulk without a count", replace("alloc,1,2,,,,,0x1004", "bulk,1,2,,,,movable,0x1004"), "test.csv:12: bulk of 0 blocks: want a flag count=N, N from 1 to 1048576"},
		{"bulk of too many", replace("alloc,1,2,,,,,0x1004", "bulk,1,2,,,,count=1,0x1004;0x1006"), "test.csv:12: result of 2 blocks for bulk id=1 size=2 flags=count=1"},
		{"long line", strings.Repeat("#", 2<<20), "test.csv:1: the line is longer than 1048576 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := read(test.text)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
			if !errors.As(err, new(*golden.MalformedError)) {
				t.Errorf("error is a %T", err)
			}
		})
	}
}

func TestReadFails(t *testing.T) {
	broken := errors.New("broken")
	if _, err := golden.Read("test.csv", iotest.ErrReader(broken)); !errors.Is(err, broken) || errors.As(err, new(*golden.MalformedError)) {
		t.Errorf("error %v", err)
	}
}

// replayText reads and replays.
func replayText(text string) (golden.Report, error) {
	rec, err := read(text)
	if err != nil {
		return golden.Report{}, err
	}
	return golden.Replay(rec)
}

func TestReplayMalformed(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown allocator", replace("allocator=cma", "allocator=slab"), "test.csv:2: allocator=slab: unknown allocator"},
		{"bad header", replace("order_per_bit=0", "order_per_bit=77"), "test.csv:7: order_per_bit=77: above 63"},
		{"header of the model missing", replace("# order_per_bit=0\n", ""), `test.csv:9: the header has no "order_per_bit"`},
		{"no memory", replace("size=0x40", "size=0"), "test.csv:10: area of 0 pages from 0x1000, 1 to a bit: want at least one bit, below 2^64"},
		{"operation of another allocator", replace("free,0,", "work,,"), "test.csv:13: work: the allocator has no such operation"},
		{"flag of another allocator", replace("alloc,1,2,,,,", "alloc,1,2,,,,best"), `test.csv:12: alloc id=1 size=2 flags=best: flags "best": unknown`},
		{"overlap", replace(",0x1004", ",0x1003"), "test.csv:12: result [0x1003,0x1005) of id 1 overlaps [0x1000,0x1004) of id 0"},
		{"free of what failed", header + "alloc,0,1000,,,,,NULL\nalloc,1,2,,,,,0x1000\nfree,0,,,,,,ok\n", "test.csv:13: free of id 0, which was not placed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := replayText(test.text)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
			if !errors.As(err, new(*golden.MalformedError)) {
				t.Errorf("error is a %T", err)
			}
		})
	}
	if _, err := replayText(tests[0].text); !errors.Is(err, golden.ErrUnknownAllocator) {
		t.Errorf("error %v, want ErrUnknownAllocator", err)
	}
}

// TestReplayBoundsMemory: what a short file says is large makes no large model.
func TestReplayBoundsMemory(t *testing.T) {
	const text = `# format=dmasim-golden/1
# allocator=%s
# mode=test
# unit=page
# base=0
# size=%d
# granule=%d
# max_order=10
# pageblock_order=9
# areas=1
# segsize_slots=128
# dev0=min_align_mask:0x0;boundary_mask:0xffffffff
# ops=0
op,id,size,align,lo,hi,flags,result
`
	for _, test := range []struct {
		allocator string
		unit      uint64
	}{{"page_alloc", 1}, {"drm_buddy", 4096}, {"swiotlb", 2048}} {
		const most = 1 << 22
		if _, err := replayText(fmt.Sprintf(text, test.allocator, most*test.unit, test.unit)); err != nil {
			t.Errorf("%s: %v", test.allocator, err)
		}
		size := (most + 1) * test.unit
		want := fmt.Sprintf("test.csv:6: size=%d: a recording of 0 operations can have up to %d units of %d", size, most, test.unit)
		if _, err := replayText(fmt.Sprintf(text, test.allocator, size, test.unit)); err == nil || err.Error() != want {
			t.Errorf("error %v\nwant  %s", err, want)
		}
	}
}

func TestDivergence(t *testing.T) {
	report, err := replayText(replace(",0x1004", ",0x1010"))
	if err != nil {
		t.Fatal(err)
	}
	d := report.First
	if report.Operations != 3 || report.Agreements != 2 || d == nil {
		t.Fatalf("report %+v", report)
	}
	if d.Row.Line != 12 || d.Model != "0x1004" || d.Row.Result != "0x1010" {
		t.Errorf("divergence %+v", d)
	}
	if want := "[0x1004,0x1040)"; d.RecordedFree.String() != want || d.ModelFree.String() != want {
		t.Errorf("free there %s and %s, want %s", d.RecordedFree, d.ModelFree, want)
	}
}

// After the first divergence only the model's answers count, not whether the
// recording contradicts itself.
func TestAfterDivergence(t *testing.T) {
	text := strings.Replace(header, "ops=3", "ops=4", 1) + `alloc,0,4,,,,,ENOMEM
alloc,1,2,,,,,0x1004
alloc,2,2,,,,,0x1004
free,0,,,,,,ok
`
	report, err := replayText(text)
	if err != nil {
		t.Fatal(err)
	}
	if report.Agreements != 2 || report.First == nil || report.First.Row.Line != 11 {
		t.Errorf("report %+v", report)
	}
}

// FuzzReplay holds that no input makes the parser or a model panic, and that
// they blame a line for whatever they refuse.
func FuzzReplay(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.csv"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := read(text)
		if err != nil {
			if !errors.As(err, new(*golden.MalformedError)) {
				t.Fatalf("error is a %T: %v", err, err)
			}
			return
		}
		if large(rec) {
			t.Skip()
		}
		report, err := golden.Replay(rec)
		switch {
		case err != nil && !errors.As(err, new(*golden.MalformedError)):
			t.Fatalf("error is a %T: %v", err, err)
		case err == nil && report.First == nil && report.Agreements+report.NotModelled != report.Operations:
			t.Fatalf("report %+v", report)
		}
	})
}

// large reports whether the arena is so large that busy pages, or the tables of
// swiotlb and the page allocator, would take the fuzzer's time.
func large(rec *golden.Recording) bool {
	size, err := rec.Header.Uint("size", 1<<24)
	return err != nil || size > 1<<24
}
