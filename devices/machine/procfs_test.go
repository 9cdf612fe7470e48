//go:build !windows

package machine_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/procfs"

	"dmasim/devices/machine"
	"dmasim/mem"
)

// TestAgainstProcfs compares with what an independent reader finds in the same
// files, where it looks for it.
func TestAgainstProcfs(t *testing.T) {
	s, err := machine.ReadProc(os.DirFS(recorded))
	if err != nil {
		t.Fatal(err)
	}
	proc, err := procfs.NewFS(recorded)
	if err != nil {
		t.Fatal(err)
	}

	m, err := proc.Meminfo()
	if err != nil {
		t.Fatal(err)
	}
	bytes := func(kB *uint64) mem.Size {
		if kB == nil {
			return 0
		}
		return mem.Size(*kB) * mem.KiB
	}
	memory := machine.Meminfo{
		MemTotal: bytes(m.MemTotal), MemFree: bytes(m.MemFree), MemAvailable: bytes(m.MemAvailable),
		Buffers: bytes(m.Buffers), Cached: bytes(m.Cached), SwapCached: bytes(m.SwapCached),
		Active: bytes(m.Active), Inactive: bytes(m.Inactive),
		ActiveAnon: bytes(m.ActiveAnon), InactiveAnon: bytes(m.InactiveAnon),
		ActiveFile: bytes(m.ActiveFile), InactiveFile: bytes(m.InactiveFile),
		Unevictable: bytes(m.Unevictable), AnonPages: bytes(m.AnonPages), Shmem: bytes(m.Shmem),
		Slab: bytes(m.Slab), SReclaimable: bytes(m.SReclaimable), SUnreclaim: bytes(m.SUnreclaim),
		KernelStack: bytes(m.KernelStack), PageTables: bytes(m.PageTables),
		SwapTotal: bytes(m.SwapTotal), SwapFree: bytes(m.SwapFree),
		CmaTotal: bytes(m.CmaTotal), CmaFree: bytes(m.CmaFree),
		Hugetlb: s.Memory.Hugetlb, // which it does not read
	}
	if diff := cmp.Diff(memory, s.Memory); diff != "" {
		t.Errorf("meminfo (-procfs +ours):\n%s", diff)
	}

	type zone struct {
		Name                                            string
		Free, Min, Low, High, Spanned, Present, Managed uint64
		Protection, FreeBlocks                          []uint64
	}
	var want, got []zone
	infos, err := proc.Zoneinfo()
	if err != nil {
		t.Fatal(err)
	}
	free := map[string][]uint64{}
	buddy, err := proc.BuddyInfo()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range buddy {
		for _, n := range b.Sizes {
			free[b.Zone] = append(free[b.Zone], uint64(n))
		}
	}
	for _, z := range infos {
		if *z.Present == 0 {
			continue
		}
		var protection []uint64
		for _, p := range z.Protection {
			protection = append(protection, uint64(*p))
		}
		want = append(want, zone{
			z.Zone, uint64(*z.NrFreePages), uint64(*z.Min), uint64(*z.Low), uint64(*z.High),
			uint64(*z.Spanned), uint64(*z.Present), uint64(*z.Managed), protection, free[z.Zone],
		})
	}
	for _, z := range s.Zones {
		got = append(got, zone{
			z.Name, z.Pages.Free, z.Min, z.Low, z.High, z.Spanned, z.Present, z.Managed, z.Protection, z.FreeBlocks,
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("zones (-procfs +ours):\n%s", diff)
	}
}
