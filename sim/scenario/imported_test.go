package scenario_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "dmasim/allocator/kernel"
	"dmasim/devices/machine/devicetree"
	"dmasim/internal/shareddata"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/scenario"
)

// fromTree makes a scenario of a blob, and starts its machine.
func fromTree(t *testing.T, file string, o devicetree.Options) (scenario.Spec, string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := devicetree.Read(data, o)
	if errors.Is(err, devicetree.ErrNoRAM) {
		o.RAM = []devicetree.Bank{{Base: 0x40000000, HasBase: true, Size: 2 * mem.GiB}}
		tree, err = devicetree.Read(data, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := scenario.FromTree(tree)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse(filepath.Base(file)+".yaml", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	cfg, err := s.Variants[0].Build(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.New(cfg); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return s.Variants[0].Spec, string(text)
}

const trees = "../../devices/machine/devicetree/testdata/"

func TestFromTree(t *testing.T) {
	spec, text := fromTree(t, trees+"pools.dtb", devicetree.Options{})
	m := spec.Machine
	if spec.Name != "dmasim-test-board--pools" || m.Arch != "arm" || len(m.CMA) != 1 || m.CMA[0].Name != "default-pool" || m.CMA[0].Base != 0x4c000000 {
		t.Errorf("name %s, machine %+v", spec.Name, m)
	}
	var heaps []string
	for _, h := range spec.Heaps {
		heaps = append(heaps, h.Name+" "+string(h.Kind)+" "+h.Allocator)
	}
	if got := strings.Join(heaps, ", "); got != "system system , default-pool cma , codec carveout coherent" {
		t.Errorf("heaps %s", got)
	}
	reserved := mem.Size(0)
	for _, r := range m.Reserved {
		reserved += r.Size
	}
	if b := m.Swiotlb; b == nil || b.Slots != 0 || len(b.Restricted) != 1 || b.Restricted[0].Base != 0x42000000 || b.Restricted[0].Devices[0] != "wifi-2000" {
		t.Errorf("bounce buffers %+v", b)
	}
	if want := mem.Size(0x100000 + 0xc0000); reserved != want {
		t.Errorf("%s reserved, want %s", reserved, want)
	}
	for _, note := range []string{
		"# dmasim test board: pools: 512MiB of memory, from its device tree.\n",
		"# Pool sram@10000000, [0x10000000,0x10010000), lies outside of RAM",
		"# Heap codec stands for a pool of Linux that only its devices allocate from: /soc/video-codec@1000.\n",
	} {
		if !strings.Contains(text, note) {
			t.Errorf("no note %q in\n%s", note, text)
		}
	}
}

func TestFromTreeDevices(t *testing.T) {
	spec, _ := fromTree(t, trees+"buses.dtb", devicetree.Options{})
	// Memory lies behind the zone of devices, so Linux has bounce buffers.
	if b := spec.Machine.Swiotlb; b == nil || b.Slots != 32768 {
		t.Errorf("bounce buffers %+v", b)
	}
	if len(spec.IOMMUGroups) != 1 || spec.IOMMUGroups[0].Name != "iommu-display-13000" || spec.IOMMUGroups[0].Devices[0] != "display-13000" {
		t.Errorf("IOMMU groups %+v", spec.IOMMUGroups)
	}
	reach := map[string]string{}
	for _, d := range spec.Devices {
		reach[d.Name] = d.Reach().String()
	}
	if got := reach["video-codec-12000"]; got != "[0x80000000,0x90000000)" {
		t.Errorf("the codec reaches %s", got)
	}
	if got := reach["ethernet-10000"]; got != "[0x80000000,0xc0000000)" {
		t.Errorf("the network reaches %s", got)
	}
}

// TestFromRealTrees makes a scenario of every recorded board's blob.
func TestFromRealTrees(t *testing.T) {
	files, err := filepath.Glob(shareddata.Path(t, "dtb") + "/*.dtb")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d blobs, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { fromTree(t, file, devicetree.Options{}) })
	}
}

// TestReserved holds reserved memory to what it is for: the page allocator does not
// get it, and zones end where they would without it.
func TestReserved(t *testing.T) {
	const text = `
name: board
duration: 1s
memory: [{base: 0x0, size: 1GiB}]
machine:
  arch: arm
  dma_limit: 4GiB
  reserved: [{name: firmware, base: 0x0, size: 64MiB}, {base: 0x3ff00000, size: 1MiB}]
heaps: [{name: system, kind: system}]
processes: [{name: idle, program: [{sleep: 1s}]}]
`
	s, err := scenario.Parse("board.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := s.Variants[0].Build(1)
	if err != nil {
		t.Fatal(err)
	}
	var zones []string
	for _, z := range cfg.Machine.Zones {
		zones = append(zones, z.Name+" "+z.Ranges.String())
	}
	// Low memory has 768 MiB from where RAM starts, the reserved part included.
	if got := strings.Join(zones, ", "); got != "DMA [0x4000000,0x30000000), HighMem [0x30000000,0x3ff00000)" {
		t.Errorf("zones %s", got)
	}
	for wrong, want := range map[string]string{
		"base: 0x0, size: 2GiB":  "[0x0,0x80000000) is not all memory",
		"base: 0x0, size: 0":     "the range is empty",
		"base: 16KiB, size: 1GB": `"1GB"`,
	} {
		_, err := scenario.Parse("board.yaml", []byte(strings.Replace(text, "base: 0x0, size: 64MiB", wrong, 1)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", wrong, err, want)
		}
	}
	_, err = scenario.Parse("board.yaml", []byte(strings.Replace(text, "  reserved:", "  cma: [{name: area, base: 32MiB, size: 16MiB}]\n  reserved:", 1)))
	if err == nil || !strings.Contains(err.Error(), `overlaps CMA area "area"`) {
		t.Errorf("error %v", err)
	}
}
