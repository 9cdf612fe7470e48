package physmem

import (
	"testing"

	"dmasim/mem"
)

func TestMinFree(t *testing.T) {
	for _, test := range []struct{ lowmem, want uint64 }{
		{512 << 10, 2896}, {1 << 20, 4096}, {4 << 20, 8192}, {8 << 20, 11585}, {16, 128}, {1 << 40, 262144},
	} {
		if got := minFreeKiB(test.lowmem); got != test.want {
			t.Errorf("%d KiB: %d, want %d", test.lowmem, got, test.want)
		}
	}
}

func zoneOfPages(name string, lo, pages uint64) Zone {
	return Zone{Name: name, Ranges: mem.RangeSet{{Lo: lo, Hi: lo + pages<<12}}}
}

func TestWatermarks(t *testing.T) {
	type marks struct{ min, low, high, reserve uint64 }
	for _, test := range []struct {
		name  string
		zones []Zone
		want  []marks // reserve is for requests that may use the last zone
	}{
		{"4 GiB in one zone", []Zone{zoneOfPages("Normal", 0, 1<<20)}, []marks{{2048, 3096, 4144, 0}}},
		{
			"DMA32 below 5 GiB of Normal",
			[]Zone{zoneOfPages("DMA32", 0, 1<<19), zoneOfPages("Normal", 4<<30, 5<<18)},
			[]marks{{774, 1298, 1822, 5120}, {1935, 3245, 4555, 0}},
		},
		// A virtual machine with 192 MiB and Linux 6.12.117 printed these when its
		// memory ran out. They are computed early at boot: DMA32 had 34223 managed
		// pages later, and from 32071 to 32255 are the only numbers with which all
		// of the figures come out.
		{
			"192 MiB, from below", []Zone{zoneOfPages("DMA", 4096, 3840), zoneOfPages("DMA32", 16<<20, 32071)},
			[]marks{{40, 50, 60, 125}, {338, 422, 506, 0}},
		},
		{
			"192 MiB, from above", []Zone{zoneOfPages("DMA", 4096, 3840), zoneOfPages("DMA32", 16<<20, 32255)},
			[]marks{{40, 50, 60, 125}, {338, 422, 506, 0}},
		},
	} {
		m, err := New(Config{Page: 4096, Zones: test.zones})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range test.want {
			z := m.Zone(i)
			if got := (marks{z.Min, z.Low, z.High, z.Reserve[len(test.zones)-1]}); got != want {
				t.Errorf("%s: zone %s: %+v, want %+v", test.name, z.Name, got, want)
			}
		}
	}
}

// TestWatermarkCheck is __zone_watermark_ok by its terms.
func TestWatermarkCheck(t *testing.T) {
	cfg := Config{Page: 4096, MinFree: 100 << 12, Zones: []Zone{zoneOfPages("Normal", 0, 4096)}}
	cfg.CMA = []Area{{Name: "cma", Range: mem.Range{Lo: 4 << 20, Hi: 8 << 20}}}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	z := &m.zones[0]
	for {
		if free, _ := z.buddy.FreePages(); free <= 100+1024+3 {
			break
		}
		if _, res, err := m.Alloc(Request{Kind: DMABuf, Effort: EffortNone}); err != nil || res.Cause != 0 {
			t.Fatal(res, err)
		}
	}
	for _, test := range []struct {
		order   uint
		movable bool
		want    bool
	}{
		{0, false, true}, {1, false, true}, {2, false, false}, {2, true, true}, {10, true, true},
	} {
		r := request{order: test.order, movable: test.movable}
		if got := z.passes(&r, minimum); got != test.want {
			t.Errorf("order %d, movable %t: %t", test.order, test.movable, got)
		}
	}
}
