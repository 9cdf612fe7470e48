package result_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/dmamap"
	"dmasim/sim/metrics"
	"dmasim/sim/result"
)

// sample is a result with two variants that exercises every column.
func sample() *result.Result {
	free := metrics.Cell{Client: -1}
	run := metrics.Run{
		Summary: metrics.Summary{
			Duration: 90 * time.Second,
			Events:   1<<63 + 5,
			Clients: []metrics.ClientTotals{
				{Name: "cedar", Devices: []string{"vpu"}, Heap: "dram", Requests: 10, Failures: 3,
					Causes: map[string]uint64{"window": 2, "fragmented": 1}},
				{Name: `odd, "name"`, Heap: "cma", Requests: 4},
			},
			Heaps: []metrics.HeapTotals{
				{Name: "dram", Allocator: "first-fit", Capacity: mem.GiB, MeanReserved: 1.0 / 3,
					Reaches: []metrics.ReachTotals{{Device: "vpu", Capacity: 256 * mem.MiB}, {Device: "net"}}},
				{Name: "cma", Capacity: 64 * mem.MiB},
			},
		},
		Samples: []metrics.Sample{
			{Heap: 0, Requested: 1, Reserved: 4096, Free: 7, Peak: 8, Largest: 5, Holes: 2, Blocks: 3, Unusable: 1.0 / 3, Failures: [allocator.NumCauses]uint64{allocator.WindowFull: 9},
				Reaches: []metrics.ReachSample{{Free: 1, Largest: 2, Polluted: 3, Unusable: 0.1}, {Free: 1<<64 - 1}}},
			{Heap: 1},
			{Heap: 0, At: 1500*time.Millisecond + 1, Reaches: make([]metrics.ReachSample, 2)},
			{Heap: 1, At: 1500*time.Millisecond + 1},
		},
		Failures: []metrics.Failure{{At: time.Second, Op: 17, Client: "cedar", Heap: "dram", Size: 3 * mem.MiB, Reserve: 4 * mem.MiB,
			Cause: allocator.WindowFull, Free: mem.GiB, InReach: 5, Largest: 6, Polluted: 7, Waiting: 8}},
		Maps: []metrics.Map{{
			Heap: 0, Hull: mem.Range{Lo: 0x40000000, Hi: 0x80000000},
			Arena:   mem.NewRangeSet(mem.Range{Lo: 0x40000000, Hi: 0x50000000}, mem.Range{Lo: 0x60000000, Hi: 0x80000000}),
			Reaches: []mem.RangeSet{mem.NewRangeSet(mem.Range{Lo: 0x40000000, Hi: 0x50000000}), nil},
			Rows:    4, Times: []time.Duration{0, time.Second},
			Cells: []metrics.Cell{
				free, free, {Client: 0, Tone: 1, Fill: 255}, {Client: 1, Tone: 0, Fill: 3},
				{Client: 0}, {Client: 0}, {Client: 0, Tone: 1}, free,
			},
		}},
	}
	run.Summary.First = &run.Failures[0]
	run.Summary.System = &metrics.SystemTotals{Attaches: 1, Waited: time.Second}
	run.Summary.Memory = &metrics.MemoryTotals{Capacity: mem.GiB, Killed: []metrics.Killed{{At: time.Second, Process: "shell", Own: 5, Pinned: 6}}}
	run.Summary.Incidents = map[string]uint64{"scribble": 3}
	run.Memory = []metrics.MemorySample{
		{Kernel: 1, DMABuf: 2, Anonymous: 3, PageCache: 4, Cached: 5, Free: 6, FreeCMA: 7, Swapped: 8, Unusable: 0.5},
		{At: time.Second + 1},
	}
	run.Summary.Spaces = []metrics.SpaceTotals{
		{Name: "swiotlb", Kind: sim.DefaultPool, Capacity: 64 * mem.MiB, PeakUsed: 5}, {Name: "smmu", Kind: sim.IOVASpace, Capacity: mem.GiB, PeakUsed: 5, PeakWaiting: 6, PeakBusy: 7},
	}
	run.Spaces = []metrics.SpaceSample{
		{Space: 1, Peak: 6, Usage: dmamap.Usage{Capacity: 1 << 30, Used: 1, Waiting: 2, Cached: 3, Free: 4, Largest: 5, Mappings: 7}},
		{Space: 0, At: time.Second + 1, Usage: dmamap.Usage{Capacity: 64 << 20}},
	}
	run.Incidents = []metrics.Incident{
		{At: time.Second, Kind: sim.Scribble, Actor: "vpu", Buffer: 17, Victim: `odd, "name"`, Range: mem.Range{Lo: 0x40000000, Hi: 0x40001000}, Detail: "words, and more"},
		{Kind: sim.Leak},
	}
	return &result.Result{
		Manifest: result.NewManifest("cedar-a20", 1<<64-1),
		Scenario: []byte("name: cedar-a20\n"),
		Variants: []result.Variant{{Name: "low", Run: run}, {Name: "nothing"}},
		Host:     result.NewHost(time.Unix(1700000000, 0), 1500*time.Millisecond),
	}
}

