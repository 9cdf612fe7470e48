package devices_test

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"dmasim/allocator"
	"dmasim/devices"
	"dmasim/mem"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v4"
)

func TestParse(t *testing.T) {
	list, err := devices.Parse("mine.yaml", []byte(`
- name: camera
  reach: [{lo: 0x40000000, size: 256MiB}]
  boundary: {size: 64KiB, guard: 8, checks: payload}
  contiguous: true
- name: display
  translate:
    - {cpu: 0, bus: 0xc0000000, size: 1GiB}
  coherence: non-coherent
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []devices.Device{{
		Name: "camera", Contiguous: true,
		Spans:    []devices.Span{{Lo: 0x40000000, Size: 256 << 20}},
		Boundary: devices.Boundaries{{Size: 64 << 10, Guard: 8, Checks: devices.ChecksPayload}},
	}, {
		Name: "display", Coherence: devices.NonCoherent,
		Translate: []devices.Translation{{CPU: 0, Bus: 0xc0000000, Size: 1 << 30}},
	}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "[]"} {
		if list, err := devices.Parse("empty.yaml", []byte(empty)); err != nil || len(list) != 0 {
			t.Errorf("%q: %v, %v", empty, list, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"name: a", "f:1:1: want a list of devices, each beginning with - name:, not a mapping"},
		{"- name: a\n  algin: 4", `f:2:3: unknown key "algin" (did you mean "align"?)`},
		{"- name: a\n  boundary: {size: 64KiB, gaurd: 8}", `f:2:27: unknown key "gaurd" (did you mean "guard"?)`},
		{"- name: a\n  reach:\n  - {lo: 0, hi: 4}\n  - {low: 0, hi: 4}", `f:4:6: unknown key "low" (did you mean "lo"?)`},
		{"- name: a\n  translate: [{cpu: 0, bus: 0}]", `f:2:15: missing key "size"`},
		{"- name: a\n  align: 64KB", `f:2:10: size "64KB": unit "KB" is ambiguous, write KiB`},
		{"- name: a\n  align:", `f:2:9: the value is missing`},
		{"- name: a\n  space: bs", `f:2:10: unknown space "bs", want cpu, bus, iova, gpu-va, vram, sram, tiler or relative (did you mean "bus"?)`},
		{"- name: a\n  address_bits: 65", "f:2:17: address_bits: want at most 64 bits, not 65"},
		{"- name: a\n  reach:\n  - {lo: 0, hi: 4}\n  - {lo: 8, hi: 8}", "f:4:5: reach[1]: the range from 0x8 is empty or passes the end of the 64-bit space"},
		{"- name: a\n  reach: [{lo: 0}]", "f:2:11: reach[0]: want lo and either hi or size"},
		{"- name: a\n  reach: [{lo: 0xffffffffffffffff, size: 2}]", "f:2:11: reach[0]: the range from 0xffffffffffffffff is empty or passes the end of the 64-bit space"},
		{"- name: a\n  translate: [{cpu: 0, bus: 0, size: 8}, {cpu: 7, bus: 8, size: 8}]", "f:2:42: translate[1]: the window overlaps window 0"},
		{"- name: a\n  space: vram\n  translate: [{cpu: 0, bus: 0, size: 8}]", "f:3:15: translate[0]: a device with addresses in space vram has no bus windows"},
		{"- name: a\n  boundary: {size: 0}", "f:2:13: boundary: want a size"},
		{"- name: a\n  padding: 8\n  boundary: {size: 16, guard: 8}", "f:3:13: boundary: with guard and padding, not even one byte of payload lies between two multiples of 16B"},
		{"- name: a\n  boundary: [{size: 4KiB}, {size: 48}]", "f:2:28: boundary[1]: want a power of two, not 48B"},
		{"- name: a\n  boundary: 4KiB", "f:2:13: want a mapping of keys to values, not a single value"},
		{"- name: a\n  boundary: [{sise: 4KiB}]", `f:2:15: unknown key "sise" (did you mean "size"?)`},
		{"- name: a\n  zero_bits: [3, 63]", "f:2:18: zero_bits[1]: want a bit from 0 to 62, not 63"},
		{"- name: a\n  content: pixel\n  contents: [{name: pixels, reach: [{lo: 0, hi: 4}]}]", `f:2:12: content: the device has no contents "pixel" (did you mean "pixels"?)`},
		{"- name: a\n  for: descriptors", "f:2:8: for: the device says no width of descriptors: want descriptor_bits"},
		{"- name: a\n  for: descripters", `f:2:8: unknown use "descripters", want data or descriptors (did you mean "descriptors"?)`},
		{"- name: a\n  mmu: {bits: 32}", "f:2:8: mmu: the device has no IOMMU: want iommu"},
		{"- name: a\n  iommu: always\n  mmu: {page: 3}", "f:3:8: mmu: want a page that is a power of two, not 3B"},
		{"- name: a\n  segment_min: 8\n  segment_max: 4", "f:2:16: segment_min: the shortest segment is longer than the longest, 4B"},
		{"- name: a\n  gap: 4KiB\n  segment_max: 512", "f:2:8: gap: no segment of at most 512B reaches from one multiple to the next"},
		{"- name: a\n  size_max: 4KiB\n  granularity: 8KiB", "f:2:13: size_max: with padding and rounding, not even one byte of payload fits in 4KiB"},
		{"- name: a\n  power_of_two: true\n  granularity: 48", "f:3:16: granularity: want a power of two where sizes are, not 48B"},
		{"- name: a\n  image: {stride_align: 2GiB}", "f:2:10: image: want at most 1GiB, not 2GiB"},
		{"- name: a\n  group: {segment: 3MiB}", "f:2:10: group: want a segment that is a power of two, not 3MiB"},
		{"- name: a\n  group: {base_exclusive: true}", "f:2:10: group: there is no base to lie above: want base_align"},
		{"- name: a\n  tag: {bit: 64, meaning: b}", "f:2:8: tag: want a bit from 1 to 63, not 64"},
		{"- name: a\n  unmodelled: ['']", "f:2:16: unmodelled[0]: want words"},
		{"- name: a\n  padding: 8EiB", "f:2:12: padding: want at most 1EiB"},
		{"- name: a\n  assumed: [width]", `f:2:13: assumed[0]: "width" is no key of a device`},
		{"- title: a", `f:1:3: missing key "name"`},
		{"- name: A b", `f:1:9: name: want lower-case letters, digits and dashes between them, not "A b"`},
		{"- name: a\n- name: a\n- name: A", `f:2:9: name "a" is taken (and 1 more)`},
		{"- &a {name: a}\n- *a", "f:1:3: anchors and aliases are not allowed"},
	}
	for _, test := range tests {
		_, err := devices.Parse("f", []byte(test.text))
		var at *devices.FileError
		if !errors.As(err, &at) {
			t.Errorf("%q: %v, want a *FileError", test.text, err)
			continue
		}
		if err.Error() != test.want {
			t.Errorf("%q:\ngot  %s\nwant %s", test.text, err, test.want)
		}
	}
}

// FuzzParse: whatever is read is valid, can be merged or says why not, and is
// read back from what is written.
func FuzzParse(f *testing.F) {
	files, err := os.ReadDir("catalogue")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile("catalogue/" + file.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("- name: a\n  natural: true\n  space: bus\n  reach: [{lo: 0, hi: 7}, {lo: 9, size: 1EiB}]\n  translate: [{cpu: 1, bus: 0, size: 15EiB}]"))
	f.Add([]byte("- name: a\n  align: 0x3fffffff\n  zero_bits: [39, 3]\n  boundary: [{size: 1TiB, guard: 9}, {size: 4GiB, exclusive: true}]\n  translate: [{cpu: 77, bus: 3, size: 8EiB}]\n  origin: {base: 9, exclusive: true}"))
	f.Add([]byte("- name: a\n  behind: [bcm2711-pcie, rk-iommu-v2]\n  tag: {bit: 9, meaning: x}\n  contents: [{name: b, reach: [{lo: 1, hi: 2}]}]\n  content: b"))
	f.Add([]byte("- name: a\n  space: relative\n  reach: [{lo: 1, hi: 9EiB}]\n  origin: {base: 15EiB}\n  group: {segment: 64KiB, span: 3, base_align: 4KiB, base_exclusive: true}"))
	f.Add([]byte("- name: a\n  iommu: always\n  mmu: {bits: 32, aperture: [{lo: 0, hi: 9}], page: 16KiB, bank: 4KiB, output_bits: 1}\n  image: {stride_align: 1GiB, size_strides: 65536}\n  power_of_two: true\n  size_min: 9EiB"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := devices.Parse("fuzz.yaml", data)
		if err != nil {
			var at *devices.FileError
			if !errors.As(err, &at) || at.Line < 1 || at.Column < 1 || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		for i := range list {
			for _, line := range list[i].Lines() {
				if line.Text == "" {
					t.Fatalf("%s: a rule without words", line.Rule)
				}
			}
		}
		if plan, err := devices.Merge(list[:min(len(list), 4)]...); err == nil {
			useAll(t, plan)
		}
		text, err := yaml.Dump(list)
		if err != nil {
			t.Fatal(err)
		}
		again, err := devices.Parse("again.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(list, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("written and read (-want +got):\n%s", diff)
		}
	})
}

// useAll does with a plan whatever can be done.
func useAll(t *testing.T, plan *devices.Plan) {
	t.Helper()
	request := plan.Request(4096, 4096)
	if at, ok := request.Place(0, 1<<40, false); ok {
		verdict := plan.Judge(at, 4096)
		if !verdict.Usable() {
			t.Fatalf("placed at %s, but %s", mem.Addr(at), verdict)
		}
		if plan.JudgePieces([]mem.Range{{Lo: at, Hi: at + request.Size}}, 4096) == allocator.Unreachable {
			t.Fatalf("usable at %s as a whole, but not as a piece", mem.Addr(at))
		}
	}
	if verdict := plan.Judge(12345, 100); verdict.Usable() != (verdict.String() == "usable") {
		t.Fatalf("%v: %s", verdict.Usable(), verdict)
	}
	for _, part := range plan.Parts() {
		if part.Text == "" || len(part.From) == 0 {
			t.Fatalf("a part without words or from nowhere: %+v", part)
		}
	}
	for _, text := range []string{"1366x768:nv12", "1x1:yuv420", "65536x65536:p010"} {
		p, err := devices.ParsePicture(text)
		if err != nil {
			t.Fatal(err)
		}
		if layout, err := plan.Layout(p); err == nil && layout.Size < layout.Bytes+layout.Padding {
			t.Fatalf("%s: %+v", text, layout)
		}
	}
	free := mem.NewRangeSet(mem.Range{Lo: 0, Hi: 1 << 20}, mem.Range{Lo: 1 << 30, Hi: 1 << 32})
	starts, err := plan.Together([]uint64{4096, 1, 70000}, 4096, free)
	for i, start := range starts {
		if payload := []uint64{4096, 1, 70000}[i]; err == nil && !plan.Judge(start, payload).Usable() {
			t.Fatalf("together at %s, but %s", mem.Addr(start), plan.Judge(start, payload))
		}
	}
}

// TestWords: the words that are offered, by the JSON Schema for one, are those
// that are read.
func TestWords(t *testing.T) {
	type word interface {
		encoding.TextUnmarshaler
		Options() []string
	}
	for _, w := range []word{
		new(devices.Space), new(devices.Use), new(devices.Scope), new(devices.Status), new(devices.IOMMU), new(devices.Coherence), new(devices.Beyond), new(devices.Checks),
	} {
		for _, option := range w.Options() {
			if err := w.UnmarshalText([]byte(option)); err != nil || reflect.ValueOf(w).Elem().String() != option {
				t.Errorf("%T: %s is read as %v: %v", w, option, reflect.ValueOf(w).Elem(), err)
			}
		}
		if err := w.UnmarshalText([]byte("no-such-word")); err == nil || !strings.Contains(err.Error(), w.Options()[0]) {
			t.Errorf("%T: %v", w, err)
		}
	}
}

// TestDocumentation: what docs/devices.md shows is what is read, and each of its
// devices can use something.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../docs/devices.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```")
	count := 0
	for i := 1; i < len(blocks); i += 2 {
		list, err := devices.Parse("docs/devices.md", []byte(strings.TrimPrefix(blocks[i], "yaml")))
		if err != nil {
			t.Errorf("%s%v", blocks[i], err)
		}
		for _, d := range list {
			if _, err := devices.Merge(d); err != nil {
				t.Error(err)
			}
		}
		count += len(list)
	}
	if count < 25 {
		t.Errorf("%d devices", count)
	}
	if want := fmt.Sprintf("the catalogue has %d real ones", len(devices.All())); !strings.Contains(string(page), want) {
		t.Errorf("the page does not say that %s", want)
	}
}

func ExampleParse() {
	list, err := devices.Parse("camera.yaml", []byte(`
- name: camera
  address_bits: 32
  align: 64
  boundary: {size: 256MiB}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := devices.Merge(list...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Judge(0x1ffff000, 8192))
	fmt.Println(plan.Judge(0x20000000, 8192))
	// Output:
	// camera must not cross multiples of 256MiB; 8KiB from address 0x1ffff000 cross 0x20000000
	// usable
}
