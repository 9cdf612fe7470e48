package machine_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"dmasim/devices/machine"
	"dmasim/mem"
)

// recorded is a virtual machine with 2 CPUs whose kernel initialises most of
// its memory later, so that its MemTotal is far more than its zones manage.
const recorded = "testdata/vm-24GiB-linux-6.18"

func TestReadProc(t *testing.T) {
	s, err := machine.ReadProc(os.DirFS(recorded))
	if err != nil {
		t.Fatal(err)
	}
	if s.PageSize != 4*mem.KiB || s.PagesPerBlock != 512 {
		t.Errorf("pages of %s, %d in a pageblock, want 4KiB and 512", s.PageSize, s.PagesPerBlock)
	}
	if s.Memory.MemTotal != 24731708*mem.KiB || s.Memory.Slab != s.Memory.SReclaimable+s.Memory.SUnreclaim {
		t.Errorf("meminfo: %+v", s.Memory)
	}
	want := ranges(0x1000, 0x9fc00, 0x100000, 0xc0000000, 0x100000000, 0x640000000)
	if diff := cmp.Diff(want, s.RAM); diff != "" {
		t.Errorf("RAM (-want +got):\n%s", diff)
	}
	normal := machine.ZoneState{
		Name: "Normal", Start: 1048576,
		Spanned: 5505024, Present: 5505024, Managed: 393216,
		Min: 5678, Low: 7097, High: 8516, Protection: []uint64{0, 0, 0, 0, 0},
		FreeBlocks: []uint64{6170, 2922, 638, 596, 181, 48, 10, 6, 4, 4, 26},
		Types: []machine.MigrateType{
			{Name: "Unmovable", FreeBlocks: []uint64{78, 93, 44, 82, 25, 11, 4, 3, 2, 0, 0}, Pageblocks: 140},
			{Name: "Movable", FreeBlocks: []uint64{6029, 2829, 593, 513, 155, 36, 6, 3, 1, 3, 26}, Pageblocks: 568},
			{Name: "Reclaimable", FreeBlocks: []uint64{0, 0, 1, 1, 1, 1, 0, 0, 1, 1, 0}, Pageblocks: 60},
			{Name: "HighAtomic", FreeBlocks: make([]uint64, 11)},
			{Name: "Isolate", FreeBlocks: make([]uint64, 11)},
		},
		Pages: machine.Pages{
			Free: 54807, PerCPU: 2268 + 2893,
			Anonymous: 2320 + 260, PageCache: 128250 + 158484, Unevictable: 4188,
			Kernel: 393216 - 54807 - 5161 - 2580 - 286734 - 4188,
		},
	}
	if len(s.Zones) != 3 {
		t.Fatalf("%d zones, want those with memory: DMA, DMA32 and Normal", len(s.Zones))
	}
	if diff := cmp.Diff(normal, s.Zones[2]); diff != "" {
		t.Errorf("zone Normal (-want +got):\n%s", diff)
	}
	for _, z := range s.Zones {
		p := z.Pages
		if sum := p.Free + p.PerCPU + p.Anonymous + p.PageCache + p.Unevictable + p.Kernel; sum != z.Managed {
			t.Errorf("%s: %d pages are used for something, of %d", z.Name, sum, z.Managed)
		}
	}
}