func figure(name, content string) result.File {
	return result.File{Name: name, Write: func(w io.Writer) error { _, err := io.WriteString(w, content); return err }}
}

func write(t *testing.T, dir string, extra ...result.File) {
	t.Helper()
	if err := result.Write(t.Context(), dir, sample(), extra...); err != nil {
		t.Fatal(err)
	}
}

// tree returns the files below dir, hidden ones too, with their contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch d.Type() {
		case fs.ModeDir:
			files[name+"/"] = ""
			return nil
		case fs.ModeSymlink:
			files[name], err = os.Readlink(path)
			return err
		}
		data, err := os.ReadFile(path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestReadReturnsWhatWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	want := sample()
	if err := result.Write(t.Context(), dir, want, figure("figures/map.svg", "<svg/>")); err != nil {
		t.Fatal(err)
	}
	got, err := result.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-written +read:\n%s", diff)
	}
	if n := len(got.Manifest.Files); n != 10 {
		t.Errorf("%d files in the manifest, want 10: %v", n, got.Manifest.Files)
	}
}

// Whatever the simulation measured, and whatever field is added to it, is read
// as it was written.
func TestEveryFieldIsWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	rapid.Check(t, func(t *rapid.T) {
		run := &metrics.Run{
			Summary:  metrics.Summary{Heaps: []metrics.HeapTotals{{Name: "dram", Reaches: []metrics.ReachTotals{{Device: "vpu"}}}}},
			Samples:  rapid.SliceOfN(rapid.Make[metrics.Sample](), 1, 3).Draw(t, "samples"),
			Failures: rapid.SliceOfN(rapid.Make[metrics.Failure](), 1, 3).Draw(t, "failures"),
		}
		for i := range run.Samples {
			run.Samples[i].Heap = 0
			run.Samples[i].Failures[allocator.None] = 0
			run.Samples[i].Reaches = []metrics.ReachSample{rapid.Make[metrics.ReachSample]().Draw(t, "reach")}
		}
		for i := range run.Failures {
			f := &run.Failures[i]
			f.Cause = rapid.SampledFrom(allocator.Causes()).Draw(t, "cause")
			f.Client, f.Heap = strings.ReplaceAll(f.Client, "\r", ""), strings.ReplaceAll(f.Heap, "\r", "")
		}
		want := &result.Result{Variants: []result.Variant{{Name: "low", Run: *run}}}
		if err := result.Write(context.Background(), dir, want); err != nil {
			t.Fatal(err)
		}
		got, err := result.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Variants, got.Variants, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("-written +read:\n%s", diff)
		}
	})
}

