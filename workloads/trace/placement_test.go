package trace_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"dmasim/internal/shareddata"
	"dmasim/workloads/trace"
)

func ExamplePlacementReader() {
	const text = "a 0 4096 65536\na 1 8192 4096 1073741824\nf 0\n"
	r, err := trace.NewPlacementReader(strings.NewReader(text))
	if err != nil {
		fmt.Println(err)
		return
	}
	for p, ok := r.Next(); ok; p, ok = r.Next() {
		fmt.Printf("%+v\n", p)
	}
	fmt.Println(r.Err())
	// Output:
	// {Free:false Slot:0 Size:4096 Align:65536 Limit:0}
	// {Free:false Slot:1 Size:8192 Align:4096 Limit:1073741824}
	// {Free:true Slot:0 Size:0 Align:0 Limit:0}
	// <nil>
}

// encode writes a binary trace; each row is one record without the words that
// its version does not have.
func encode(magic string, header [7]uint64, rows ...[]uint32) []byte {
	b := []byte(magic)
	for _, word := range header {
		b = binary.LittleEndian.AppendUint64(b, word)
	}
	for _, row := range rows {
		for _, word := range row {
			b = binary.LittleEndian.AppendUint32(b, word)
		}
	}
	return b
}

func zip(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func readAll(r io.Reader) ([]trace.Placement, trace.PlacementHeader, error) {
	pr, err := trace.NewPlacementReader(r)
	if err != nil {
		return nil, trace.PlacementHeader{}, err
	}
	var all []trace.Placement
	for p, ok := pr.Next(); ok; p, ok = pr.Next() {
		all = append(all, p)
	}
	return all, pr.Header, pr.Err()
}

const freeBit = 1 << 31

// header of four records over three slots in units of 4096 bytes.
var header = [7]uint64{4, 3, 4096, 7, 1 << 20, 1 << 19, 1}

func TestPlacementForms(t *testing.T) {
	v1 := encode("DMATRC01", header, []uint32{0, 25, 1}, []uint32{2, 1, 16}, []uint32{freeBit, 0, 0}, []uint32{0, 0xffffffff, 0})
	v2 := encode("DMATRC02", header, []uint32{0, 25, 1, 0}, []uint32{2, 1, 16, 262144}, []uint32{freeBit, 0, 0, 0}, []uint32{0, 0xffffffff, 0, 0})
	text := []byte("# made by hand\r\na 0 102400 4096\na 2 4096 65536 1073741824  \r\n\nf 0\na 0 17592186040320 0\n")

	want := []trace.Placement{
		{Slot: 0, Size: 25 << 12, Align: 4096},
		{Slot: 2, Size: 4096, Align: 65536, Limit: 1 << 30},
		{Free: true, Slot: 0},
		{Slot: 0, Size: 0xffffffff << 12},
	}
	noLimit := slices.Clone(want)
	noLimit[1].Limit = 0
	wantHeader := trace.PlacementHeader{Records: 4, Slots: 3, Unit: 4096, Seed: 7, PeakLive: 1 << 20, MeanLive: 1 << 19, Pattern: 1}

	for _, tc := range []struct {
		name   string
		data   []byte
		want   []trace.Placement
		header trace.PlacementHeader
	}{
		{"version 1", v1, noLimit, wantHeader},
		{"version 2", v2, want, wantHeader},
		{"text", text, want, trace.PlacementHeader{}},
		{"gzip of version 2", zip(t, v2), want, wantHeader},
		{"gzip of text", zip(t, text), want, trace.PlacementHeader{}},
		{"no records", encode("DMATRC01", [7]uint64{0, 0, 1, 0, 0, 0, 0}), nil, trace.PlacementHeader{Unit: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(tc.data), iotest.OneByteReader(bytes.NewReader(tc.data))} {
				got, h, err := readAll(r)
				if err != nil || !slices.Equal(got, tc.want) || h != tc.header {
					t.Errorf("got %+v, %+v, %v\nwant %+v, %+v", h, got, err, tc.header, tc.want)
				}
			}
		})
	}
}