// TestWarnings: the recorded machine's meminfo counts memory that its zones do
// not manage yet, and nothing else disagrees.
func TestWarnings(t *testing.T) {
	s, err := machine.ReadProc(os.DirFS(recorded))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"meminfo has MemTotal of 6182927 pages, zoneinfo 1169973 managed",
		"meminfo has MemFree of 5844568 pages, zoneinfo 831564 free",
	}
	if diff := cmp.Diff(want, s.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// small is a machine of 16 MiB with one zone, in the format of Linux 6.12.
func small() map[string]string {
	return map[string]string{
		"meminfo": "MemTotal:  12000 kB\nMemFree:  4000 kB\nVendor heap: 12 kB\nActive: 800 kB\nInactive: 400 kB\n" +
			"Unevictable: 0 kB\nCmaTotal: 4096 kB\nCmaFree: 40 kB\n",
		"zoneinfo": `Node 0, zone   Normal
  per-node stats
      nr_inactive_anon 100
      nr_active_anon 0
      nr_inactive_file 200
      nr_active_file 0
      nr_unevictable 0
  pages free     1000
        boost    3
        min      58
        low      72
        high     86
        spanned  4096
        present  4000
        managed  3000
        cma      1024
        protection: (0, 7, 8)
      nr_free_pages 1000
      nr_zone_inactive_anon 100
      nr_zone_active_anon 0
      nr_zone_inactive_file 200
      nr_zone_active_file 0
      nr_zone_unevictable 0
      nr_free_cma  10
  pagesets
    cpu: 0
              count:    5
              high:     60
              batch:    1
  vm stats threshold: 4
  node_unreclaimable:  0
  start_pfn:           4096
Node 0, zone  Movable
  pages free     0
        boost    0
        min      32
        low      32
        high     32
        spanned  0
        present  0
        managed  0
        cma      0
        protection: (0, 0, 0)
`,
		"buddyinfo": "Node 0, zone   Normal      2      1    249\n",
		"pagetypeinfo": `Page block order: 2
Pages per block:  4

Free pages count per migrate type at order       0      1      2 
Node    0, zone   Normal, type    Unmovable      1      0      0 
Node    0, zone   Normal, type      Movable      1      1    249 

Number of blocks type     Unmovable      Movable 
Node 0, zone   Normal          24         1000 
`,
		"iomem": "01000000-01f9ffff : System RAM\n  01000000-01001fff : Kernel code\n",
	}
}

func readSmall(edit func(files map[string]string)) (*machine.State, error) {
	files := small()
	edit(files)
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return machine.ReadProc(dir)
}

// replace makes an edit of one file.
func replace(name, old, with string) func(map[string]string) {
	return func(files map[string]string) {
		if !strings.Contains(files[name], old) {
			panic(name + " has no " + old)
		}
		files[name] = strings.Replace(files[name], old, with, 1)
	}
}

func TestReadSmall(t *testing.T) {
	s, err := readSmall(func(map[string]string) {})
	if err != nil {
		t.Fatal(err)
	}
	want := &machine.State{
		PageSize: 4 * mem.KiB, PagesPerBlock: 4,
		Memory: machine.Meminfo{
			MemTotal: 12000 * mem.KiB, MemFree: 4000 * mem.KiB,
			Active: 800 * mem.KiB, Inactive: 400 * mem.KiB,
			CmaTotal: 4096 * mem.KiB, CmaFree: 40 * mem.KiB,
		},
		RAM: ranges(0x1000000, 0x1fa0000),
		Zones: []machine.ZoneState{{
			Name: "Normal", Start: 4096, Spanned: 4096, Present: 4000, Managed: 3000, CMA: 1024,
			Min: 58, Low: 72, High: 86, Boost: 3, Protection: []uint64{0, 7, 8},
			FreeBlocks: []uint64{2, 1, 249},
			Types: []machine.MigrateType{
				{Name: "Unmovable", FreeBlocks: []uint64{1, 0, 0}, Pageblocks: 24},
				{Name: "Movable", FreeBlocks: []uint64{1, 1, 249}, Pageblocks: 1000},
			},
			Pages: machine.Pages{Free: 1000, FreeCMA: 10, PerCPU: 5, Anonymous: 100, PageCache: 200, Kernel: 1695},
		}},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

// TestOldFormat reads zoneinfo as Linux 3.9 to 4.7 wrote it: zones count their
// lists under other names, and nodes count nothing.
func TestOldFormat(t *testing.T) {
	s, err := readSmall(func(files map[string]string) {
		files["zoneinfo"] = `Node 0, zone   Normal
  pages free     1000
        min      58
        low      72
        high     86
        scanned  0
        spanned  4096
        present  4000
        managed  3000
    nr_free_pages 1000
    nr_inactive_anon 100
    nr_active_anon 0
    nr_inactive_file 150
    nr_active_file 50
    nr_unevictable 0
    nr_anon_pages 90
    nr_free_cma  10
        protection: (0, 0)
  pagesets
    cpu: 0
              count: 5
              high:  60
              batch: 1
  vm stats threshold: 4
  all_unreclaimable: 0
  start_pfn:         4096
  inactive_ratio:    1
`
		delete(files, "pagetypeinfo")
		delete(files, "iomem")
	})
	if err != nil {
		t.Fatal(err)
	}
	want := machine.Pages{Free: 1000, FreeCMA: 10, PerCPU: 5, Anonymous: 100, PageCache: 200, Kernel: 1695}
	if s.Zones[0].Pages != want || s.PageSize != 4*mem.KiB {
		t.Errorf("%s pages: %+v, want %+v", s.PageSize, s.Zones[0].Pages, want)
	}
	if s.Zones[0].Types != nil || s.PagesPerBlock != 0 || s.RAM != nil {
		t.Errorf("types %v, %d pages in a block and RAM %s from no file", s.Zones[0].Types, s.PagesPerBlock, s.RAM)
	}
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "pagetypeinfo") {
		t.Errorf("warnings %q, want one of the missing pagetypeinfo", s.Warnings)
	}
}

func TestLargePages(t *testing.T) {
	s, err := readSmall(func(files map[string]string) {
		files["meminfo"] = "MemTotal: 192000 kB\nMemFree: 64000 kB\nActive: 19200 kB\nInactive: 0 kB\n"
		delete(files, "iomem")
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.PageSize != 64*mem.KiB || len(s.Warnings) > 0 {
		t.Errorf("pages of %s, warnings %q, want 64KiB and none", s.PageSize, s.Warnings)
	}
}

// TestTwoNodes: pagetypeinfo has all of its tables once for each node.
func TestTwoNodes(t *testing.T) {
	s, err := readSmall(func(files map[string]string) {
		for _, name := range []string{"zoneinfo", "buddyinfo", "pagetypeinfo"} {
			second := strings.NewReplacer("Node 0,", "Node 1,", "Node    0,", "Node    1,", "start_pfn:           4096", "start_pfn:           8192").Replace(files[name])
			files[name] += second
		}
		files["meminfo"] = "MemTotal: 24000 kB\nMemFree: 8000 kB\nActive: 2400 kB\n"
		files["iomem"] += "02000000-02f9ffff : System RAM\n"
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Zones) != 2 || s.Zones[1].Node != 1 || s.Zones[1].Types[1].Pageblocks != 1000 || s.PageSize != 4*mem.KiB {
		t.Errorf("pages of %s, zones %+v", s.PageSize, s.Zones)
	}
	if len(s.Warnings) > 0 {
		t.Errorf("warnings %q", s.Warnings)
	}
}

func TestCappedCounts(t *testing.T) {
	huge := func(unmovable string) func(map[string]string) {
		return func(files map[string]string) {
			files["buddyinfo"] = "Node 0, zone Normal 250000 1 1\n"
			replace("pagetypeinfo", "Unmovable      1      0      0", "Unmovable "+unmovable+" 0 0")(files)
			replace("pagetypeinfo", "Movable      1      1    249", "Movable >100000 1 1")(files)
		}
	}
	s, err := readSmall(huge("7"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Zones[0].Types[1]; got.FreeBlocks[0] != 249993 || len(got.Capped) > 0 {
		t.Errorf("the only capped type has %+v, want what buddyinfo leaves: 249993", got)
	}
	s, err = readSmall(huge(">100000"))
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range s.Zones[0].Types {
		if got.FreeBlocks[0] != 100000 || !slices.Equal(got.Capped, []int{0}) {
			t.Errorf("one of two capped types has %+v, want at least 100000", got)
		}
	}
	if !slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "50000 blocks more") }) {
		t.Errorf("warnings %q, want that 50000 blocks are missing", s.Warnings)
	}
}

func TestDisagreements(t *testing.T) {
	tests := map[string]struct {
		edit func(map[string]string)
		want string // "" for no warning
	}{
		"within the lists of CPUs": {replace("buddyinfo", "Normal      2", "Normal      9"), ""},
		"free blocks, zoneinfo":    {replace("zoneinfo", "free     1000", "free     900"), "buddyinfo has 1000 free pages, zoneinfo 900"},
		"free blocks by type":      {replace("pagetypeinfo", "249", "200"), "buddyinfo has 1000 free pages, pagetypeinfo 804"},
		"too many pageblocks":      {replace("pagetypeinfo", " 24 ", " 25 "), "1025 pageblocks in a zone that spans 1024"},
		"MemTotal":                 {replace("meminfo", "12000", "12004"), "MemTotal of 3001 pages, zoneinfo 3000"},
		"MemFree":                  {replace("meminfo", "4000", "4040"), "MemFree of 1010 pages, zoneinfo 1000"},
		"RAM":                      {replace("iomem", "01f9ffff", "01f8ffff"), "iomem has 3984 pages of RAM, zoneinfo 4000"},
		"lists of the node":        {replace("zoneinfo", "nr_zone_active_file 0", "nr_zone_active_file 10"), "300 pages on the lists of the node and 310"},
		"more used than managed":   {replace("zoneinfo", "nr_zone_unevictable 0", "nr_zone_unevictable 5000"), "6305 pages are free or on a list, of 3000"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := readSmall(test.edit)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(s.Warnings, "\n")
			if test.want == "" && all != "" || !strings.Contains(all, test.want) {
				t.Errorf("warnings %q, want %q", all, test.want)
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	remove := func(name string) func(map[string]string) {
		return func(files map[string]string) { delete(files, name) }
	}
	tests := map[string]struct {
		edit func(map[string]string)
		want string
	}{
		"no meminfo":             {remove("meminfo"), "open meminfo: file does not exist"},
		"no zoneinfo":            {remove("zoneinfo"), "open zoneinfo: file does not exist"},
		"no buddyinfo":           {remove("buddyinfo"), "open buddyinfo: file does not exist"},
		"no MemFree":             {replace("meminfo", "MemFree", "MemFred"), "meminfo: MemFree is missing"},
		"no number of kB":        {replace("meminfo", "12000 kB", "-1 kB"), `meminfo:1:12: "-1" is not a number`},
		"no unit":                {replace("meminfo", "12000 kB", "12000"), "meminfo:1: want MemTotal as a number of kB"},
		"absurd memory":          {replace("meminfo", "12000", "99999999999999999999"), "meminfo:1:12: 99999999999999999999 is more than any machine has"},
		"twice":                  {replace("meminfo", "Active", "MemFree"), "meminfo:4: MemFree is given twice"},
		"a zone cut short":       {replace("zoneinfo", "  start_pfn:           4096\n", ""), "zoneinfo:1: node 0, zone Normal lacks start_pfn"},
		"no count":               {replace("zoneinfo", "spanned  4096", "spanned  many"), `zoneinfo:13:18: "many" is not a number`},
		"managed beyond present": {replace("zoneinfo", "managed  3000", "managed  4001"), "zoneinfo:1: node 0, zone Normal has 4001 pages managed of 4000 present"},
		"present beyond spanned": {replace("zoneinfo", "spanned  4096", "spanned  1"), "zoneinfo:1: node 0, zone Normal has 4000 pages present of 1 spanned"},
		"figure twice":           {replace("zoneinfo", "low      72", "min      72"), "zoneinfo:11: min is given twice for node 0, zone Normal"},
		"zone twice":             {replace("zoneinfo", "zone  Movable", "zone  Normal"), "zoneinfo:33: node 0, zone Normal is given twice"},
		"no zone first":          {replace("zoneinfo", "Node 0, zone   Normal\n", ""), `zoneinfo:1: want a line like "Node 0, zone Normal" first`},
		"no zone with memory":    {replace("zoneinfo", "present  4000", "present  0"), "zoneinfo: no zone has memory"},
		"protection":             {replace("zoneinfo", "(0, 7, 8)", "(0, x, 8)"), `zoneinfo:17:25: "x" is not a number`},
		"no blocks":              {replace("buddyinfo", "Normal      2      1    249", "Normal"), "buddyinfo:1: no counts of free blocks"},
		"too many blocks":        {replace("buddyinfo", "249", "70368744177664"), "buddyinfo:1:40: 70368744177664 is more than any machine has"},
		"capped in buddyinfo":    {replace("buddyinfo", "249", ">249"), `buddyinfo:1:40: ">249" is not a number`},
		"another zone":           {replace("buddyinfo", "Normal", "HighMem"), "buddyinfo: node 0, zone HighMem has no memory in zoneinfo"},
		"no zone in buddyinfo":   {func(f map[string]string) { f["buddyinfo"] = "" }, "buddyinfo: node 0, zone Normal is missing"},
		"no line of a zone":      {replace("buddyinfo", "Node 0,", "Node,"), `buddyinfo:1: want a line like "Node 0, zone Normal"`},
		"orders":                 {replace("pagetypeinfo", "249 ", ""), "pagetypeinfo:6: 2 counts in a table of 3 orders"},
		"types":                  {replace("pagetypeinfo", "Unmovable      Movable \n", "Movable   Unmovable \n"), "pagetypeinfo:9: type Movable in the place of Unmovable"},
		"no pageblocks":          {replace("pagetypeinfo", "Node 0, zone   Normal          24         1000 \n", ""), "pagetypeinfo: no number of pageblocks for node 0, zone Normal"},
		"block order":            {replace("pagetypeinfo", "order: 2", "order: 3"), "pagetypeinfo:2: 4 pages in a pageblock where 8 were said before"},
		"other words":            {replace("pagetypeinfo", "Pages per block", "Pages pro block"), "pagetypeinfo:2: neither a table's head nor a zone"},
		"pagetypeinfo cut":       {func(f map[string]string) { f["pagetypeinfo"] = "" }, "pagetypeinfo: node 0, zone Normal is missing"},
		"33 orders":              {replace("buddyinfo", "249", strings.Repeat(" 0", 32)), "buddyinfo:1:101: more than 32 orders"},
		"unequal orders":         {func(f map[string]string) { f["buddyinfo"] += "Node 1, zone Normal 1 2\n" }, "buddyinfo:2: 2 orders where the first zone has 3"},
		"no node":                {replace("buddyinfo", "Node 0", "Node 32768"), "buddyinfo:1:6: 32768 is more than any machine has"},
		"behind a zone":          {replace("zoneinfo", "zone   Normal", "zone   Normal  x"), `zoneinfo:1:24: "x" behind the name of a zone`},
		"protection twice":       {replace("zoneinfo", "cma      1024", "protection: (0)"), "zoneinfo:17: protection is given twice"},
		"many protections":       {replace("zoneinfo", "(0, 7, 8)", strings.Repeat(" 0,", 17)), "zoneinfo:17: protection from more than 16 zones"},
		"many in CPU lists":      {replace("zoneinfo", "count:    5", "count:    70368744177664"), "zoneinfo:30: more pages in per-CPU lists"},
		"no table":               {replace("pagetypeinfo", "Free pages count", "\nNode 0, zone Normal 1\nFree"), "pagetypeinfo:5: a zone before any table's head"},
		"no type":                {replace("pagetypeinfo", "type    Unmovable", "Unmovable"), "pagetypeinfo:5: want a line like"},
		"type twice":             {replace("pagetypeinfo", "type      Movable", "type    Unmovable"), "pagetypeinfo:6: node 0, zone Normal, type Unmovable is given twice"},
		"pageblocks twice":       {replace("pagetypeinfo", "24         1000 \n", "24 1000\nNode 0, zone Normal 24 1000\n"), "pagetypeinfo:10: node 0, zone Normal is given twice"},
		"pageblocks only":        {replace("pagetypeinfo", "Node 0, zone   Normal ", "Node 1, zone   Normal "), "pagetypeinfo:9: node 1, zone Normal has no free blocks above"},
		"a count too many":       {replace("pagetypeinfo", " 1000 ", " 1000 1"), "pagetypeinfo:9: 3 counts under 2 names, where node 0, zone Normal has 2 migrate types"},
		"no block size":          {replace("pagetypeinfo", "Page block order: 2\nPages per block:  4\n", ""), `pagetypeinfo: "Pages per block:" is missing`},
		"two block sizes":        {replace("pagetypeinfo", "block:  4", "block:  4 4"), "pagetypeinfo:2: want one number"},
		"fewer orders":           {replace("buddyinfo", "    249", ""), "pagetypeinfo: node 0, zone Normal has 3 orders, and 2 in buddyinfo"},
		"empty iomem":            {func(f map[string]string) { f["iomem"] = "" }, "iomem: empty"},
		"hidden addresses": {
			func(f map[string]string) {
				f["iomem"] = "00000000-00000000 : System RAM\n  00000000-00000000 : Kernel code\n"
			},
			"iomem:1: every address is zero: the kernel hides them from who lacks CAP_SYS_ADMIN; copy the file as root",
		},
		"no range":        {replace("iomem", "01000000-01f9ffff", "01000000"), `iomem:1: want a line like "00001000-0009fbff : System RAM"`},
		"no address":      {replace("iomem", "01f9ffff", "01f9fffg"), `iomem:1:10: "01f9fffg" is not a hexadecimal address`},
		"backwards":       {replace("iomem", "01f9ffff", "00f9ffff"), "iomem:1:1: a range that ends before it starts"},
		"no RAM":          {replace("iomem", "System RAM", "Reserved"), "iomem: no System RAM"},
		"no page size":    {replace("meminfo", "800 kB", "800000000 kB"), "the files are not of one machine"},
		"an endless line": {replace("meminfo", "Vendor", strings.Repeat("x", 1<<17)), "meminfo:3: longer than 65536 bytes"},
		"an endless file": {replace("meminfo", "Vendor", strings.Repeat(strings.Repeat("x", 65000)+"\n", 1100)), "the file has more than 67108864 bytes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := readSmall(test.edit)
			if err == nil {
				t.Fatalf("read %+v, want an error", s)
			}
			if !strings.Contains(err.Error(), "read the state of a machine: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q", err, test.want)
			}
		})
	}
}

func TestHiddenAddresses(t *testing.T) {
	_, err := readSmall(func(f map[string]string) { f["iomem"] = "00000000-00000000 : Reserved\n" })
	if !errors.Is(err, machine.ErrHiddenAddresses) {
		t.Errorf("error %v, want ErrHiddenAddresses", err)
	}
}

func TestRAMBelowDevices(t *testing.T) {
	s, err := readSmall(func(f map[string]string) {
		f["iomem"] += "100000000-1ffffffff : Persistent Memory\n  100000000-13fffffff : dax0.0\n    100000000-13fffffff : System RAM (kmem)\n" +
			"800000000-800ffffff : System RAM (boot alias)\n"
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := ranges(0x1000000, 0x1fa0000, 0x100000000, 0x140000000); !slices.Equal(s.RAM, want) {
		t.Errorf("RAM %s, want %s", s.RAM, want)
	}
}

// unreadable hides a file from those without privilege, as /proc does.
type unreadable struct {
	fs.FS
	name string
}

func (u unreadable) Open(name string) (fs.File, error) {
	if name == u.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return u.FS.Open(name)
}

func TestUnreadablePagetypeinfo(t *testing.T) {
	s, err := machine.ReadProc(unreadable{os.DirFS(recorded), "pagetypeinfo"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Zones[2].Types != nil || !strings.Contains(s.Warnings[0], "open pagetypeinfo: permission denied") {
		t.Errorf("types %v, warnings %q", s.Zones[2].Types, s.Warnings)
	}
}

// TestThisMachine reads the machine that the test runs on.
func TestThisMachine(t *testing.T) {
	var proc fs.FS = os.DirFS("/proc")
	for _, name := range []string{"meminfo", "zoneinfo", "buddyinfo"} {
		if _, err := fs.ReadFile(proc, name); err != nil {
			t.Skip(err)
		}
	}
	s, err := machine.ReadProc(proc)
	if errors.Is(err, machine.ErrHiddenAddresses) {
		s, err = machine.ReadProc(unreadable{proc, "iomem"})
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range s.Warnings {
		t.Log(w)
	}
	if int(s.PageSize) != os.Getpagesize() {
		t.Errorf("pages of %s, want %d bytes", s.PageSize, os.Getpagesize())
	}
	for _, z := range s.Zones {
		if len(z.FreeBlocks) == 0 || z.Pages.Free > z.Managed || z.Min > z.Low || z.Low > z.High {
			t.Errorf("zone %+v", z)
		}
	}
}

// TestZonesOfRecordedMachine: the rules and the machine say the same.
func TestZonesOfRecordedMachine(t *testing.T) {
	s, err := machine.ReadProc(os.DirFS(recorded))
	if err != nil {
		t.Fatal(err)
	}
	zones, err := machine.Zones(machine.Platform{Arch: machine.AMD64, Kernel: kernel(6, 18)}, s.RAM)
	if err != nil {
		t.Fatal(err)
	}
	if len(zones) != len(s.Zones) {
		t.Fatalf("zones %v, and the machine has %d", zones, len(s.Zones))
	}
	for i, z := range zones {
		said := s.Zones[i]
		if z.Name != said.Name || uint64(z.Ranges.Size()/uint64(s.PageSize)) != said.Present {
			t.Errorf("zone %s of %d pages, the machine says %s of %d", z.Name, z.Ranges.Size()/uint64(s.PageSize), said.Name, said.Present)
		}
		if start := z.Ranges.Hull().Lo / uint64(s.PageSize); start != uint64(said.Start) {
			t.Errorf("zone %s starts at page %d, the machine says %d", z.Name, start, said.Start)
		}
	}
}

func ExampleReadProc() {
	s, err := machine.ReadProc(os.DirFS("testdata/vm-24GiB-linux-6.18"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, z := range s.Zones {
		p := z.Pages
		fmt.Printf("%-6s from page %-7d %6d managed: %6d free, %6d page cache, %4d anonymous, %5d kernel\n",
			z.Name, z.Start, z.Managed, p.Free+p.PerCPU, p.PageCache, p.Anonymous, p.Kernel)
	}
	// Output:
	// DMA    from page 1         3840 managed:   3840 free,      0 page cache,    0 anonymous,     0 kernel
	// DMA32  from page 4096    772917 managed: 772917 free,      0 page cache,    0 anonymous,     0 kernel
	// Normal from page 1048576 393216 managed:  59968 free, 286734 page cache, 2580 anonymous, 39746 kernel
}
