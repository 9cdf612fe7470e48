package devices_test

import (
	"encoding/csv"
	"errors"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dmasim/devices"
	"dmasim/internal/shareddata"
	"dmasim/mem"
)

// TestCatalogue: every entry says what it is and where it is from, and those
// whose rules are about memory can be used.
func TestCatalogue(t *testing.T) {
	names := devices.Names()
	if len(names) < 250 || !slices.IsSorted(names) || len(slices.Compact(names)) != len(devices.All()) {
		t.Fatalf("names: %v", names)
	}
	for _, d := range devices.All() {
		if d.Title == "" || d.Class == "" || d.Vendor == "" || d.Scope == "" || len(d.Source) == 0 || d.Status == "" || d.IOMMU == "" || d.Coherence == "" {
			t.Errorf("%s: title, class, vendor, scope, source, status, iommu or coherence is missing", d.Name)
		}
		if slices.Contains(d.Source, "") || slices.Contains(d.Unmodelled, "") {
			t.Errorf("%s: an empty source or rule", d.Name)
		}
		if len(d.Behind) > 0 {
			t.Errorf("%s: an entry of the catalogue is behind nothing but itself", d.Name)
		}
		if (d.Padding > 0) != (d.PaddingReason != "") {
			t.Errorf("%s: padding %s because %q", d.Name, d.Padding, d.PaddingReason)
		}
		if d.Status == devices.PartlyVerified && len(d.Assumed) == 0 && !saysAssumed(&d) {
			t.Errorf("%s: partly verified, but nothing is said to be assumed", d.Name)
		}
		plan, err := devices.Merge(d, d)
		switch d.Space {
		case devices.VRAM, devices.SRAM, devices.Tiler, devices.Relative:
			if _, _, err := d.Compile(); !errors.Is(err, devices.ErrSpace) {
				t.Errorf("%s: addresses in %s, but %v", d.Name, d.Space, err)
			}
		}
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		request := plan.Request(1, 4096)
		at, ok := request.Place(0, 1<<63, false)
		if !ok {
			t.Errorf("%s: no place for one byte", d.Name)
		} else if verdict := plan.Judge(at, 1); !verdict.Usable() {
			t.Errorf("%s: placed at %s, but %s", d.Name, mem.Addr(at), verdict)
		}
	}
	if _, ok := devices.Lookup("no-such-device"); ok {
		t.Error("found a device that does not exist")
	}
}

// saysAssumed reports whether the device's words name something as assumed.
func saysAssumed(d *devices.Device) bool {
	text := strings.Join(d.Unmodelled, "\n")
	return strings.Contains(text, "assumed") || strings.Contains(text, "inferred")
}

// inWords holds the figures of the table that depend on a picture or a machine,
// by entry and column, and how the catalogue says them.
var inWords = map[string]string{
	"adreno-pitch size_granularity":    "strides are multiples of 32 pixels",
	"dpaa-qman size_granularity":       "sizes are powers of two",
	"i915-fence-gen2 size_granularity": "a buffer has at least 512KiB",
	"i915-fence-gen3 size_granularity": "a buffer has at least 1MiB",
	"i915-gen4-fence size_granularity": "sizes are multiples of 8 strides",
	"nv30-tiled size_granularity":      "sizes are multiples of 64 strides",
	"nv40-tiled size_granularity":      "sizes are multiples of 64 strides",
	"virtio-gpu max_segment_bytes":     "what the DMA layer maps at once",
	"venus-ubwc padding_bytes":         "may touch 48 strides behind the planes",
	"i915-scanout-vtd min_align":       "with the machine's IOMMU on, buffers begin at a multiple of 256KiB",
	"i915-scanout-vtd padding_bytes":   "with the machine's IOMMU on, may touch 256KiB behind the payload",
	// The table gives one range around what leaves a hole, or less than all of it.
	"jh7100-soc window_hi": "0x107a000000",
	"tegra-vde window_hi":  "0xfffff000",
}

// words returns all rules of the device in words.
func words(d *devices.Device) string {
	var said []string
	for _, line := range d.Lines() {
		said = append(said, line.Text)
	}
	return strings.Join(said, "\n")
}