func TestPlacementErrors(t *testing.T) {
	head := func(change func(h *[7]uint64)) []byte {
		h := header
		change(&h)
		return encode("DMATRC01", h)
	}
	records := func(rows ...[]uint32) []byte { return encode("DMATRC01", header, rows...) }
	whole := records([]uint32{0, 1, 1}, []uint32{1, 1, 1}, []uint32{2, 1, 1}, []uint32{freeBit, 0, 0})
	badSum := zip(t, whole)
	badSum[len(badSum)-5] ^= 1

	for _, tc := range []struct {
		name     string
		data     []byte
		text     bool
		position uint64
		err      error
	}{
		{"empty", nil, false, 0, trace.ErrNotPlacement},
		{"something else", []byte("PK\x03\x04 and more"), false, 0, trace.ErrNotPlacement},
		{"gzip of nothing", zip(t, nil), false, 0, trace.ErrNotPlacement},
		{"gzip of gzip", zip(t, zip(t, whole)), false, 0, trace.ErrNotPlacement},
		{"gzip header torn", zip(t, whole)[:5], false, 0, io.ErrUnexpectedEOF},
		{"version 3", encode("DMATRC03", header), false, 0, trace.ErrNotPlacement},
		{"header torn", whole[:63], false, 0, io.ErrUnexpectedEOF},
		{"unit 0", head(func(h *[7]uint64) { h[2] = 0 }), false, 0, trace.ErrPlacementHeader},
		{"unit too large", head(func(h *[7]uint64) { h[2] = 1<<32 + 1 }), false, 0, trace.ErrPlacementHeader},
		{"slots beyond 31 bits", head(func(h *[7]uint64) { h[0], h[1] = 1<<40, 1<<31+1 }), false, 0, trace.ErrPlacementHeader},
		{"more slots than records", head(func(h *[7]uint64) { h[1] = 5 }), false, 0, trace.ErrPlacementHeader},
		{"mean above peak", head(func(h *[7]uint64) { h[5] = h[4] + 1 }), false, 0, trace.ErrPlacementHeader},
		{"no record", records(), false, 1, io.ErrUnexpectedEOF},
		{"record torn", whole[:len(whole)-1], false, 4, io.ErrUnexpectedEOF},
		{"gzip torn", zip(t, whole)[:30], false, 0, io.ErrUnexpectedEOF},
		{"gzip checksum", badSum, false, 4, gzip.ErrChecksum},
		{"too long", append(slices.Clone(whole), 0), false, 5, trace.ErrPlacementTooLong},
		{"slot out of range", records([]uint32{3, 1, 1}), false, 1, trace.ErrPlacementSyntax},
		{"size 0", records([]uint32{0, 0, 1}), false, 1, trace.ErrPlacementSyntax},
		{"free with a size", records([]uint32{0, 1, 1}, []uint32{freeBit, 1, 0}), false, 2, trace.ErrPlacementSyntax},
		{"free with an alignment", records([]uint32{0, 1, 1}, []uint32{freeBit, 0, 1}), false, 2, trace.ErrPlacementSyntax},
		{"free of a slot never used", records([]uint32{freeBit | 2, 0, 0}), false, 1, trace.ErrPlacementState},
		{"free of a freed slot", records([]uint32{0, 1, 1}, []uint32{freeBit, 0, 0}, []uint32{freeBit, 0, 0}), false, 3, trace.ErrPlacementState},
		{"allocation of a live slot", records([]uint32{0, 1, 1}, []uint32{0, 1, 1}), false, 2, trace.ErrPlacementState},

		{"line: unknown kind", []byte("a 0 1 1\nx 0\n"), true, 2, trace.ErrPlacementSyntax},
		{"line: long kind", []byte("aa 0 1 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: too few numbers", []byte("a 0 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: too many numbers", []byte("a 0 1 1 1 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: free with a size", []byte("f 0 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: two spaces", []byte("a 0  1 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: sign", []byte("a 0 +1 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: beyond 64 bits", []byte("a 0 18446744073709551616 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: slot beyond 31 bits", []byte("a 2147483648 1 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: size 0", []byte("a 0 0 1\n"), true, 1, trace.ErrPlacementSyntax},
		{"line: no end", []byte("a 0 1 1\nf 0"), true, 2, io.ErrUnexpectedEOF},
		{"line: endless", []byte("a " + strings.Repeat("0", 1<<20)), true, 1, trace.ErrPlacementSyntax},
		{"line: free of a free slot", []byte("# first\nf 0\n"), true, 2, trace.ErrPlacementState},
		{"line: highest slot twice", []byte("a 2147483647 1 1\na 2147483647 1 1\n"), true, 2, trace.ErrPlacementState},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := readAll(bytes.NewReader(tc.data))
			var at *trace.PlacementError
			if !errors.As(err, &at) || !errors.Is(err, tc.err) {
				t.Fatalf("got %v, want a *PlacementError with %v", err, tc.err)
			}
			if at.Text != tc.text || at.Position != tc.position {
				t.Errorf("%v: at %d (text %t), want %d (text %t)", err, at.Position, at.Text, tc.position, tc.text)
			}
		})
	}
}

func TestPlacementStaysAtItsError(t *testing.T) {
	r, err := trace.NewPlacementReader(strings.NewReader("f 0\na 0 1 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = r.Next()
	first := r.Err()
	if _, ok := r.Next(); ok || first == nil || r.Err() != first {
		t.Errorf("after %v: ok %t, %v", first, ok, r.Err())
	}
}

// TestPlacementTwins writes random consistent traces in both forms: they read
// the same, and as a set of live slots kept in a map says they should.
func TestPlacementTwins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots, unit = 12, 512
		var rows [][]uint32
		var text bytes.Buffer
		live := map[uint32]bool{}
		contradiction := uint64(0)
		for i, slot := range rapid.SliceOfN(rapid.Uint32Range(0, slots-1), slots, 5*slots).Draw(t, "slots") {
			free := rapid.IntRange(0, 99).Draw(t, "free") < 50
			if free != live[slot] && rapid.IntRange(0, 999).Draw(t, "contradict") != 0 {
				free = !free
			}
			if free != live[slot] && contradiction == 0 {
				contradiction = uint64(i) + 1
			}
			live[slot] = !free
			if free {
				rows = append(rows, []uint32{freeBit | slot, 0, 0, 0})
				fmt.Fprintf(&text, "f %d\n", slot)
				continue
			}
			rows = append(rows, []uint32{slot, 1 + slot, 2, slot * 3})
			fmt.Fprintf(&text, "a %d %d %d %d\n", slot, (1+slot)*unit, 2*unit, slot*3*unit)
		}
		h := [7]uint64{uint64(len(rows)), slots, unit, 0, 0, 0, 0}
		fromBinary, _, err1 := readAll(bytes.NewReader(encode("DMATRC02", h, rows...)))
		fromText, _, err2 := readAll(&text)
		if !slices.Equal(fromBinary, fromText) {
			t.Fatalf("the twins differ: %d and %d records", len(fromBinary), len(fromText))
		}
		for _, err := range []error{err1, err2} {
			var at *trace.PlacementError
			switch {
			case contradiction == 0 && err != nil:
				t.Fatal(err)
			case contradiction != 0 && (!errors.As(err, &at) || at.Position != contradiction || !errors.Is(err, trace.ErrPlacementState)):
				t.Fatalf("got %v, want a contradiction at %d", err, contradiction)
			}
		}
	})
}

func TestPlacementRecordings(t *testing.T) {
	for _, tc := range []struct {
		file           string
		allocs, limits int
		header         trace.PlacementHeader
	}{
		{"random.bin.gz", 1004963, 0, trace.PlacementHeader{Records: 2000000, Slots: 10102, Unit: 4096, Seed: 0xD3A5, PeakLive: 0x17d38c000, MeanLive: 0x168a6c000}},
		{"window.bin.gz", 1005031, 100052, trace.PlacementHeader{Records: 2000000, Slots: 10102, Unit: 4096, Seed: 0xD3A5, PeakLive: 0x17a491000, MeanLive: 0x16678f000}},
	} {
		t.Run(tc.file, func(t *testing.T) {
			f, err := os.Open(shareddata.Path(t, "placement", tc.file))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := trace.NewPlacementReader(f)
			if err != nil {
				t.Fatal(err)
			}
			records, allocs, limits := 0, 0, 0
			for p, ok := r.Next(); ok; p, ok = r.Next() {
				records++
				if !p.Free {
					allocs++
				}
				if p.Limit != 0 {
					limits++
				}
			}
			if r.Err() != nil || r.Header != tc.header || records != 2000000 || allocs != tc.allocs || limits != tc.limits {
				t.Errorf("%d records, %d allocations, %d limits, header %+v, %v", records, allocs, limits, r.Header, r.Err())
			}
		})
	}
}

func FuzzPlacementReader(f *testing.F) {
	whole := encode("DMATRC01", header, []uint32{0, 1, 1}, []uint32{1, 1, 1}, []uint32{2, 1, 1}, []uint32{freeBit, 0, 0})
	f.Add(whole)
	f.Add(zip(f, whole))
	f.Add(encode("DMATRC02", [7]uint64{1 << 40, 1 << 31, 1 << 32, 0, 0, 0, 0}, []uint32{1<<31 - 1, 1, 1, 1}))
	f.Add([]byte("a 0 4096 65536\na 1 8192 4096 1073741824\nf 0\n"))
	f.Add([]byte("#\n\na 2147483647 18446744073709551615 0\nf 2147483647"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, _, err := readAll(bytes.NewReader(data))
		live := map[uint32]bool{}
		for i, p := range all {
			if p.Free != live[p.Slot] || p.Free == (p.Size > 0) {
				t.Fatalf("record %d: %+v, live before: %t", i+1, p, live[p.Slot])
			}
			live[p.Slot] = !p.Free
		}
		var at *trace.PlacementError
		if err != nil && !errors.As(err, &at) {
			t.Fatalf("%T: %v", err, err)
		}
	})
}

func BenchmarkPlacementReader(b *testing.B) {
	const n = 200_000
	var rows [][]uint32
	var text bytes.Buffer
	for i := range uint32(n) {
		slot := i % 10_000
		if i/10_000%2 == 0 {
			rows = append(rows, []uint32{slot, 25, 16, 0})
			fmt.Fprintf(&text, "a %d 102400 65536\n", slot)
		} else {
			rows = append(rows, []uint32{freeBit | slot, 0, 0, 0})
			fmt.Fprintf(&text, "f %d\n", slot)
		}
	}
	data := encode("DMATRC02", [7]uint64{n, 10_000, 4096, 0, 0, 0, 0}, rows...)
	for _, tc := range []struct {
		name string
		data []byte
	}{{"binary", data}, {"text", text.Bytes()}, {"gzip", zip(b, data)}} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := trace.NewPlacementReader(bytes.NewReader(tc.data))
				if err != nil {
					b.Fatal(err)
				}
				for _, ok := r.Next(); ok; _, ok = r.Next() {
				}
				if r.Err() != nil {
					b.Fatal(r.Err())
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrecords/s")
		})
	}
}