func TestManifestHashesEveryFileButHost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	write(t, dir, figure("figures/map.png", "png"))
	files := tree(t, dir)
	var m struct {
		Kind   string
		Format int
		Seed   uint64
		Files  map[string]string
	}
	if err := json.Unmarshal([]byte(files["manifest.json"]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Kind != "dmasim-result" || m.Format != result.Format || m.Seed != 1<<64-1 {
		t.Errorf("manifest %+v", m)
	}
	for name, content := range files {
		sum := sha256.Sum256([]byte(content))
		want := hex.EncodeToString(sum[:])
		if name == "manifest.json" || name == "host.json" || strings.HasSuffix(name, "/") {
			want = ""
		}
		if m.Files[name] != want {
			t.Errorf("%s: hash %q, want %q", name, m.Files[name], want)
		}
	}
}

func TestEqualResultsAreEqualBytes(t *testing.T) {
	parent := t.TempDir()
	write(t, filepath.Join(parent, "a"))
	second := sample()
	second.Host = result.NewHost(time.Unix(1800000000, 0), time.Second)
	if err := result.Write(t.Context(), filepath.Join(parent, "b"), second); err != nil {
		t.Fatal(err)
	}
	a, b := tree(t, filepath.Join(parent, "a")), tree(t, filepath.Join(parent, "b"))
	if a["host.json"] == b["host.json"] {
		t.Error("host.json does not tell the runs apart")
	}
	delete(a, "host.json")
	delete(b, "host.json")
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}

func TestTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	write(t, dir)
	files := tree(t, dir)
	for name, want := range map[string]string{
		"samples.csv": `variant,heap,time_s,requested_bytes,reserved_bytes,free_bytes,peak_reserved_bytes,largest_free_bytes,holes,blocks,unusable_share,failed_permission,failed_limit,failed_exhausted,failed_window,failed_fragmented,failed_alignment,failed_boundary,failed_rule,failed_segments,failed_busy,failed_pinned,failed_policy,failed_unreachable,failed_iova,failed_bounce
low,dram,0,1,4096,7,8,5,2,3,0.3333333333333333,0,0,0,9,0,0,0,0,0,0,0,0,0,0,0
low,cma,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
low,dram,1.500000001,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
low,cma,1.500000001,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0
`,
		"reaches.csv": `variant,heap,time_s,device,free_bytes,largest_free_bytes,polluted_bytes,unusable_share
low,dram,0,vpu,1,2,3,0.1
low,dram,0,net,18446744073709551615,0,0,0
low,dram,1.500000001,vpu,0,0,0,0
low,dram,1.500000001,net,0,0,0,0
`,
		"failures.csv": `variant,time_s,op,client,heap,size_bytes,reserve_bytes,cause,free_bytes,free_in_reach_bytes,largest_run_in_reach_bytes,polluted_bytes,waiting_bytes
low,1,17,cedar,dram,3145728,4194304,window,1073741824,5,6,7,8
`,
		"spaces.csv": `variant,time_s,space,used_bytes,peak_used_bytes,waiting_bytes,cached_bytes,free_bytes,largest_free_bytes,mappings
low,0,smmu,1,6,2,3,4,5,7
low,1.000000001,swiotlb,0,0,0,0,0,0,0
`,
		"map.csv": `variant,heap,time_s,cells
low,dram,0,2*. 0b255 1a3
low,dram,1,2*0a0 0b0 .
`,
	} {
		if diff := cmp.Diff(want, files[name]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	if quoted := `"name": "odd, \"name\""`; !strings.Contains(files["summary.json"], quoted) {
		t.Errorf("summary.json does not hold %s", quoted)
	}
	if reach := `"lo": "0x40000000"`; !strings.Contains(files["summary.json"], reach) {
		t.Errorf("summary.json does not hold %s", reach)
	}
}

func TestTarget(t *testing.T) {
	for name, test := range map[string]struct {
		make   func(t *testing.T, path string)
		refuse error // nil: may be written
	}{
		"nothing":         {func(t *testing.T, path string) {}, nil},
		"empty directory": {func(t *testing.T, path string) { mkdir(t, path) }, nil},
		"a result":        {func(t *testing.T, path string) { write(t, path, figure("figures/old.png", "old")) }, nil},
		"a later format": {func(t *testing.T, path string) {
			mkdir(t, path)
			put(t, filepath.Join(path, "manifest.json"), `{"kind": "dmasim-result", "format": 99}`)
		}, nil},
		"a link to a result": {func(t *testing.T, path string) {
			write(t, path+".real")
			if err := os.Symlink(path+".real", path); err != nil {
				t.Skip(err)
			}
		}, nil},
		"a link to nothing": {func(t *testing.T, path string) {
			if err := os.Symlink(path+".absent", path); err != nil {
				t.Skip(err)
			}
		}, result.ErrNotResult},
		"a file":          {func(t *testing.T, path string) { put(t, path, "precious") }, result.ErrNotResult},
		"other directory": {func(t *testing.T, path string) { mkdir(t, path); put(t, filepath.Join(path, "thesis.tex"), "x") }, result.ErrNotResult},
		"manifest of another program": {func(t *testing.T, path string) {
			mkdir(t, path)
			put(t, filepath.Join(path, "manifest.json"), `{"format": 1, "kind": "web app"}`)
		}, result.ErrNotResult},
		"manifest that is no JSON": {func(t *testing.T, path string) {
			mkdir(t, path)
			put(t, filepath.Join(path, "manifest.json"), "dmasim-result")
		}, result.ErrNotResult},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			path := filepath.Join(parent, "out")
			test.make(t, path)
			before := tree(t, parent)
			check := result.CheckTarget(path)
			if diff := cmp.Diff(before, tree(t, parent)); diff != "" {
				t.Fatalf("CheckTarget changed the directory:\n%s", diff)
			}
			wrote := result.Write(t.Context(), path, sample())
			if !errors.Is(check, test.refuse) || !errors.Is(wrote, test.refuse) {
				t.Fatalf("CheckTarget: %v, Write: %v, want %v", check, wrote, test.refuse)
			}
			if test.refuse != nil {
				if diff := cmp.Diff(before, tree(t, parent)); diff != "" {
					t.Errorf("refused, but changed:\n%s", diff)
				}
				return
			}
			if check != nil || wrote != nil {
				t.Fatalf("CheckTarget: %v, Write: %v", check, wrote)
			}
			if _, err := result.Read(path); err != nil {
				t.Error(err)
			}
			after := tree(t, parent)
			if _, ok := after["out/figures/old.png"]; ok {
				t.Error("a file of the old result is still there")
			}
			noStaging(t, parent)
		})
	}
}

