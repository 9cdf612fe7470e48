package scenario_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dmasim/allocator"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/scenario"
	"dmasim/workloads"
	"dmasim/workloads/generator"
)

// small is a right scenario that the tests break.
const small = `name: small
duration: 10s
memory:
  - {base: 0x40000000, size: 256MiB}
  - {base: 0x80000000, size: 256MiB}
heaps:
  - name: main
    arena: [{base: 0x40000000, size: 128MiB}]
    allocator: first-fit
  - name: other
    arena: [{base: 0x80000000, size: 16MiB}]
    allocator: best-fit
    placement: high
devices:
  - {use: sunxi-cedar-a20, name: vpu}
  - name: gpu
    align: 64KiB
workloads:
  - name: decode
    heap: main
    devices: [vpu]
    churn:
      every: {exponential: {mean: 500ms}}
      size: {fixed: 3MiB}
      lifetime: {fixed: 4s}
  - name: apps
    heap: other
    placement: low
    churn:
      every: {fixed: 100ms}
      lifetime: {uniform: {min: 1s, max: 3s}}
      clients:
        - {name: draw, devices: [gpu, vpu], size: {fixed: 1MiB}}
        - {name: mail, weight: 3, placement: high, size: {choice: [{value: 4KiB, weight: 9}, {value: 64KiB}]}}
`

