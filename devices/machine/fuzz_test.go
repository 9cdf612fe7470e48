package machine

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"dmasim/mem"
)

const recorded = "testdata/vm-24GiB-linux-6.18/"

// fuzz holds a reader to naming its file in each error, and what it reads to
// check.
func fuzz[T any](f *testing.F, name string, parse func(*file) (T, error), check func(*testing.T, T), seeds ...string) {
	data, err := os.ReadFile(recorded + name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parse(newFile(name, bytes.NewReader(data)))
		if err != nil {
			if !strings.HasPrefix(err.Error(), name+":") {
				t.Fatalf("error %q does not name %s", err, name)
			}
			return
		}
		check(t, got)
	})
}

func FuzzMeminfo(f *testing.F) {
	fuzz(f, "meminfo", parseMeminfo, func(*testing.T, Meminfo) {}, "MemTotal: 1 kB\nMemFree: 2 kB\n")
}

func FuzzZoneinfo(f *testing.F) {
	fuzz(f, "zoneinfo", parseZoneinfo, func(t *testing.T, info zoneinfo) {
		for _, z := range info.zones {
			if z.Present == 0 || z.Managed > z.Present || z.Present > z.Spanned || z.Spanned > maxPages {
				t.Fatalf("zone %+v", z)
			}
		}
	}, "Node 0, zone DMA\n  pages free 1\n min 1\n low 1\n high 1\n spanned 1\n present 1\n managed 1\n  start_pfn: 1\n")
}

func FuzzBuddyinfo(f *testing.F) {
	fuzz(f, "buddyinfo", parseBuddyinfo, func(t *testing.T, zones []zoneBlocks) {
		for _, z := range zones {
			if len(z.blocks) != len(zones[0].blocks) || freePages(z.blocks) > maxPages*maxOrders {
				t.Fatalf("zone %+v", z)
			}
		}
	}, "Node 0, zone DMA 1 2 3\nNode 1, zone DMA 0 0 0")
}

func FuzzPagetypeinfo(f *testing.F) {
	fuzz(f, "pagetypeinfo", parsePagetypeinfo, func(t *testing.T, p pageTypes) {
		for _, z := range p.zones {
			for _, m := range z.types {
				if p.pagesPerBlock == 0 || len(m.FreeBlocks) != len(z.types[0].FreeBlocks) {
					t.Fatalf("%d pages in a block, zone %+v", p.pagesPerBlock, z)
				}
			}
		}
	}, "Pages per block: 4\nFree pages count per migrate type at order 0\nNode 0, zone DMA, type CMA >100000\n"+
		"Number of blocks type CMA\nNode 0, zone DMA 7\nNumber of mixed blocks CMA\nNode 0, zone DMA 7\n")
}

func FuzzIomem(f *testing.F) {
	fuzz(f, "iomem", parseIomem, func(t *testing.T, ram mem.RangeSet) {
		for i, r := range ram {
			if r.Empty() || i > 0 && r.Lo <= ram[i-1].Hi {
				t.Fatalf("RAM %v", ram)
			}
		}
	}, "00000000-00000000 : System RAM", "0-ffffffffffffffff : System RAM (kmem)\n")
}

// FuzzReadProc holds the whole to what a state promises.
func FuzzReadProc(f *testing.F) {
	var seed [5]string
	names := [5]string{"meminfo", "zoneinfo", "buddyinfo", "pagetypeinfo", "iomem"}
	for i, name := range names {
		data, err := os.ReadFile(recorded + name)
		if err != nil {
			f.Fatal(err)
		}
		seed[i] = string(data)
	}
	f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	f.Add("MemTotal: 16 kB\nMemFree: 4 kB\n",
		"Node 0, zone DMA\n  pages free 1\n min 1\n low 1\n high 1\n spanned 4\n present 4\n managed 4\n  start_pfn: 1\n",
		"Node 0, zone DMA 150000 0\n",
		"Pages per block: 2\nFree pages count per migrate type at order 0 1\nNode 0, zone DMA, type Movable >100000 0\n"+
			"Node 0, zone DMA, type CMA 1 0\nNumber of blocks type Movable CMA\nNode 0, zone DMA 2 0\n",
		"1000-4fff : System RAM\n")
	f.Fuzz(func(t *testing.T, meminfo, zoneinfo, buddyinfo, pagetypeinfo, iomem string) {
		dir := fstest.MapFS{}
		for i, text := range [5]string{meminfo, zoneinfo, buddyinfo, pagetypeinfo, iomem} {
			dir[names[i]] = &fstest.MapFile{Data: []byte(text)}
		}
		s, err := ReadProc(dir)
		if err != nil {
			return
		}
		if s.PageSize < minPage || s.PageSize > maxPage || s.PageSize&(s.PageSize-1) != 0 || len(s.Zones) == 0 {
			t.Fatalf("pages of %s, %d zones", s.PageSize, len(s.Zones))
		}
		for _, z := range s.Zones {
			if len(z.FreeBlocks) == 0 || z.Pages.Kernel > z.Managed || len(z.Types) == 0 {
				t.Fatalf("zone %+v", z)
			}
			for _, m := range z.Types {
				if len(m.FreeBlocks) != len(z.FreeBlocks) {
					t.Fatalf("zone %+v", z)
				}
			}
		}
		for _, z := range s.Describe().Zones {
			if len(z.Ranges) > 0 && z.Ranges.Hull().Empty() {
				t.Fatalf("zone %+v", z)
			}
		}
		again, err := ReadProc(dir)
		if diff := cmp.Diff(s, again); err != nil || diff != "" {
			t.Fatalf("read again: %v\n%s", err, diff)
		}
	})
}

// FuzzReadFile holds the reader of one file alone to what it promises.
func FuzzReadFile(f *testing.F) {
	for _, name := range Files {
		data, err := os.ReadFile(recorded + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, data)
	}
	f.Add("iomem", []byte("00000000-00000000 : System RAM\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		s, err := ReadFile(name, bytes.NewReader(data))
		if (err == nil) != (s != nil) || err == nil && !IsFile(name) {
			t.Fatalf("state %v, error %v", s, err)
		}
		if err != nil {
			return
		}
		if d := s.Describe(); len(d.Zones) != len(s.Zones) {
			t.Fatalf("%d zones of %d", len(d.Zones), len(s.Zones))
		}
	})
}