func TestCheckTargetBelowAFile(t *testing.T) {
	parent := t.TempDir()
	put(t, filepath.Join(parent, "file"), "")
	if err := result.CheckTarget(filepath.Join(parent, "file", "out")); err == nil {
		t.Error("no error for a target below a file")
	}
}

// A failed or cancelled Write leaves what was there.
func TestWriteWholeOrNotAtAll(t *testing.T) {
	full := errors.New("no space left on device")
	for name, test := range map[string]struct {
		write func(cancel context.CancelFunc, w io.Writer) error
		want  error
	}{
		"full disk": {func(_ context.CancelFunc, w io.Writer) error {
			io.WriteString(w, "half a picture")
			return full
		}, full},
		"cancelled": {func(cancel context.CancelFunc, w io.Writer) error {
			cancel()
			return nil
		}, context.Canceled},
		"cancelled while writing": {func(cancel context.CancelFunc, w io.Writer) error {
			cancel()
			_, err := w.Write(make([]byte, 1<<20))
			return err
		}, context.Canceled},
	} {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/old=%v", name, old), func(t *testing.T) {
				parent := t.TempDir()
				path := filepath.Join(parent, "out")
				if old {
					write(t, path, figure("figures/old.png", "old"))
				}
				before := tree(t, parent)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				err := result.Write(ctx, path, sample(), result.File{Name: "figures/new.png", Write: func(w io.Writer) error {
					return test.write(cancel, w)
				}})
				if !errors.Is(err, test.want) {
					t.Fatalf("error %v, want %v", err, test.want)
				}
				if diff := cmp.Diff(before, tree(t, parent)); diff != "" {
					t.Errorf("-before +after:\n%s", diff)
				}
			})
		}
	}
}

func TestWriteRefusesFileNames(t *testing.T) {
	for _, name := range []string{"", "../x", "/etc/x", "manifest.json", "host.json", "samples.csv"} {
		parent := t.TempDir()
		if err := result.Write(t.Context(), filepath.Join(parent, "out"), sample(), figure(name, "")); err == nil {
			t.Errorf("file %q: no error", name)
		}
		if left := tree(t, parent); len(left) != 0 {
			t.Errorf("file %q: left %v", name, left)
		}
	}
}