func parse(t testing.TB, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse("s.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDefaults(t *testing.T) {
	s := parse(t, small)
	if len(s.Variants) != 1 || s.Variants[0].Name != "run" {
		t.Fatalf("variants %v, want one called run", s.Variants)
	}
	spec := s.Variants[0].Spec
	for _, c := range []struct{ got, want any }{
		{spec.Seed, uint64(1)},
		{spec.Page, 4 * mem.KiB},
		{spec.Heaps[0].Granule, 4 * mem.KiB},
		{spec.Heaps[0].Aware, false},
		{spec.Devices[0].Name, "vpu"},
		{len(spec.Workloads[0].Churn.Clients), 1},
		{spec.Workloads[0].Churn.Clients[0].Name, "decode"},
		{spec.Workloads[0].Churn.Clients[0].Devices, []string{"vpu"}},
		{spec.Workloads[1].Churn.Clients[0].Weight, 1.0},
		{spec.Workloads[1].Churn.Clients[0].Placement, scenario.Placement(allocator.Low)},
		{spec.Workloads[1].Churn.Clients[1].Placement, scenario.Placement(allocator.High)},
		{spec.Workloads[1].Churn.Clients[1].Lifetime.Kind, "uniform"},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	whole := parse(t, `name: whole
duration: 1s
memory: [{base: 0, size: 1MiB}, {base: 4MiB, size: 1MiB}]
heaps: [{name: main, allocator: first-fit}]
workloads: [{name: w, heap: main, churn: {every: {fixed: 1s}, size: {fixed: 1}, lifetime: {fixed: 1s}}}]
`)
	if got := whole.Variants[0].Spec.Heaps[0].Arena; !reflect.DeepEqual(got, whole.Variants[0].Spec.Memory) {
		t.Errorf("arena %v, want all of memory", got)
	}
}

func TestBuild(t *testing.T) {
	s := parse(t, small)
	v := s.Variants[0]
	cfg, err := v.Build(v.Spec.Seed)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Duration != 10*time.Second || len(cfg.Heaps) != 2 || len(cfg.Devices) != 2 || len(cfg.Inputs) != 2 {
		t.Errorf("got %+v", cfg)
	}
	heap := sim.Heap{Name: "other", Arena: mem.RangeSet{{Lo: 0x80000000, Hi: 0x81000000}}, Granule: 4096, Allocator: "best-fit", Placement: allocator.High, Mode: 0o600}
	if d := cmp.Diff(heap, cfg.Heaps[1]); d != "" {
		t.Error(d)
	}
	if len(cfg.Clients) != 3 {
		t.Fatalf("%d clients, want 3", len(cfg.Clients))
	}
	draw := cfg.Clients[1]
	if draw.Name != "draw" || draw.Heap != 1 || !reflect.DeepEqual(draw.Devices, []int{1, 0}) || draw.Placement != allocator.Low {
		t.Errorf("client %+v", draw)
	}
	if got, want := draw.Plan.Reach, (mem.RangeSet{{Lo: 0x40000000, Hi: 0x50000000}}); !reflect.DeepEqual(got, want) {
		t.Errorf("reach %v, want %v", got, want)
	}
	if cfg.Clients[2].Plan == nil || !reflect.DeepEqual(cfg.Inputs[1].Clients, []int{1, 2}) {
		t.Errorf("client %+v, input %+v", cfg.Clients[2], cfg.Inputs[1])
	}

	first := drain(cfg)
	again, err := v.Build(v.Spec.Seed)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(first, drain(again)) {
		t.Error("the same seed gives other work")
	}
	other, err := v.Build(v.Spec.Seed + 1)
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(first, drain(other)) {
		t.Error("another seed gives the same work")
	}
}

// drain returns the first operations of every input.
func drain(cfg sim.Config) []workloads.Op {
	var ops []workloads.Op
	for _, in := range cfg.Inputs {
		for range 20 {
			op, ok := in.Source.Next(nil)
			if !ok {
				break
			}
			ops = append(ops, op)
		}
	}
	return ops
}

func TestVariants(t *testing.T) {
	s := parse(t, small+`variants:
  - name: as-is
  - name: changed
    description: other values
    set:
      heaps.main.allocator: last-fit
      heaps.1.granule: 64KiB
      workloads.apps.churn.clients.mail.size: {fixed: 8KiB}
      workloads.decode.placement: high
      devices.vpu.align: 1MiB
      memory.1.size: 512MiB
`)
	if len(s.Variants) != 2 || s.Variant("changed") == nil || s.Variant("no") != nil {
		t.Fatalf("variants %v", s.Variants)
	}
	a, b := s.Variants[0].Spec, s.Variants[1].Spec
	if a.Heaps[0].Allocator != "first-fit" || a.Devices[0].Align != 0 {
		t.Errorf("as-is was changed: %+v", a)
	}
	for _, c := range []struct{ got, want any }{
		{b.Heaps[0].Allocator, "last-fit"},
		{b.Heaps[1].Granule, 64 * mem.KiB},
		{b.Workloads[1].Churn.Clients[1].Size.Parameters["value"], 8192.0},
		{b.Workloads[0].Churn.Clients[0].Placement, scenario.Placement(allocator.High)},
		{b.Devices[0].Align, mem.MiB},
		{b.Memory[1].Size, 512 * mem.MiB},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
}

func TestWith(t *testing.T) {
	base := parse(t, small).Variants[0]
	v, err := base.With("heaps.main.allocator", "best-fit")
	if err != nil {
		t.Fatal(err)
	}
	if v.Name != "run" || v.Spec.Heaps[0].Allocator != "best-fit" || base.Spec.Heaps[0].Allocator != "first-fit" {
		t.Errorf("got %q, base %q", v.Spec.Heaps[0].Allocator, base.Spec.Heaps[0].Allocator)
	}
	for _, c := range []struct{ path, text, want string }{
		{"heaps.main.allocator", "best-fti", `heaps.main.allocator=best-fti: unknown allocator "best-fti" (did you mean "best-fit"?)`},
		{"heaps.mian.allocator", "best-fit", `heaps.mian.allocator=best-fit: heaps has no "mian" (did you mean "main"?)`},
		{"heaps.main.allocater", "best-fit", `heaps.main.allocater=best-fit: unknown key "allocater" (did you mean "allocator"?)`},
		{"heaps.main.allocator.x", "1", `heaps.main.allocator.x=1: heaps.main.allocator is a single value, it holds no "x"`},
	} {
		if _, err := base.With(c.path, c.text); err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

// A picture takes what the devices that share it want of its strides, lines and
// padding; the figures are those of TestLayout for Venus, whose rounding the heap
// adds.
func TestPicture(t *testing.T) {
	text := strings.Replace(small, "size: {fixed: 1MiB}}", "picture: 1920x1080:nv12}", 1)
	text = strings.Replace(text, "- name: gpu\n    align: 64KiB", "- name: gpu\n    granularity: 4KiB\n    image: {stride_align: 128, lines_align: 32, chroma_lines_align: 16}", 1)
	text = strings.Replace(text, "devices: [gpu, vpu], picture", "devices: [gpu], picture", 1)
	v := parse(t, text).Variants[0]
	cfg, err := v.Build(1)
	if err != nil {
		t.Fatal(err)
	}
	for {
		op, ok := cfg.Inputs[1].Source.Next(nil)
		if !ok {
			t.Fatal("no picture was asked for")
		}
		if op.Client == 0 && op.Kind == workloads.Alloc {
			if want := uint64(1088+544) * 1920; op.Size != want {
				t.Errorf("a picture has %d bytes, want %d", op.Size, want)
			}
			return
		}
	}
}

func TestMistakes(t *testing.T) {
	const variants = "variants:\n  - name: v\n    set:\n      "
	for _, c := range []struct {
		name, old, new string // the first old in small is replaced by new; old "" appends
		want           string // after "s.yaml:"
	}{
		{"unknown key", "    allocator: first", "    alocator: first", `9:5: unknown key "alocator" (did you mean "allocator"?)`},
		{"unknown key at the root", "duration:", "durration:", `2:1: unknown key "durration" (did you mean "duration"?)`},
		{"unknown key in flow", "size: 256MiB}", "length: 256MiB}", `4:5: missing key "size" (and 1 more)`},
		{"missing key", "    heap: main\n", "", `19:5: missing key "heap"`},
		{"duplicate key", "duration: 10s\n", "duration: 10s\nduration: 10s\n", `3:1: key "duration" is there twice`},
		{"bad unit", "size: 256MiB", "size: 256MB", `4:30: size "256MB": unit "MB" is ambiguous, write MiB`},
		{"bad time", "duration: 10s", "duration: 10", `2:11: "10" is not a time; write 16.6ms, 2s or 10m`},
		{"negative time", "duration: 10s", "duration: -10s", `2:11: a time must not be negative`},
		{"no value", "duration: 10s", "duration:", `2:10: the value is missing`},
		{"text for a number", "weight: 3", "weight: three", `34:32: want a number, not "three"`},
		{"bad name", "name: small", "name: a b", `1:7: "a b" is not a name: want a word of letters, digits, - and _, like vpu-0`},
		{"number as a name", "name: small", `name: "12"`, `1:7: "12" is not a name: want a word of letters, digits, - and _, like vpu-0`},
		{"bad page", "duration: 10s", "duration: 10s\npage: 8KiB", `3:7: page is 8KiB, want 4KiB, 16KiB or 64KiB`},
		{"overlapping memory", "{base: 0x80000000,", "{base: 0x48000000,", `5:5: [0x48000000,0x58000000) overlaps another range of the list (and 1 more)`},
		{"picture and size", "size: {fixed: 1MiB}}", "size: {fixed: 1MiB}, picture: 640x480:nv12}", `33:75: a client has a picture or a size, not both`},
		{"no picture", "size: {fixed: 1MiB}}", "picture: 640x480:nv21}", `33:54: picture "640x480:nv21": unknown format "nv21", want one of xrgb8888, rgb888, rgb565, r8, yuyv, nv12, nv16, p010, yuv420, yuv422, yuv444 (did you mean "nv12"?)`},
		{"empty range", "size: 16MiB", "size: 0", `11:38: the range is empty`},
		{"endless range", "size: 16MiB", "size: 17179869183GiB", `11:38: the range ends beyond 64 bits`},
		{"arena outside memory", "0x40000000, size: 128MiB", "0x60000000, size: 128MiB", `8:13: [0x60000000,0x68000000) is not all memory`},
		{"overlapping heaps", "{base: 0x80000000, size: 16MiB}", "{base: 0x47000000, size: 32MiB}", `11:12: the arena shares [0x47000000,0x48000000) with another heap`},
		{"arena below the granule", "    placement: high", "    granule: 32MiB", `11:12: the arena holds no whole granule of 32MiB`},
		{"unknown allocator", "first-fit", "frist-fit", `9:16: unknown allocator "frist-fit" (did you mean "first-fit"?)`},
		{"allocator parameter", "first-fit", "first-fit:x=1", `9:16: bad allocator parameter "x=1": first-fit takes no parameters`},
		{"unknown placement", "placement: high", "placement: hihg", `13:16: unknown placement "hihg", want natural, low or high (did you mean "high"?)`},
		{"taken heap name", "name: other", "name: main", `10:11: name "main" is taken`},
		{"taken device name", "name: vpu}", "name: gpu}", `16:11: name "gpu" is taken`},
		{"unknown catalogue entry", "sunxi-cedar-a20", "sunxi-ceder-a20", `15:11: unknown catalogue entry "sunxi-ceder-a20" (did you mean "sunxi-cedar-a20"?)`},
		{"unknown key beside use", "name: vpu}", "nam: vpu}", `15:28: unknown key "nam" (did you mean "name"?)`},
		{"bad device rule", "    align: 64KiB", "    address_bits: 65", `17:19: `},
		{"unknown heap", "heap: main", "heap: mian", `20:11: unknown heap "mian" (did you mean "main"?)`},
		{"unknown device", "[gpu, vpu]", "[gpu, vpi]", `33:39: unknown device "vpi" (did you mean "vpu"?)`},
		{"device twice", "[gpu, vpu]", "[gpu, gpu]", `33:39: device "gpu" is there twice`},
		{"taken client name", "name: mail", "name: decode", `34:18: client name "decode" is taken`},
		{"conflict", "    align: 64KiB", "    reach: [{lo: 0x80000000, size: 1MiB}]", `33:33: devices gpu and vpu cannot share a buffer: `},
		{"no kind of work", "    churn:\n      every: {exponential: {mean: 500ms}}\n      size: {fixed: 3MiB}\n      lifetime: {fixed: 4s}\n", "", `19:5: want one of adversary, churn, generate and trace`},
		{"no end", "duration: 10s\n", "", `22:7: has no end: give the scenario a duration or the churn a count (and 1 more)`},
		{"no size", "      size: {fixed: 3MiB}\n", "", `23:7: client "decode" has no size, and neither has its churn`},
		{"no lifetime", "      lifetime: {uniform: {min: 1s, max: 3s}}\n", "", `32:11: client "draw" has no lifetime, and neither has its churn (and 1 more)`},
		{"unknown distribution", "{exponential: {mean: 500ms}}", "{exponentail: {mean: 500ms}}", `23:15: unknown kind of distribution "exponentail" (did you mean "exponential"?)`},
		{"two distributions", "{fixed: 3MiB}", "{fixed: 3MiB, uniform: {min: 1, max: 2}}", `24:13: want one kind of distribution, like {exponential: {mean: …}}`},
		{"missing parameter", "{mean: 500ms}", "{}", `23:28: missing key "mean": mean`},
		{"unknown parameter", "{mean: 500ms}", "{mean: 500ms, men: 1s}", `23:42: unknown key "men" (did you mean "mean"?)`},
		{"bad parameter", "{min: 1s, max: 3s}", "{min: 4s, max: 3s}", `31:42: uniform distribution: max: is 3s, not more than min, which is 4s`},
		{"bad size parameter", "{fixed: 1MiB}", "{uniform: {min: 12150KiB, max: 0x1000}}", `33:82: uniform distribution: max: is 4KiB, not more than min, which is 12150KiB`},
		{"bad clamp", "{min: 1s, max: 3s}", "{min: 1s, max: 3s, at_least: 3s, at_most: 2s}", `31:69: uniform distribution: at_most: is 2s, below at_least, which is 3s`},
		{"no granule", "    placement: high", "    granule: 0", `13:14: granule must be more than 0`},
		{"no unusable size", "    placement: high", "    unusable_size: 0KiB", `13:20: unusable_size must be more than 0`},
		{"no duration", "duration: 10s", "duration: 0s", `2:11: duration must be more than 0`},
		{"no arrivals", "{fixed: 4s}", "{fixed: 4s}\n      count: 0", `26:14: count must be more than 0`},
		{"nothing fixed", "{fixed: 3MiB}", "{fixed: 0}", `24:21: value must be more than 0`},
		{"nothing to choose", "{value: 64KiB}", "{value: 0B}", `34:102: value must be more than 0`},
		{"no upper end", "{min: 1s, max: 3s}", "{min: 1s, max: 3s, at_most: 0s}", `31:55: at_most must be more than 0`},
		{"no value of a distribution", "{fixed: 3MiB}", "{fixed: }", `24:21: the value is missing`},
		{"no time step", "    churn:\n      every: {exponential: {mean: 500ms}}\n      size: {fixed: 3MiB}\n      lifetime: {fixed: 4s}\n", "    trace: {file: no.csv, format: minimalloc, unit: 0s}\n", `22:53: unit must be more than 0`},
		{"bad weight", "weight: 3", "weight: -3", `34:32: a weight must not be negative`},
		{"no trace", "    churn:\n      every: {exponential: {mean: 500ms}}\n      size: {fixed: 3MiB}\n      lifetime: {fixed: 4s}\n", "    trace: {file: no.csv, format: minimalloc}\n", `22:19: open no.csv: `},
		{"variant's path", "", variants + "heaps.mian.aware: true", `38:7: heaps has no "mian" (did you mean "main"?)`},
		{"variant's key", "", variants + "heaps.main.awaer: true", `38:7: unknown key "awaer" (did you mean "aware"?)`},
		{"variant's value", "", variants + "heaps.main.aware: 1", `38:25: want true or false, not "1"`},
		{"variant's meaning", "", variants + "heaps.main.allocator: frist-fit", `38:29: unknown allocator "frist-fit" (did you mean "first-fit"?)`},
		{"variant of variants", "", variants + "variants: []", `38:7: unknown key "variants"`},
		{"path into a value", "", variants + "duration.x: 1", `38:7: duration is a single value, it holds no "x"`},
		{"empty step", "", variants + "heaps..aware: true", `38:7: heaps has no ""`},
		{"taken variant name", "", "variants: [{name: v}, {name: v}]", `35:30: name "v" is taken`},
		{"second document", "", "---\nname: second\n", `35:1: a second YAML document, want one`},
		{"alias", "name: small", "name: &a small", `1:7: anchors and aliases are not allowed`},
		{"not YAML", "name: small", "name: small: x", `1:12: not YAML: mapping values are not allowed in this context`},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := small + c.new
			if c.old != "" {
				text = strings.Replace(small, c.old, c.new, 1)
				if text == small {
					t.Fatalf("the scenario does not hold %q", c.old)
				}
			}
			_, err := scenario.Parse("s.yaml", []byte(text))
			var mistake *scenario.Error
			if !errors.As(err, &mistake) {
				t.Fatalf("got %v, want an *Error", err)
			}
			want := "s.yaml:" + c.want
			if got := err.Error(); got != want && !(strings.HasSuffix(c.want, ": ") && strings.HasPrefix(got, want)) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Error("the message has several lines")
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# only a comment\n", "---\n", "~"} {
		if _, err := scenario.Parse("s.yaml", []byte(text)); err == nil || err.Error() != "s.yaml:1:1: the file is empty" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestHostile(t *testing.T) {
	var variants strings.Builder
	variants.WriteString(small + "variants:\n")
	for i := range 10_000 {
		fmt.Fprintf(&variants, "  - {name: v%d}\n", i)
	}
	ranges := strings.Replace(small, "memory:\n", "memory:\n"+strings.Repeat("  - {base: 0, size: 1}\n", 6000), 1)
	spans := strings.Replace(small, "    align: 64KiB", "    natural: true\n    reach:\n"+strings.Repeat("      - {lo: 0x40000000, size: 1}\n", 6000), 1)
	for name, text := range map[string]string{
		"many ranges":   ranges,
		"many spans":    strings.Replace(spans, "duration: 10s\n", "", 1),
		"long line":     "name: " + strings.Repeat("x", 1<<18),
		"many keys":     strings.Repeat("a: 1\n", 1<<15),
		"many variants": variants.String(),
	} {
		start := time.Now()
		if _, err := scenario.Parse("s.yaml", []byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		} else if len(err.Error()) > 500 {
			t.Errorf("%s: the message has %d bytes", name, len(err.Error()))
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
	}
}

func TestTrace(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "traces", "t.csv"), "id,lower,upper,size\na,0,10,4096\nb,5,20,8192\n")
	file := filepath.Join(dir, "s.yaml")
	write(t, file, `name: traced
memory: [{base: 0, size: 1MiB}]
heaps: [{name: sram, allocator: first-fit}]
devices: [{name: npu, align: 64}]
workloads:
  - {name: model, heap: sram, devices: [npu], trace: {file: traces/t.csv, format: minimalloc, order: start-size, unit: 2ms}}
`)
	s, err := scenario.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // sources are fresh
		cfg, err := s.Variants[0].Build(1)
		if err != nil {
			t.Fatal(err)
		}
		want := []workloads.Op{
			{At: 0, Kind: workloads.Alloc, Buffer: 0, Size: 4096, Align: 1},
			{At: 10 * time.Millisecond, Kind: workloads.Alloc, Buffer: 1, Size: 8192, Align: 1},
			{At: 20 * time.Millisecond, Kind: workloads.Free, Buffer: 0},
			{At: 40 * time.Millisecond, Kind: workloads.Free, Buffer: 1},
		}
		if d := cmp.Diff(want, drain(cfg)); d != "" {
			t.Error(d)
		}
	}

	// The resolved scenario finds the trace from another folder.
	out := filepath.Join(dir, "out", "deep")
	resolved, err := s.Resolved(out)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(out, "scenario.yaml"), string(resolved))
	again, err := scenario.Load(filepath.Join(out, "scenario.yaml"))
	if err != nil {
		t.Fatalf("%v\n%s", err, resolved)
	}
	if d := cmp.Diff(s.Variants[0].Spec, again.Variants[0].Spec, sameGenerator); d != "" {
		t.Error(d)
	}

	write(t, filepath.Join(dir, "traces", "t.csv"), "id,lower,upper,size\na,0,10,0\n")
	if _, err := scenario.Load(file); err == nil || !strings.Contains(err.Error(), "s.yaml:6:61: ") || !strings.Contains(err.Error(), "t.csv:2: size is 0") {
		t.Errorf("torn trace: %v", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	if s, err := scenario.Find("cedar-256mib"); err != nil || s.Name != "cedar-256mib" {
		t.Errorf("embedded: %v", err)
	}
	write(t, "cedar-256mib", small)
	if s, err := scenario.Find("cedar-256mib"); err != nil || s.Name != "small" {
		t.Errorf("file: %v", err)
	}
	if err := os.Mkdir("robson", 0o777); err != nil {
		t.Fatal(err)
	}
	if s, err := scenario.Find("robson"); err != nil || s.Name != "robson" {
		t.Errorf("beside a folder of the same name: %v", err)
	}
	_, err := scenario.Find("cedar-256mb")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), `did you mean "cedar-256mib"?`) {
		t.Errorf("neither: %v", err)
	}
}

func TestEmbedded(t *testing.T) {
	for _, name := range scenario.Names() {
		s, err := scenario.Open(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if s.Name != name {
			t.Errorf("%s is called %s", name, s.Name)
		}
		for _, v := range s.Variants {
			if _, err := v.Build(1); err != nil {
				t.Error(err)
			}
		}
		roundTrip(t, s)
	}
	roundTrip(t, parse(t, scenario.Starter()))
}

type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// sameGenerator compares generators by what they say of themselves.
var sameGenerator = cmp.Comparer(func(a, b *generator.Generator) bool {
	if a == nil || b == nil || a.Name() != b.Name() {
		return a == b
	}
	for _, p := range a.Parameters() {
		if a.Value(p.Name) != b.Value(p.Name) {
			return false
		}
	}
	return true
})

// roundTrip holds Resolved to its word and returns what it wrote.
func roundTrip(t fataler, s *scenario.Scenario) []byte {
	t.Helper()
	text, err := s.Resolved(".")
	if err != nil {
		t.Fatal(err)
	}
	again, err := scenario.Parse("resolved.yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(again.Variants) != len(s.Variants) {
		t.Fatalf("%d variants, want %d\n%s", len(again.Variants), len(s.Variants), text)
	}
	for i, v := range s.Variants {
		w := again.Variants[i]
		if d := cmp.Diff(v.Spec, w.Spec, sameGenerator); d != "" || v.Name != w.Name || v.Description != w.Description {
			t.Fatalf("variant %s became %s: %s\n%s", v.Name, w.Name, d, text)
		}
	}
	twice, err := again.Resolved(".")
	if err != nil || !bytes.Equal(text, twice) {
		t.Fatalf("resolved twice (%v):\n%s\nonce:\n%s", err, twice, text)
	}
	return text
}
