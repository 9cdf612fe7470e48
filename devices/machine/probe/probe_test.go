package probe

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"dmasim/allocator/dmaheap"
	"dmasim/mem"
)

const recorded = "../testdata/vm-24GiB-linux-6.18"

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o444} }

// board is a machine with everything that a probe looks for.
func board(t *testing.T) fstest.MapFS {
	t.Helper()
	root := fstest.MapFS{
		"proc/sys/kernel/osrelease":                       file("6.12.117-arm64\n"),
		"proc/sys/kernel/arch":                            file("aarch64\n"),
		"proc/self/status":                                file("Name:\tdmasim\nPPid:\t40\nUid:\t1000\t1001\t1000\t1000\nGid:\t100\t101\t100\t100\nGroups:\t44 100 \n"),
		"proc/40/limits":                                  file("Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 unlimited            files     \n"),
		"proc/sys/fs/file-nr":                             file("945\t0\t2470938\n"),
		"dev/dma_heap/reserved":                           {Mode: fs.ModeDevice | fs.ModeCharDevice | 0o600},
		"dev/dma_heap/system":                             {Mode: fs.ModeDevice | fs.ModeCharDevice | 0o666},
		"sys/kernel/debug/cma/reserved/base_pfn":          file("60416\n"),
		"sys/kernel/debug/cma/reserved/count":             file("4096\n"),
		"sys/kernel/debug/cma/reserved/used":              file("1024\n"),
		"sys/kernel/debug/cma/reserved/maxchunk":          file("2048\n"),
		"sys/kernel/debug/cma/reserved/order_per_bit":     file("4294967296\n"),
		"sys/kernel/debug/cma/reserved/bitmap":            file("4294967295 " + strings.Repeat("0 ", 62) + "3 2147483648 1" + strings.Repeat(" 0", 62) + "\n"),
		"sys/kernel/mm/cma/reserved/alloc_pages_success":  file("77\n"),
		"sys/kernel/mm/cma/reserved/alloc_pages_fail":     file("8\n"),
		"sys/kernel/debug/swiotlb/io_tlb_nslabs":          file("32768\n"),
		"sys/kernel/debug/swiotlb/io_tlb_used":            file("3\n"),
		"sys/kernel/debug/swiotlb/io_tlb_used_hiwater":    file("512\n"),
		"sys/kernel/iommu_groups/10/type":                 file("DMA-FQ\n"),
		"sys/kernel/iommu_groups/10/devices/0000:00:02.0": file(""),
		"sys/kernel/iommu_groups/2/type":                  file("identity\n"),
		"sys/kernel/iommu_groups/2/devices/fe800000.gpu":  file(""),
		"sys/kernel/iommu_groups/2/devices/fe810000.vpu":  file(""),
		"sys/kernel/debug/dma_buf/bufinfo": file("00004096\t00000002\t00080007\t00000001\tsystem\t00000003\tframe\n" +
			"\tAttached Devices:\n\tfe800000.gpu\nTotal 1 devices attached\n\n\nTotal 1 objects, 4096 bytes\n"),
	}
	for _, name := range []string{"meminfo", "zoneinfo", "buddyinfo", "pagetypeinfo", "iomem"} {
		data, err := os.ReadFile(path.Join(recorded, name))
		if err != nil {
			t.Fatal(err)
		}
		root["proc/"+name] = &fstest.MapFile{Data: data, Mode: 0o444}
	}
	return root
}

// closedTo is a file system in which what begins with some names may not be
// opened.
type closedTo struct {
	fstest.MapFS
	prefixes []string
}

func (c closedTo) Open(name string) (fs.File, error) {
	if slices.ContainsFunc(c.prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return c.MapFS.Open(name)
}

func (c closedTo) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return c.MapFS.ReadDir(name)
}

func (c closedTo) ReadFile(name string) ([]byte, error) {
	f, err := c.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return c.MapFS.ReadFile(name)
}

