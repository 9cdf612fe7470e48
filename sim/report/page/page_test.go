package page

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/explain"
	"dmasim/sim/history"
	"dmasim/sim/metrics"
	"dmasim/sim/physmem"
)

// decode reads columns as the page's script does.
func decode(t *testing.T, packed string, specs []columnSpec) map[string][]uint64 {
	t.Helper()
	zipped, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string][]uint64{}
	for _, spec := range specs {
		last := uint64(0)
		for range spec.Count {
			v, n := binary.Uvarint(data)
			data = data[n:]
			if spec.Delta {
				v += last
				last = v
			}
			columns[spec.Name] = append(columns[spec.Name], v)
		}
	}
	if len(data) > 0 {
		t.Fatalf("%d bytes too many", len(data))
	}
	return columns
}

func TestColumns(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		plain := rapid.SliceOf(rapid.Uint64()).Draw(r, "plain")
		rising := rapid.SliceOf(rapid.Uint64()).Draw(r, "rising")
		slices.Sort(rising)
		c := new(Columns)
		Add(c, "plain", len(plain), func(i int) uint64 { return plain[i] })
		AddRising(c, "rising", len(rising), func(i int) uint64 { return rising[i] })
		packed, err := c.base64()
		if err != nil {
			r.Fatal(err)
		}
		got := decode(t, packed, c.specs)
		if !slices.Equal(got["plain"], plain) || !slices.Equal(got["rising"], rising) {
			r.Fatalf("got %v", got)
		}
	})
}

const mib = 1 << 20

// content is a page of one run with an arena and pages of a machine.
func content(t *testing.T) *Content {
	t.Helper()
	run := &metrics.Run{
		Summary: metrics.Summary{
			Duration: 10 * time.Second,
			Clients:  []metrics.ClientTotals{{Name: "</script><b>camera", Devices: []string{"isp"}, Requests: 3, Failures: 1}, {Name: "hog"}},
			Heaps: []metrics.HeapTotals{
				{Name: "arena", Kind: "carveout", Capacity: 8 * mib, Reaches: []metrics.ReachTotals{{Device: "isp"}}},
				{Name: "system", Kind: "system", Capacity: 64 * mib},
			},
			Spaces: []metrics.SpaceTotals{{Name: "swiotlb", Kind: sim.DefaultPool, Capacity: mib}},
			Memory: &metrics.MemoryTotals{Capacity: 64 * mib},
		},
		Samples: []metrics.Sample{
			{At: 0, Heap: 0, Free: 8 * mib, Reaches: make([]metrics.ReachSample, 1)}, {At: 0, Heap: 1},
			{At: 5 * time.Second, Heap: 0, Reserved: mib, Failures: [allocator.NumCauses]uint64{3: 2, 5: 1}, Reaches: make([]metrics.ReachSample, 1)}, {At: 5 * time.Second, Heap: 1},
		},
		Failures: []metrics.Failure{{At: 4 * time.Second, Op: 7, Client: "hog", Heap: "arena", Size: mib, Cause: allocator.Fragmented, Free: 2 * mib}},
		Maps: []metrics.Map{
			{Heap: 0, Hull: mem.Range{Lo: 0x40000000, Hi: 0x40000000 + 8*mib}, Arena: mem.NewRangeSet(mem.Range{Lo: 0x40000000, Hi: 0x40000000 + 8*mib}),
				Reaches: []mem.RangeSet{mem.NewRangeSet(mem.Range{Lo: 0x40000000, Hi: 0x40000000 + mib})}, Rows: 2, Times: []time.Duration{0},
				Cells: []metrics.Cell{{Client: 1, Fill: 128}, {Client: -1}}},
			{Heap: 1, Hull: mem.Range{Lo: 0, Hi: 64 * mib}, Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 64 * mib}), Rows: 1, Times: []time.Duration{0}, Cells: []metrics.Cell{{Client: -1}}},
		},
		Memory:    []metrics.MemorySample{{At: 0, Kernel: mib, DMABuf: 2 * mib}},
		Spaces:    []metrics.SpaceSample{{At: 0}},
		Incidents: []metrics.Incident{{At: time.Second, Kind: sim.Leak, Actor: "hog"}},
	}
	lives := &history.Record{
		End: 10 * time.Second,
		Buffers: []history.Buffer{
			{Number: 1, Heap: 0, Client: 0, Start: time.Second, End: 3 * time.Second, Freed: 5, Payload: mib - 100, Reserved: mib, Hull: mem.Range{Lo: 0x40000000, Hi: 0x40000000 + mib}},
			{Number: 2, Heap: 1, Client: 1, Start: time.Second, End: 10 * time.Second, Payload: 3 * 4096, Reserved: 3 * 4096,
				Hull: mem.Range{Lo: 0x1000, Hi: 0x8000}, Pieces: []mem.Range{{Lo: 0x1000, Hi: 0x3000}, {Lo: 0x7000, Hi: 0x8000}}},
		},
		Frames: []history.Frames{{Hull: mem.Range{Lo: 0, Hi: 64 * mib}, Rows: 1, Times: []time.Duration{0}, Kinds: []physmem.Kind{physmem.Kernel}}},
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 600, 300))); err != nil {
		t.Fatal(err)
	}
	return &Content{
		Title: "</title><script>1</script>", Subtitle: "a & b", Texts: []string{"<i>what</i> happened"},
		Facts: []Fact{{"seed", "1"}}, Tables: []Table{{Title: "Variants", Head: []string{"variant", "asked"}, Rows: [][]string{{"<run>", "3"}}}},
		Figures: []Figure{{Name: "memory-map", Type: "image/png", Data: picture.Bytes()}},
		Runs: []Run{{Name: "run", Metrics: run, History: lives, Explains: map[int]*explain.Explanation{
			0: {Op: 7, Client: "hog", Heap: "arena", Payload: mib, Cause: allocator.Fragmented, InTheWay: make([]explain.Buffer, mostInTheWay+3)},
		}}},
	}
}

