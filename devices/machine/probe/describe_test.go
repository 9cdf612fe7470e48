package probe

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"dmasim/devices/machine"
	"dmasim/mem"
)

// withTree adds one of the test trees to a board.
func withTree(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	root := board(t)
	data, err := os.ReadFile("../devicetree/testdata/" + name + ".dtb")
	if err != nil {
		t.Fatal(err)
	}
	root[blobPath] = &fstest.MapFile{Data: data, Mode: 0o400}
	return root
}

func TestDescribe(t *testing.T) {
	d, err := Describe(withTree(t, "buses"))
	if err != nil {
		t.Fatal(err)
	}
	// Memory and zones are as the kernel counts them, buses and devices the tree's.
	if d.RAM.Size() != uint64(24*mem.GiB)-0x1000-0x60400 || len(d.Zones) != 3 || d.Zones[0].Free == 0 || d.Memory == nil {
		t.Errorf("RAM %s, zones %+v", d.RAM, d.Zones)
	}
	if d.Platform.Arch != machine.ARM64 || d.Platform.Kernel.String() != "6.12" || d.Platform.DMALimit != 0x90000000 || d.Model != "dmasim test board: buses" {
		t.Errorf("platform %+v, model %s", d.Platform, d.Model)
	}
	if len(d.Buses) != 4 || len(d.Devices) != 8 {
		t.Errorf("%d buses, %d devices", len(d.Buses), len(d.Devices))
	}
	// The area is where debugfs has it.
	at := mem.Range{Lo: 60416 * 4096, Hi: (60416 + 4096) * 4096}
	if !slices.ContainsFunc(d.Regions, func(r machine.Region) bool { return r.Name == "reserved" && r.Kind == machine.CMA && r.Range == at }) {
		t.Errorf("regions %+v", d.Regions)
	}
}

// TestDescribeAfterEFI has a tree without memory, as the kernel's EFI stub leaves it.
func TestDescribeAfterEFI(t *testing.T) {
	d, err := Describe(withTree(t, "readings"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Model != "dmasim test board: readings" || len(d.Devices) != 1 {
		t.Errorf("model %q, devices %+v", d.Model, d.Devices)
	}
}

func TestDescribeWithoutPrivilege(t *testing.T) {
	root := closedTo{withTree(t, "buses"), []string{blobPath, "proc/pagetypeinfo", "sys/kernel/debug"}}
	root.MapFS["proc/iomem"] = file("00000000-00000000 : System RAM\n")
	d, err := Describe(root)
	if err != nil {
		t.Fatal(err)
	}
	if d.RAM != nil || len(d.Devices) != 0 || len(d.Zones) != 3 {
		t.Errorf("RAM %s, devices %+v, zones %+v", d.RAM, d.Devices, d.Zones)
	}
	for _, want := range []string{
		"device tree not read: /sys/firmware/fdt: permission denied; needs run as root",
		"where memory is not read: /proc/iomem: every address is zero; needs run as root",
		"free blocks by migrate type not read: /proc/pagetypeinfo: permission denied",
	} {
		if !slices.ContainsFunc(d.Warnings, func(w string) bool { return strings.HasPrefix(w, want) }) {
			t.Errorf("no warning %q in %q", want, d.Warnings)
		}
	}
}

func TestReadCopies(t *testing.T) {
	r, err := ReadCopies(os.DirFS(recorded))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Proc) != 5 || r.Memory == nil || len(r.Memory.Zones) != 3 || len(r.Gaps) != 0 {
		t.Errorf("report %+v", r)
	}
	hidden := fstest.MapFS{}
	for name, data := range r.Proc {
		hidden[name] = &fstest.MapFile{Data: data, Mode: 0o444}
	}
	hidden["iomem"] = file("00000000-00000000 : System RAM\n")
	if _, err := ReadCopies(hidden); !errors.Is(err, machine.ErrHiddenAddresses) {
		t.Errorf("error %v, want %v", err, machine.ErrHiddenAddresses)
	}
	delete(hidden, "zoneinfo")
	if _, err := ReadCopies(hidden); err == nil {
		t.Error("copies without zoneinfo were read")
	}
}
