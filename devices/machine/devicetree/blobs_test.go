package devicetree_test

import (
	"encoding/csv"
	"errors"
	"math"
	"math/bits"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dmasim/allocator/kernel/version"
	"dmasim/devices/machine"
	"dmasim/devices/machine/devicetree"
	"dmasim/internal/shareddata"
	"dmasim/mem"
)

var linux61 = version.Version{Major: 6, Minor: 1}

// realBlob is a board of the manifest, with what another program makes of it.
type realBlob struct {
	file     string
	ram      mem.RangeSet // nil: the blob does not say
	maxCPU   uint64       // last address that every bus reaches; all ones: no limit
	zoneBits int
	zoneEnd  uint64 // 0: not known
}

func realBlobs(t *testing.T) []realBlob {
	t.Helper()
	f, err := os.Open(shareddata.Path(t, "dtb", "MANIFEST.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	number := func(text string) uint64 {
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var list []realBlob
	for _, row := range rows[1:] {
		b := realBlob{
			file:     row[column("file")],
			maxCPU:   number(row[column("of_dma_max_cpu_address")]),
			zoneBits: int(number(row[column("zone_dma_bits_if_arm64_6_1")])),
		}
		if text := row[column("declared_ram")]; text != "none/zero" {
			var ranges []mem.Range
			for bank := range strings.SplitSeq(text, ";") {
				base, size, _ := strings.Cut(bank, "+")
				ranges = append(ranges, mem.Range{Lo: number(base), Hi: number(base) + number(size)})
			}
			b.ram = mem.NewRangeSet(ranges...)
		}
		if text := row[column("zone_dma_end")]; text != "" {
			b.zoneEnd = number(text)
		}
		list = append(list, b)
	}
	return list
}

// TestRealBlobs reads 39 boards' blobs: RAM, what every bus reaches, and where the
// zone for DMA ends, by the rules of arm64 in Linux 6.1, are as another program
// found them.
func TestRealBlobs(t *testing.T) {
	blobs := realBlobs(t)
	if len(blobs) != 39 {
		t.Errorf("%d blobs", len(blobs))
	}
	for _, b := range blobs {
		t.Run(b.file, func(t *testing.T) {
			data, err := os.ReadFile(shareddata.Path(t, "dtb", b.file))
			if err != nil {
				t.Fatal(err)
			}
			options := devicetree.Options{Kernel: linux61, Arch: machine.ARM64}
			if b.ram == nil {
				if _, err := devicetree.Read(data, options); !errors.Is(err, devicetree.ErrNoRAM) {
					t.Fatalf("error %v, want that RAM is not known", err)
				}
				options.RAM = []devicetree.Bank{{Base: 0x40000000, HasBase: true, Size: 2 * mem.GiB}}
			}
			d, err := devicetree.Read(data, options)
			if err != nil {
				t.Fatal(err)
			}
			if b.ram != nil && !slices.Equal(d.RAM, b.ram) {
				t.Errorf("RAM %s, want %s", d.RAM, b.ram)
			}
			if got := uint64(d.Platform.DMALimit) - 1; got != b.maxCPU {
				t.Errorf("every bus reaches 0x%x, want 0x%x", got, b.maxCPU)
			}
			if got := min(32, bits.Len64(uint64(d.Platform.DMALimit)-1)); got != b.zoneBits {
				t.Errorf("%d bits, want %d", got, b.zoneBits)
			}
			dma := d.Zones[0]
			if want := d.RAM.Intersect(mem.RangeSet{{Hi: b.zoneEnd}}); b.zoneEnd != 0 && (dma.Name != "DMA" || !slices.Equal(dma.Ranges, want)) {
				t.Errorf("zone %s has %s, want %s", dma.Name, dma.Ranges, want)
			}
			if _, err := devicetree.Read(data, devicetree.Options{RAM: options.RAM}); err != nil {
				t.Errorf("its own architecture: %v", err)
			}
		})
	}
}

// region is a region as the list beside the blobs has it.
type region struct {
	name  string
	base  uint64 // all ones: the kernel chooses
	size  uint64
	users int
	pool  bool // compatible with a pool
	asked bool // reusable
	noMap bool
}

var regionLine = regexp.MustCompile(`^  (\S+) (?:(0x[0-9a-f]+)\+(0x[0-9a-f]+)|size=(0x[0-9a-f]+)\(\d+cells\))(.*) compat=\[(.*?)\] flags=\[(.*?)\] st=(\S+) users=\[(.*)\]$`)

// realRegions returns the regions in use of each board.
func realRegions(t *testing.T) map[string][]region {
	t.Helper()
	text, err := os.ReadFile(shareddata.Path(t, "dtb", "SUMMARY.txt"))
	if err != nil {
		t.Fatal(err)
	}
	regions := map[string][]region{}
	file := ""
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "===== "); ok {
			file, _, _ = strings.Cut(rest, " ")
			continue
		}
		m := regionLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil || m[8] != "okay" {
			continue
		}
		r := region{name: m[1], base: math.MaxUint64, pool: strings.Contains(m[6], "dma-pool"), asked: strings.Contains(m[7], "'reusable'"), noMap: strings.Contains(m[7], "'no-map'")}
		if m[2] != "" {
			r.base, _ = strconv.ParseUint(m[2], 0, 64)
			m[4] = m[3]
		}
		r.size, _ = strconv.ParseUint(m[4], 0, 64)
		for user := range strings.SplitSeq(m[9], ", ") {
			if user != "" && !strings.Contains(user, "[disabled]") {
				r.users++
			}
		}
		regions[file] = append(regions[file], r)
	}
	return regions
}