func TestScene(t *testing.T) {
	c := new(Columns)
	run := content(t).Runs[0]
	s := newScene(&run, c)
	packed, err := c.base64()
	if err != nil {
		t.Fatal(err)
	}
	columns := decode(t, packed, s.Columns)
	if s.Unit != 4096 {
		t.Errorf("unit %d, want a page", s.Unit)
	}
	if len(s.Views) != 2 || s.Views[0].Name != "arena" || s.Views[1].Name != "RAM" || s.Views[1].Frames != 1 {
		t.Fatalf("views %+v", s.Views)
	}
	if w := s.Views[0].Windows; len(w) != 1 || w[0].Device != "isp" || !slices.Equal(w[0].Ranges, [][2]uint64{{0, 256}}) {
		t.Errorf("windows %+v", w)
	}
	if s.Views[0].Rows != 0 {
		t.Error("there is a coarse map, although nothing is left out")
	}
	for name, want := range map[string][]uint64{
		"buffer.number": {1, 2}, "buffer.freed": {4, 0}, "buffer.start": {1e9, 1e9}, "buffer.life": {2e9, 9e9}, "buffer.pieces": {1, 2},
		"buffer.payload": {mib - 100, 3 * 4096}, "piece.lo": {0x40000, 1, 7}, "piece.size": {256, 2, 1},
		"failure.op": {7}, "failure.client": {2}, "failure.heap": {1}, "failure.free": {2 * mib}, "sample.failures": {0, 0, 3, 0},
		"memory.dmabuf": {2 * mib}, "frames.kind.RAM": {uint64(physmem.Kernel)},
	} {
		if !slices.Equal(columns[name], want) {
			t.Errorf("%s is %v, want %v", name, columns[name], want)
		}
	}
	if got := s.Causes[columns["failure.cause"][0]-1]; got != "fragmented" {
		t.Errorf("the cause is %s", got)
	}
	if e := s.Explains[0]; len(e.InTheWay) != mostInTheWay || e.More != 3 || e.Reason == "" {
		t.Errorf("%d in the way, %d more", len(e.InTheWay), e.More)
	}

	run.History.LeftOut = history.LeftOut{Buffers: 4, Heaviest: 5}
	c = new(Columns)
	if s = newScene(&run, c); s.LeftOut == nil || s.LeftOut.Buffers != 4 || s.Views[0].Rows != 2 {
		t.Errorf("of what is left out the page knows %+v, and a map of %d rows", s.LeftOut, s.Views[0].Rows)
	}
	run.History = nil
	if s = newScene(&run, new(Columns)); s.Recorded || s.Views[0].Rows != 2 || len(s.Views) != 2 {
		t.Errorf("without single buffers there are the views %+v", s.Views)
	}
}

