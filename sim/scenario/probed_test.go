package scenario_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmasim/devices/machine"
	"dmasim/devices/machine/probe"
	"dmasim/mem"
	"dmasim/sim"
	"dmasim/sim/scenario"
)

// probed returns a report whose memory is that of a recorded machine, with heaps
// as a board has them.
func probed(t *testing.T) *probe.Report {
	t.Helper()
	const recorded = "../../devices/machine/testdata/vm-24GiB-linux-6.18"
	r := &probe.Report{
		Kernel: "6.18.44-custom", Arch: "aarch64",
		Memory: &probe.Memory{PageSize: 4 * mem.KiB, Total: 24 * mem.GiB},
		User:   &probe.User{UID: 1000, GID: 1000, Groups: []uint32{44}},
		Heaps: []probe.Heap{
			{Name: "linux,cma", GID: 44, Mode: "0660"}, {Name: "secure\n# line", Mode: "0600"}, {Name: "system", GID: 44, Mode: "0660"},
		},
		CMA:         []probe.CMAArea{{Name: "linux,cma", Base: 0x20000000, Size: 16 * mem.MiB}, {Name: "hidden"}},
		Descriptors: &probe.Descriptors{Soft: 1024, Hard: 1 << 20},
		Bounce:      &probe.Bounce{Size: 64 * mem.MiB},
		IOMMU:       []probe.Group{{ID: 1}},
		Proc:        probe.Proc{},
	}
	for _, name := range []string{"meminfo", "zoneinfo", "buddyinfo", "pagetypeinfo", "iomem"} {
		data, err := os.ReadFile(filepath.Join(recorded, name))
		if err != nil {
			t.Fatal(err)
		}
		r.Proc[name] = data
	}
	return r
}

// load writes a report's scenario as the command does and loads it.
func load(t *testing.T, r *probe.Report) (scenario.Spec, string, sim.Config) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "proc"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range r.Proc.Names() {
		if err := os.WriteFile(filepath.Join(dir, "proc", name), r.Proc[name], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	text, err := scenario.FromProbe(r, "proc", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse(filepath.Join(dir, "machine.yaml"), text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	cfg, err := s.Variants[0].Build(1)
	if err != nil {
		t.Fatal(err)
	}
	return s.Variants[0].Spec, string(text), cfg
}

func TestFromProbe(t *testing.T) {
	spec, text, cfg := load(t, probed(t))
	m := spec.Machine
	if m.Kernel.String() != "6.12" || m.Arch != scenario.Arch(machine.ARM64) || len(m.CMA) != 1 || m.CMA[0].Name != "linux-cma" {
		t.Errorf("machine %+v", m)
	}
	if len(spec.Heaps) != 2 {
		t.Fatalf("heaps %+v", spec.Heaps)
	}
	if h := spec.Heaps[0]; h.Name != "linux-cma" || h.Kind != scenario.CMAHeap || h.Area != "linux-cma" || h.Mode != 0o660 || h.Group != 44 {
		t.Errorf("heap %+v", h)
	}
	if h := spec.Heaps[1]; h.Name != "system" || h.Kind != scenario.SystemHeap {
		t.Errorf("heap %+v", h)
	}
	if p := spec.Processes[0]; p.User != 1000 || len(p.Groups) != 2 || p.Descriptors != 1024 {
		t.Errorf("process %+v", p)
	}
	if m.Swiotlb == nil || m.Swiotlb.Slots != 32768 || len(cfg.Bounce) != 1 || cfg.Bounce[0].Place.Hi > 4<<30 {
		t.Errorf("bounce buffers %+v, %+v", m.Swiotlb, cfg.Bounce)
	}
	if cfg.Machine == nil || cfg.Machine.State == nil {
		t.Error("the copies of /proc are not used")
	}
	for _, note := range []string{
		"# Linux 6.12 is simulated, the latest release that is modelled.\n", "# CMA area hidden is left out: ",
		"# Heap secure # line is left out: it is not known where its memory comes from.\n", "# Where the bounce buffers are is not known; ",
		"# The machine has 1 IOMMU groups; ",
	} {
		if !strings.Contains(text, note) {
			t.Errorf("no note %q in\n%s", note, text)
		}
	}
}

func TestFromProbeWithoutHeaps(t *testing.T) {
	for release, want := range map[string]string{"": "6.12", "5.4.0-rc1": "5.6", "5.10.0-28-amd64": "5.10"} {
		r := probed(t)
		r.Kernel, r.Heaps, r.User, r.Descriptors, r.Arch = release, nil, nil, nil, ""
		spec, _, _ := load(t, r)
		if len(spec.Heaps) != 1 || spec.Heaps[0].Kind != scenario.SystemHeap || spec.Machine.Kernel.String() != want {
			t.Errorf("Linux %q: heaps %+v, machine %+v", release, spec.Heaps, spec.Machine)
		}
	}
	if _, err := scenario.FromProbe(&probe.Report{}, "proc", nil); err == nil {
		t.Error("a machine without memory")
	}
}

// TestFromProbeWithoutPrivilege starts a machine whose iomem and pagetypeinfo could
// not be read: the hole of a PC's first zone is where it always is.
func TestFromProbeWithoutPrivilege(t *testing.T) {
	r := probed(t)
	r.Arch, r.CMA = "x86_64", nil
	delete(r.Proc, "iomem")
	delete(r.Proc, "pagetypeinfo")
	_, _, cfg := load(t, r)
	if _, err := sim.New(cfg); err != nil {
		t.Error(err)
	}
}
