package probe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"dmasim/allocator/dmaheap"
	"dmasim/mem"
)

func TestHolders(t *testing.T) {
	camera, display := dmaheap.Holder{PID: 10, Command: "camera"}, dmaheap.Holder{PID: 20, Command: "display"}
	buffer := func(size mem.Size, exporter string, holders ...dmaheap.Holder) dmaheap.BufferInfo {
		return dmaheap.BufferInfo{Size: uint64(size), Exporter: exporter, Holders: holders}
	}
	r := &Report{DMABufs: Accounting{Buffers: []dmaheap.BufferInfo{
		buffer(mem.MiB, "reserved", camera), buffer(2*mem.MiB, "reserved", camera, display),
		buffer(mem.MiB/2, "reserved"), buffer(mem.MiB, "reserved", camera), buffer(8*mem.MiB, "system", camera),
		buffer(mem.MiB, "reserved", camera, display),
	}}}
	for _, test := range []struct {
		used mem.Size
		want []AreaHolder
	}{
		{6 * mem.MiB, []AreaHolder{
			{"camera (10), display (20)", 2, 3 * mem.MiB}, {"camera (10)", 2, 2 * mem.MiB}, {"nobody who can be seen", 1, mem.MiB / 2}, {"", 0, mem.MiB / 2},
		}},
		{0, []AreaHolder{ // read before the buffers were made
			{"camera (10), display (20)", 2, 3 * mem.MiB}, {"camera (10)", 2, 2 * mem.MiB}, {"nobody who can be seen", 1, mem.MiB / 2},
		}},
	} {
		if diff := cmp.Diff(test.want, r.Holders(&CMAArea{Name: "reserved", Used: test.used})); diff != "" {
			t.Errorf("%v used:\n%s", test.used, diff)
		}
	}
}