func TestRead(t *testing.T) {
	r := Read(board(t))
	if len(r.Gaps) != 0 {
		t.Errorf("gaps %+v", r.Gaps)
	}
	if r.Kernel != "6.12.117-arm64" || r.Arch != "aarch64" {
		t.Errorf("kernel %q on %q", r.Kernel, r.Arch)
	}
	for name, diff := range map[string]string{
		"user": cmp.Diff(&User{UID: 1001, GID: 101, Groups: []uint32{44, 100}}, r.User),
		"heaps": cmp.Diff([]Heap{
			{Name: "reserved", Path: "/dev/dma_heap/reserved", Mode: "0600", MayOpen: true},
			{Name: "system", Path: "/dev/dma_heap/system", Mode: "0666", MayOpen: true},
		}, r.Heaps),
		"cma": cmp.Diff([]CMAArea{{
			Name: "reserved", Base: 60416 << 12, Size: 16 * mem.MiB, Used: 4 * mem.MiB, LargestFree: 8 * mem.MiB, AllocSuccess: 77, AllocFail: 8,
			Taken: mem.NewRangeSet(
				mem.Range{Lo: 60416 << 12, Hi: (60416 + 32) << 12}, mem.Range{Lo: (60416 + 63*32) << 12, Hi: (60416 + 63*32 + 2) << 12},
				mem.Range{Lo: (60416 + 65*32 - 1) << 12, Hi: (60416 + 65*32 + 1) << 12},
			),
		}}, r.CMA),
		"bounce": cmp.Diff(&Bounce{Size: 64 * mem.MiB, Used: 6 * mem.KiB, HighWater: mem.MiB}, r.Bounce),
		"iommu": cmp.Diff([]Group{
			{ID: 2, Type: "identity", Devices: []string{"fe800000.gpu", "fe810000.vpu"}}, {ID: 10, Type: "DMA-FQ", Devices: []string{"0000:00:02.0"}},
		}, r.IOMMU),
		"descriptors": cmp.Diff(&Descriptors{Soft: 1024, Hard: 1<<64 - 1, Open: 945, Most: 2470938}, r.Descriptors),
		"dma-bufs": cmp.Diff(Accounting{Complete: true, Total: 4096, Buffers: []dmaheap.BufferInfo{
			{Inode: 3, Size: 4096, Exporter: "system", Name: "frame", References: 1, Devices: []string{"fe800000.gpu"}},
		}}, r.DMABufs),
		"zones":  cmp.Diff([]string{"DMA", "DMA32", "Normal"}, zoneNames(r)),
		"copies": cmp.Diff([]string{"buddyinfo", "iomem", "meminfo", "pagetypeinfo", "zoneinfo"}, r.Proc.Names()),
	} {
		if diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if len(r.Memory.Ranges) == 0 || r.Memory.PageSize != 4*mem.KiB {
		t.Errorf("memory %+v", r.Memory)
	}
}

// TestReadWithoutBounceBuffers is what Linux 6.12 shows where it made none.
func TestReadWithoutBounceBuffers(t *testing.T) {
	r := Read(fstest.MapFS{"sys/kernel/debug/swiotlb": {Mode: fs.ModeDir | 0o755}})
	if r.Bounce == nil || *r.Bounce != (Bounce{}) {
		t.Errorf("got %+v", r.Bounce)
	}
}

func zoneNames(r *Report) []string {
	var names []string
	for _, z := range r.Memory.Zones {
		names = append(names, z.Name)
	}
	return names
}

// TestReadNothing holds a probe to naming everything that it did not find.
func TestReadNothing(t *testing.T) {
	r := Read(fstest.MapFS{})
	want := []string{
		"/proc/sys/kernel/osrelease", "/proc/sys/kernel/arch", "/proc/self/status", "/dev/dma_heap", "/proc/meminfo", "/proc/iomem", "/proc/buddyinfo",
		"/proc/pagetypeinfo", "/proc/zoneinfo", "/proc", "/sys/kernel/debug/cma", "/sys/kernel/mm/cma", "/sys/kernel/debug/dma_buf/bufinfo",
		"/sys/kernel/dmabuf/buffers", "/proc", "/sys/kernel/debug/swiotlb", "/sys/kernel/iommu_groups", "/proc/0/limits",
	}
	var got []string
	for _, g := range r.Gaps {
		got = append(got, g.Path)
		if g.What == "" || g.Reason == "" || g.Remedy == "" {
			t.Errorf("gap %+v", g)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r.Memory != nil || r.User != nil || r.Bounce != nil || r.Descriptors != nil || r.Heaps == nil || r.CMA == nil || r.IOMMU == nil {
		t.Errorf("got %+v", r)
	}
}

// TestReadWithoutPrivilege is the same machine for a user who is not root.
func TestReadWithoutPrivilege(t *testing.T) {
	files := board(t)
	files["proc/iomem"] = file("00000000-00000000 : System RAM\n")
	r := Read(closedTo{files, []string{"sys/kernel/debug", "proc/pagetypeinfo", "dev/dma_heap/reserved"}})
	if r.Heaps[0].MayOpen || !r.Heaps[1].MayOpen {
		t.Errorf("heaps %+v", r.Heaps)
	}
	if diff := cmp.Diff([]CMAArea{{Name: "reserved", AllocSuccess: 77, AllocFail: 8}}, r.CMA); diff != "" {
		t.Error(diff)
	}
	if r.Memory == nil || r.Memory.Ranges != nil || len(r.Memory.Zones) != 3 {
		t.Errorf("memory %+v", r.Memory)
	}
	if diff := cmp.Diff([]string{"buddyinfo", "meminfo", "zoneinfo"}, r.Proc.Names()); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, g := range r.Gaps {
		got = append(got, g.Path+": "+g.Reason)
	}
	for _, path := range []string{"/dev/dma_heap/reserved", "/proc/pagetypeinfo", "/proc/iomem", "/sys/kernel/debug/cma", "/sys/kernel/debug/dma_buf/bufinfo", "/sys/kernel/debug/swiotlb"} {
		if !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, path+": ") }) {
			t.Errorf("no gap for %s in %q", path, got)
		}
	}
}

// TestReadGarbage holds that a broken file is a gap and no more.
func TestReadGarbage(t *testing.T) {
	for name := range board(t) {
		root := board(t)
		if root[name].Mode&fs.ModeDevice != 0 || strings.Contains(name, "/devices/") {
			continue
		}
		root[name] = file("\x00garbage \xff: : :\n-1 x")
		r := Read(root)
		if path.Dir(name) != "proc/sys/kernel" && !strings.HasSuffix(name, "/type") && len(r.Gaps) == 0 {
			t.Errorf("%s is garbage, and nothing is amiss", name)
		}
	}
}

func TestProcIsAFileSystem(t *testing.T) {
	p := Read(board(t)).Proc
	if data, err := fs.ReadFile(p, "iomem"); err != nil || len(data) != len(p["iomem"]) {
		t.Errorf("%d bytes: %v", len(data), err)
	}
	if _, err := fs.ReadFile(p, "other"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