// TestRealRegions compares every region of the 39 boards with a list that another
// program made: place, size, kind and users.
func TestRealRegions(t *testing.T) {
	total, placed := 0, 0
	for file, want := range realRegions(t) {
		data, err := os.ReadFile(shareddata.Path(t, "dtb", file))
		if err != nil {
			t.Fatal(err)
		}
		d, err := devicetree.Read(data, devicetree.Options{Kernel: linux61})
		if errors.Is(err, devicetree.ErrNoRAM) {
			base := mem.Addr(0x80000000)
			if strings.HasPrefix(file, "sun") {
				base = 0x40000000
			} else if strings.HasPrefix(file, "bcm") {
				base = 0
			}
			d, err = devicetree.Read(data, devicetree.Options{Kernel: linux61, RAM: []devicetree.Bank{{Base: base, HasBase: true, Size: 3 * mem.GiB}}})
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, w := range want {
			total++
			i := slices.IndexFunc(d.Regions, func(r machine.Region) bool {
				return r.Name == w.name && (w.base == math.MaxUint64 || r.Range.Lo == w.base)
			})
			if i < 0 {
				t.Errorf("%s: no region %s at 0x%x; warnings %q", file, w.name, w.base, d.Warnings)
				continue
			}
			r := d.Regions[i]
			kind := machine.Reserved
			switch {
			case w.pool && w.asked:
				kind = machine.CMA
			case w.pool && strings.Contains(w.name, "wifi"):
				kind = machine.Restricted
			case w.pool:
				kind = machine.Coherent
			case w.noMap:
				kind = machine.NoMap
			}
			if r.Range.Size() != w.size || r.Kind != kind || len(r.Users) != w.users || r.Placed != (w.base == math.MaxUint64) {
				t.Errorf("%s: region %+v, want %+v, kind %s", file, r, w, kind)
			}
			if r.Placed {
				placed++
				if !d.RAM.Contains(r.Range) {
					t.Errorf("%s: %s was placed at %s, outside of RAM", file, r.Name, r.Range)
				}
			}
		}
	}
	if total < 100 || placed < 10 {
		t.Errorf("%d regions, of which %d placed by the kernel", total, placed)
	}
}