func TestWriteRefusesContradictions(t *testing.T) {
	for name, spoil := range map[string]func(*result.Result){
		"variants of one name": func(r *result.Result) { r.Variants[1].Name = "low" },
		"heaps of one name":    func(r *result.Result) { r.Variants[0].Run.Summary.Heaps[1].Name = "dram" },
		"sample of no heap":    func(r *result.Result) { r.Variants[0].Run.Samples[0].Heap = 2 },
		"a device too few":     func(r *result.Result) { r.Variants[0].Run.Samples[0].Reaches = nil },
		"map of no heap":       func(r *result.Result) { r.Variants[0].Run.Maps[0].Heap = -1 },
		"too few cells":        func(r *result.Result) { r.Variants[0].Run.Maps[0].Rows = 5 },
		"cell of no client":    func(r *result.Result) { r.Variants[0].Run.Maps[0].Cells[0].Client = 2 },
		"cell of third tone":   func(r *result.Result) { r.Variants[0].Run.Maps[0].Cells[2].Tone = 2 },
		"two maps of a heap": func(r *result.Result) {
			r.Variants[0].Run.Maps = append(r.Variants[0].Run.Maps, r.Variants[0].Run.Maps[0])
		},
	} {
		r := sample()
		spoil(r)
		parent := t.TempDir()
		if err := result.Write(t.Context(), filepath.Join(parent, "out"), r); err == nil {
			t.Errorf("%s: no error", name)
		}
		if left := tree(t, parent); len(left) != 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func TestReadSaysWhatIsDamaged(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(t *testing.T, dir string)
		want  error
		text  string
	}{
		"no manifest":      {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "manifest.json")) }, result.ErrNotResult, "has no manifest.json"},
		"torn manifest":    {func(t *testing.T, dir string) { put(t, filepath.Join(dir, "manifest.json"), `{"kind"`) }, result.ErrNotResult, "manifest.json"},
		"other manifest":   {func(t *testing.T, dir string) { put(t, filepath.Join(dir, "manifest.json"), `{}`) }, result.ErrNotResult, "another program"},
		"missing table":    {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "samples.csv")) }, result.ErrDamaged, "samples.csv: missing"},
		"missing figure":   {func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "figures", "a.png")) }, result.ErrDamaged, "figures/a.png: missing"},
		"changed figure":   {func(t *testing.T, dir string) { put(t, filepath.Join(dir, "figures", "a.png"), "b") }, result.ErrDamaged, "figures/a.png: changed since it was written"},
		"changed scenario": {func(t *testing.T, dir string) { put(t, filepath.Join(dir, "scenario.yaml"), "name: x") }, result.ErrDamaged, "scenario.yaml: changed since it was written"},
		"damaged host":     {func(t *testing.T, dir string) { put(t, filepath.Join(dir, "host.json"), "{") }, result.ErrDamaged, "host.json"},
		"unnamed table": {func(t *testing.T, dir string) {
			editManifest(t, dir, func(m map[string]any) { delete(m["files"].(map[string]any), "map.csv") })
		}, result.ErrDamaged, "map.csv: the manifest does not name it"},
		"file outside": {func(t *testing.T, dir string) {
			editManifest(t, dir, func(m map[string]any) { m["files"].(map[string]any)["../x"] = "00" })
		}, result.ErrDamaged, "../x: not a name of a file below the result"},
		"another format": {func(t *testing.T, dir string) {
			editManifest(t, dir, func(m map[string]any) { m["format"] = 4 })
		}, nil, "is in format 4, this program reads format 3"},
		"bad number":      {forge("samples.csv", "4096", "4k"), result.ErrDamaged, `samples.csv: line 2: reserved_bytes is "4k"`},
		"bad time":        {forge("samples.csv", "1.500000001", "1.5s"), result.ErrDamaged, `samples.csv: line 4: time_s is "1.5s"`},
		"missing column":  {forge("samples.csv", ",failed_bounce", ""), result.ErrDamaged, "samples.csv: record on line 1: wrong number of fields"},
		"unknown heap":    {forge("samples.csv", "low,cma", "low,cmb"), result.ErrDamaged, `samples.csv: line 3: heap is "cmb"`},
		"unknown variant": {forge("failures.csv", "low,1", "high,1"), result.ErrDamaged, `failures.csv: line 2: unknown variant "high"`},
		"unknown cause":   {forge("failures.csv", "window", "windy"), result.ErrDamaged, `failures.csv: line 2: unknown cause "windy"`},
		"device order":    {forge("reaches.csv", "vpu", "gpu"), result.ErrDamaged, "reaches.csv: line 2: heap, instant and device are not those"},
		"fewer reaches":   {forge("reaches.csv", "low,dram,1.500000001,net,0,0,0,0\n", ""), result.ErrDamaged, "reaches.csv: variant \"low\": no rows for the devices at 1.500000001s"},
		"more reaches":    {forge("reaches.csv", "net,0,0,0,0\n", "net,0,0,0,0\nlow,dram,2,vpu,0,0,0,0\n"), result.ErrDamaged, "reaches.csv: line 6: more rows than samples.csv has"},
		"unknown space":   {forge("spaces.csv", ",smmu,", ",mmu,"), result.ErrDamaged, "spaces.csv: line 2: space is \"mmu\""},
		"two spaces":      {forge("summary.json", `"name": "smmu"`, `"name": "swiotlb"`), result.ErrDamaged, "two spaces are named"},
		"few cells":       {forge("map.csv", "2*. ", ". "), result.ErrDamaged, "map.csv: line 2: cells: 3 rows, want 4"},
		"many cells":      {forge("map.csv", "2*. ", "2000000000*. "), result.ErrDamaged, "map.csv: line 2: cells: more rows than the map's 4"},
		"cell of nobody":  {forge("map.csv", "1a3", "2a3"), result.ErrDamaged, `map.csv: line 2: cells "2a3": no such client`},
		"huge map":        {forge("summary.json", `"rows": 4`, `"rows": 4000000000000`), result.ErrDamaged, "summary.json"},
		"summary no JSON": {forge("summary.json", "{", "["), result.ErrDamaged, "summary.json"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			write(t, dir, figure("figures/a.png", "a"))
			test.spoil(t, dir)
			_, err := result.Read(dir)
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v with %q", err, test.want, test.text)
			}
		})
	}
}