func write(t *testing.T, c *Content) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatUsersWriteIsText(t *testing.T) {
	text := write(t, content(t))
	for _, tag := range []string{"<b>", "<i>", "<run>", "<script>1"} {
		if strings.Contains(text, tag) {
			t.Errorf("%s of the user is in the page", tag)
		}
	}
	for _, want := range []string{"&lt;i&gt;what&lt;/i&gt; happened", "&lt;run&gt;", `\u003c/script\u003e\u003cb\u003ecamera`, "a &amp; b"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the page", want)
		}
	}
}

func TestPolicy(t *testing.T) {
	text := strings.ReplaceAll(write(t, content(t)), "&#39;", "'")
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(text)
	if policy == nil {
		t.Fatal("no content security policy")
	}
	policy[1] = strings.ReplaceAll(policy[1], "&#43;", "+")
	for name, tag := range map[string]string{"script-src": `(?s)<script type="module">(.*?)</script>`, "style-src": `(?s)<style>(.*?)</style>`} {
		found := regexp.MustCompile(tag).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no %s", tag)
		}
		raw := regexp.MustCompile(tag).FindStringSubmatch(write(t, content(t)))[1]
		if want := name + " " + sourceHash(raw); !strings.Contains(policy[1], want) {
			t.Errorf("the policy %q has no %s", policy[1], want)
		}
	}
	if !strings.HasPrefix(policy[1], "default-src 'none'; ") || strings.Contains(policy[1], "unsafe") || strings.Contains(policy[1], "http") {
		t.Errorf("policy %q", policy[1])
	}
}

func TestPageIsReproducible(t *testing.T) {
	if first, second := write(t, content(t)), write(t, content(t)); first != second {
		t.Error("the same content gives two pages")
	}
}

func TestDataCanBeRead(t *testing.T) {
	text := write(t, content(t))
	data := regexp.MustCompile(`(?s)<script type="application/json" id="scenes">(.*?)</script>`).FindStringSubmatch(text)
	packed := regexp.MustCompile(`(?s)<script type="text/plain" id="columns-0">(.*?)</script>`).FindStringSubmatch(text)
	if data == nil || packed == nil {
		t.Fatal("no data")
	}
	var scenes []scene
	if err := json.Unmarshal([]byte(data[1]), &scenes); err != nil {
		t.Fatal(err)
	}
	if scenes[0].Clients[0].Name != "</script><b>camera" {
		t.Errorf("the client is %q", scenes[0].Clients[0].Name)
	}
	decode(t, packed[1], scenes[0].Columns)
	if !strings.Contains(text, `alt="memory map" width="200"`) {
		t.Error("the figure does not have the width of a third of its dots")
	}
}

func TestPageWithoutRuns(t *testing.T) {
	text := write(t, &Content{Title: "sweep", Tables: []Table{{Title: "Points", Folded: true, Head: []string{"point"}}}})
	if strings.Contains(text, `id="map"`) || !strings.Contains(text, "<summary>Points</summary>") {
		t.Error("a page without runs has a map, or lacks its table")
	}
}

func TestRepresentative(t *testing.T) {
	list := make([]metrics.Failure, 100)
	for i := range list {
		list[i] = metrics.Failure{Op: uint64(10 * (i + 1)), Client: "a", Cause: allocator.Exhausted}
	}
	list[40].Client = "b"
	list[60].Cause = allocator.Fragmented
	for _, test := range []struct {
		n      int
		events uint64
		want   []int
	}{
		{0, 1e6, []int{}}, {1, 1e6, []int{0}}, {3, 1e6, []int{0, 40, 60}}, {5, 1e6, []int{0, 40, 50, 60}},
		{200, 15, []int{0}}, {200, 5, []int{}},
	} {
		if got := Representative(list, test.n, test.events); !slices.Equal(got, test.want) {
			t.Errorf("of %d and %d events: %v, want %v", test.n, test.events, got, test.want)
		}
	}
	if got := Representative(nil, 12, 1e6); len(got) != 0 {
		t.Errorf("of no failures: %v", got)
	}
	if got := Representative(list, 1000, 1e9); len(got) != 100 {
		t.Errorf("of all: %d", len(got))
	}
}
