package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"dmasim/allocator/dmaheap"
	"dmasim/devices/machine/probe"
	"dmasim/mem"
	"dmasim/sim/scenario"
	"dmasim/sim/validate"
	"dmasim/sim/validate/kernel"
)

func probedMachine(t *testing.T) *probe.Report {
	t.Helper()
	const recorded = "../../../devices/machine/testdata/vm-24GiB-linux-6.18"
	r := &probe.Report{Memory: &probe.Memory{PageSize: 4 * mem.KiB}, Proc: probe.Proc{}}
	for _, name := range []string{"meminfo", "zoneinfo", "buddyinfo", "pagetypeinfo", "iomem"} {
		data, err := os.ReadFile(filepath.Join(recorded, name))
		if err != nil {
			t.Fatal(err)
		}
		r.Proc[name] = data
	}
	return r
}

func entries(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range list {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

func TestWriteProbed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "board.yaml")
	if err := writeProbed(file, probedMachine(t), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := scenario.Load(file); err != nil {
		t.Error(err)
	}
	if got := entries(t, filepath.Join(dir, "board-proc")); got != "buddyinfo iomem meminfo pagetypeinfo zoneinfo" {
		t.Errorf("copies %s", got)
	}
	if err := writeProbed(file, probedMachine(t), nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("written twice: %v", err)
	}
	if got := entries(t, dir); got != "board-proc board.yaml" {
		t.Errorf("left %s", got)
	}
}

// TestWriteProbedLeavesNothing uses a machine that cannot be simulated.
func TestWriteProbedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	several := probedMachine(t)
	for _, name := range []string{"zoneinfo", "buddyinfo", "pagetypeinfo"} {
		several.Proc[name] = []byte(strings.ReplaceAll(string(several.Proc[name]), "Node 0,", "Node 1,"))
		several.Proc[name] = []byte(strings.ReplaceAll(string(several.Proc[name]), "Node    0,", "Node    1,"))
	}
	err := writeProbed(filepath.Join(dir, "numa.yaml"), several, nil)
	if err == nil || !strings.Contains(err.Error(), "this machine cannot be simulated: ") || !strings.Contains(err.Error(), "several nodes") {
		t.Errorf("got %v", err)
	}
	if got := entries(t, dir); got != "" {
		t.Errorf("left %s", got)
	}
	contradictory := probedMachine(t)
	delete(contradictory.Proc, "pagetypeinfo")
	contradictory.Proc["iomem"] = []byte("100000-1fffff : System RAM\n")
	if err := writeProbed(filepath.Join(dir, "torn.yaml"), contradictory, nil); err == nil {
		t.Error("a machine with memory where there is none")
	}
	if got := entries(t, dir); got != "" {
		t.Errorf("left %s", got)
	}
}

// TestPrintProbeIsNarrow prints what other programs and long names could break.
func TestPrintProbeIsNarrow(t *testing.T) {
	long := strings.Repeat("long", 40)
	r := &probe.Report{
		Kernel: long, Arch: "x86_64", User: &probe.User{UID: 4_000_000_000, Groups: []uint32{1, 2, 3}},
		Heaps: []probe.Heap{{Name: long, UID: 4_000_000_000, Mode: "0600"}, {Name: "system", Mode: "0660", MayOpen: true}},
		Memory: &probe.Memory{Total: mem.GiB, Zones: []probe.Zone{
			{Name: "Normal", Lo: 1 << 40, Hi: 1<<48 - 1<<12, Managed: 1<<47 + 1<<30, Free: 1<<46 + 1<<29, LargestFree: 4 * mem.MiB},
		}},
		CMA:         []probe.CMAArea{{Name: long}, {Name: "reserved", Base: 1 << 47, Size: 1<<46 + 1<<20, Used: 4096, LargestFree: 1 << 46}},
		Bounce:      &probe.Bounce{Size: 64 * mem.MiB},
		IOMMU:       []probe.Group{{ID: 1}, {ID: 2, Type: "DMA-FQ"}, {ID: 3, Type: "DMA-FQ"}},
		Descriptors: &probe.Descriptors{Soft: 1024, Hard: 1<<64 - 1},
		DMABufs: probe.Accounting{Complete: true, Buffers: []dmaheap.BufferInfo{
			{Inode: 1<<64 - 1, Size: 1 << 46, Exporter: long, Name: "\x1b[2J\nfake", References: 1 << 40, Devices: []string{long},
				Holders: []dmaheap.Holder{{PID: 1 << 22, Command: long, Descriptors: []int{1, 2}}}},
		}},
		Warnings: []string{long + " " + long},
		Gaps:     []dmaheap.Gap{{What: long, Path: "/" + long, Reason: long, Remedy: long}},
	}
	for range mostBuffers {
		r.DMABufs.Buffers = append(r.DMABufs.Buffers, dmaheap.BufferInfo{Inode: 7, Size: 4096, Exporter: "system"})
	}
	var b strings.Builder
	if err := printProbe(&b, &probed{r, kernel.Observability{Aspects: []string{"errno"}, Gaps: []validate.Gap{{Aspect: "cma"}, {Aspect: "life"}}}}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if utf8.RuneCountInString(line) > lineWidth || clean(line) != line {
			t.Errorf("line %q", line)
		}
	}
	for _, want := range []string{
		"you may not open it", "you may open it", "1 unknown, 2 DMA-FQ", "and raise that to any number", "2 descriptors, 0 mappings", "and 1 more, see --json",
		"?[2J?fake", "could compare here: errno; not: cma, life (dmasim validate tells why)", "4KiB in no dma-buf of this heap",
	} {
		if !strings.Contains(strings.Join(strings.Fields(b.String()), " "), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