// forge replaces the first old in a file by text and makes the manifest agree.
func forge(name, old, text string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(data, []byte(old)) {
			t.Fatalf("%s has no %q", name, old)
		}
		data = bytes.Replace(data, []byte(old), []byte(text), 1)
		put(t, path, string(data))
		sum := sha256.Sum256(data)
		editManifest(t, dir, func(m map[string]any) { m["files"].(map[string]any)[name] = hex.EncodeToString(sum[:]) })
	}
}

func editManifest(t *testing.T, dir string, edit func(map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "manifest.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	edit(m)
	data, err = json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, string(data))
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o777); err != nil {
		t.Fatal(err)
	}
}

func noStaging(t *testing.T, parent string) {
	t.Helper()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }); i >= 0 {
		t.Errorf("left %s behind", entries[i].Name())
	}
}

func ExampleRead() {
	parent, err := os.MkdirTemp("", "dmasim-example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "cedar")
	err = result.Write(context.Background(), dir, &result.Result{
		Manifest: result.NewManifest("cedar", 42),
		Variants: []result.Variant{{Name: "first-fit", Run: metrics.Run{
			Summary:  metrics.Summary{Heaps: []metrics.HeapTotals{{Name: "dram"}}},
			Failures: []metrics.Failure{{At: 1250 * time.Millisecond, Client: "vpu", Heap: "dram", Cause: allocator.Fragmented}},
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := result.Read(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	f := r.Variants[0].Run.Failures[0]
	fmt.Println(r.Manifest.Scenario, r.Variants[0].Name, f.At, f.Client, f.Cause)

	table, err := os.Open(filepath.Join(dir, "failures.csv"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer table.Close()
	columns, err := csv.NewReader(table).Read()
	fmt.Println(columns[:4], err)
	// Output:
	// cedar first-fit 1.25s vpu fragmented
	// [variant time_s op client] <nil>
}

func TestReadFilesReadsWhatIsWanted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "result")
	manifest := result.NewManifest("many", 7)
	manifest.Content = "comparison"
	file := func(name, text string) result.File {
		return result.File{Name: name, Write: func(w io.Writer) error { _, err := io.WriteString(w, text); return err }}
	}
	files := []result.File{file("a.csv", "first"), file("figures/a.png", "second"), file("b.csv", "third")}
	if err := result.WriteFiles(context.Background(), dir, &manifest, result.Host{}, files); err != nil {
		t.Fatal(err)
	}
	wanted := func(name string) bool { return name != "b.csv" }
	got, contents, err := result.ReadFiles(dir, wanted)
	if err != nil || got.Content != "comparison" || got.Seed != 7 {
		t.Fatalf("manifest %+v, %v", got, err)
	}
	if len(contents) != 2 || string(contents["a.csv"]) != "first" || string(contents["figures/a.png"]) != "second" {
		t.Errorf("files %q", contents)
	}
	put(t, filepath.Join(dir, "b.csv"), "changed")
	if _, _, err := result.ReadFiles(dir, wanted); err != nil {
		t.Errorf("a file that is not wanted: %v", err)
	}
	put(t, filepath.Join(dir, "a.csv"), "changed")
	if _, _, err := result.ReadFiles(dir, wanted); !errors.Is(err, result.ErrDamaged) {
		t.Errorf("a wanted file that was changed: %v", err)
	}
	if _, _, err := result.ReadFiles(t.TempDir(), wanted); !errors.Is(err, result.ErrNotResult) {
		t.Errorf("an empty directory: %v", err)
	}
}