// TestCatalogueAgreesWithFacts compares every figure with the table of facts
// that it was taken from.
func TestCatalogueAgreesWithFacts(t *testing.T) {
	file, err := os.Open(shareddata.Path(t, "..", "facts", "devices.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]map[string]string{}
	for _, row := range rows[1:] {
		fact := map[string]string{}
		for i, name := range rows[0] {
			fact[name] = row[i]
		}
		facts[fact["id"]] = fact
		if _, ok := devices.Lookup(fact["id"]); !ok {
			t.Errorf("%s is not in the catalogue", fact["id"])
		}
	}
	for _, d := range devices.All() {
		fact, ok := facts[d.Name]
		if !ok {
			continue // found since
		}
		compareFigures(t, &d, fact)
		compareWindow(t, &d, fact)
		compareWords(t, &d, fact)
		compareAssumed(t, &d, fact)
		compareSources(t, &d, fact)
	}
}

func compareFigures(t *testing.T, d *devices.Device, fact map[string]string) {
	t.Helper()
	boundary := devices.Boundary{}
	if len(d.Boundary) > 0 {
		boundary = d.Boundary[0]
	}
	align := fact["min_align"]
	if natural := strings.HasPrefix(align, "size"); natural != d.Natural {
		t.Errorf("%s: natural is %v, want alignment %s", d.Name, d.Natural, align)
	} else if natural {
		align = ""
	}
	for _, figure := range []struct {
		column, fact string
		got          uint64
	}{
		{"min_align", align, uint64(d.Align)},
		{"size_granularity", fact["size_granularity"], uint64(d.Granularity)},
		{"padding_bytes", fact["padding_bytes"], uint64(d.Padding)},
		{"max_segment_bytes", fact["max_segment_bytes"], uint64(d.SegmentMax)},
		{"max_segments", fact["max_segments"], d.SegmentsMax},
		{"no_cross_boundary", fact["no_cross_boundary"], uint64(boundary.Size)},
		{"boundary_guard", fact["boundary_guard"], uint64(boundary.Guard)},
	} {
		if phrase := inWords[d.Name+" "+figure.column]; phrase != "" {
			if !strings.Contains(words(d), phrase) {
				t.Errorf("%s: %s (%s) is not said", d.Name, figure.column, figure.fact)
			}
			continue
		}
		if figure.fact == "pgsize" {
			figure.fact = fact["iommu_page"]
		}
		if want := number(t, figure.fact); figure.got != want && (want > 1 || figure.got > 1) {
			t.Errorf("%s: %s is %#x, want %q", d.Name, figure.column, figure.got, figure.fact)
		}
	}
}

// number reads a figure of the table; an empty one is 0.
func number(t *testing.T, text string) uint64 {
	t.Helper()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		t.Error(err)
	}
	return n
}

func compareWindow(t *testing.T, d *devices.Device, fact map[string]string) {
	t.Helper()
	lo, hi := fact["window_lo"], fact["window_hi"]
	space := map[string][]devices.Space{
		"cpu_phys": {"", devices.CPU}, "bus": {"", devices.Bus}, "iova": {devices.IOVA}, "gpu_va": {devices.GPUVA},
		"vram": {devices.VRAM}, "sram": {devices.SRAM}, "tiler": {devices.Tiler}, "relative": {devices.Relative},
	}[fact["window_space"]]
	if base := "PHYS_OFFSET"; strings.HasPrefix(lo, base) {
		lo, hi, space = "0"+strings.TrimPrefix(lo, base), strings.TrimPrefix(hi, base+"+"), []devices.Space{devices.Relative}
	}
	if !slices.Contains(space, d.Space) {
		t.Errorf("%s: space %q, want %s", d.Name, d.Space, fact["window_space"])
	}

	window := d.Reach().Hull() // in memory
	if rule, err := d.CompileIOVA(); err == nil && rule != nil && (fact["window_space"] != "cpu_phys" && d.IOMMU != devices.OwnIOMMU || fact["window_space"] == "gpu_va") {
		window = mem.Range{Lo: rule.Windows[0].Reach.Lo, Hi: rule.Windows[len(rule.Windows)-1].Reach.Hi}
	}
	onBus := mem.Everywhere
	if d.AddressBits > 0 && d.AddressBits < 64 {
		onBus.Hi = 1 << d.AddressBits
	}
	switch {
	case fact["window_space"] == "bus" && len(d.Translate) > 0:
		window = onBus
	case window.Empty() && len(d.Spans) > 0: // in a space of its own
		window = d.Spans[0].Range()
	case window.Empty():
		window = onBus
	}
	if hi == "" {
		if window != mem.Everywhere && d.MMU == nil {
			t.Errorf("%s: window %s, want none", d.Name, window)
		}
	} else if window.Lo != number(t, lo) || window.Hi != number(t, hi) && inWords[d.Name+" window_hi"] == "" {
		t.Errorf("%s: window %s, want [%s,%s)", d.Name, window, lo, hi)
	}
	switch bits := number(t, fact["addr_bits"]); {
	case d.AddressBits == 0 && len(d.Translate) > 0 && bits > 0: // the table counts those of memory
		if window.Hi != 1<<bits {
			t.Errorf("%s: window %s, want %d bits", d.Name, window, bits)
		}
	case uint64(d.AddressBits) != bits:
		t.Errorf("%s: %d address bits, want %d", d.Name, d.AddressBits, bits)
	}
}

func compareWords(t *testing.T, d *devices.Device, fact map[string]string) {
	t.Helper()
	iommu := map[string]devices.IOMMU{
		"no": devices.NoIOMMU, "platform": devices.PlatformIOMMU, "yes": devices.AlwaysIOMMU,
		"own": devices.OwnIOMMU, "is-iommu": devices.IsIOMMU,
	}
	status := map[string]devices.Status{
		"verified in source": devices.Verified,
		"verified in source (main constraint); see assumed_fields":      devices.PartlyVerified,
		"documentation/commonly stated, not verified in primary source": devices.Unverified,
	}
	coherence := fact["coherence"]
	if want := iommu[fact["iommu"]]; d.IOMMU != want && d.WithIOMMU == nil {
		t.Errorf("%s: IOMMU is %s, want %s", d.Name, d.IOMMU, want)
	}
	if coherence == "noncoherent" {
		coherence = string(devices.NonCoherent)
	}
	for _, word := range []struct{ what, got, want string }{
		{"scope", string(d.Scope), fact["scope"]},
		{"class", d.Class, fact["class"]},
		{"vendor", d.Vendor, fact["vendor"]},
		{"status", string(d.Status), string(status[fact["status"]])},
		{"coherence", string(d.Coherence), coherence},
		{"contiguous", strconv.FormatBool(d.Contiguous), strconv.FormatBool(fact["phys_contiguous"] == "yes")},
	} {
		if word.got != word.want {
			t.Errorf("%s: %s is %s, want %s", d.Name, word.what, word.got, word.want)
		}
	}
	if bits := number(t, fact["coherent_bits"]); fact["coherent_bits"] != fact["addr_bits"] && uint64(d.DescriptorBits) != bits {
		t.Errorf("%s: descriptors of %d bits, want %d", d.Name, d.DescriptorBits, bits)
	}
	var mmu devices.MMU
	if d.MMU != nil {
		mmu = *d.MMU
	}
	if bits := number(t, fact["iova_bits"]); uint64(mmu.Bits) != bits && len(mmu.Aperture) == 0 {
		t.Errorf("%s: the IOMMU translates %d bits, want %d", d.Name, mmu.Bits, bits)
	}
	if page := number(t, fact["iommu_page"]); uint64(mmu.Page) != page && d.Space != devices.Tiler {
		t.Errorf("%s: the IOMMU's page is %s, want %s", d.Name, mmu.Page, mem.Size(page))
	}
	if fact["extra_rule"] != "" && words(d)+d.Notes == "" {
		t.Errorf("%s: not said: %s", d.Name, fact["extra_rule"])
	}
}

func compareAssumed(t *testing.T, d *devices.Device, fact map[string]string) {
	t.Helper()
	keys := map[string]string{
		"coherence": "coherence", "addr_bits": "address_bits", "window_": "reach",
		"max_segments": "segments_max", "max_segment_bytes": "segment_max", "min_align": "align",
		"iova_bits": "mmu", "iommu_page": "mmu",
	}
	var want []string
	for words, key := range keys {
		if strings.Contains(fact["assumed_fields"], words) {
			want = append(want, key)
		}
	}
	if fact["min_align"] == "pgsize" {
		want = append(want, "align", "granularity")
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if got := slices.Sorted(slices.Values(d.Assumed)); !slices.Equal(got, want) {
		t.Errorf("%s: assumed %v, want %v", d.Name, got, want)
	}
	if fact["assumed_fields"] != "" && len(want) == 0 && !saysAssumed(d) {
		t.Errorf("%s: does not say that this is assumed: %s", d.Name, fact["assumed_fields"])
	}
}

var kernelLine = regexp.MustCompile(`^[a-z0-9]+/\S+:\d+ \(`)

func compareSources(t *testing.T, d *devices.Device, fact map[string]string) {
	t.Helper()
	for _, source := range strings.Split(fact["source"], "; ") {
		path, _, _ := strings.Cut(source, " ")
		said := slices.ContainsFunc(d.Source, func(s string) bool { return strings.HasPrefix(s, path) })
		if kernelLine.MatchString(source) {
			said = slices.Contains(d.Source, source+", Linux 6.1")
		}
		if !said && path != "find_string" { // the continuation of another source
			t.Errorf("%s: source %s is missing", d.Name, source)
		}
	}
}
