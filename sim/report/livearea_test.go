package report_test

import (
	"bytes"
	"strings"
	"testing"

	"dmasim/allocator/dmaheap"
	"dmasim/devices/machine/probe"
	"dmasim/mem"
	"dmasim/sim/report"
)

// liveAreas is a machine with an area that two processes hold a part of.
func liveAreas() *probe.Report {
	camera, display := dmaheap.Holder{PID: 812, Command: "camera"}, dmaheap.Holder{PID: 455, Command: "display"}
	const base = 0x3c000000
	at := func(lo, hi mem.Size) mem.Range { return mem.Range{Lo: base + uint64(lo), Hi: base + uint64(hi)} }
	return &probe.Report{
		CMA: []probe.CMAArea{{Name: "unknown"}, {
			Name: "reserved", Base: base, Size: 64 * mem.MiB, Used: 23 * mem.MiB,
			Taken: mem.NewRangeSet(at(0, 9*mem.MiB), at(12*mem.MiB, 20*mem.MiB), at(40*mem.MiB, 46*mem.MiB)),
		}},
		DMABufs: probe.Accounting{Buffers: []dmaheap.BufferInfo{
			{Size: 8 << 20, Exporter: "reserved", Holders: []dmaheap.Holder{camera}},
			{Size: 6 << 20, Exporter: "reserved", Holders: []dmaheap.Holder{camera, display}},
			{Size: 6 << 20, Exporter: "reserved", Holders: []dmaheap.Holder{display}},
			{Size: 1 << 20, Exporter: "system", Holders: []dmaheap.Holder{display}},
		}},
	}
}

func TestCMAAreas(t *testing.T) {
	if _, ok := report.CMAAreas(&probe.Report{CMA: []probe.CMAArea{{Name: "unknown"}}}); ok {
		t.Error("an area of which nothing is known was drawn")
	}
	figure, ok := report.CMAAreas(liveAreas())
	if !ok {
		t.Fatal("there is nothing to draw")
	}
	var vector bytes.Buffer
	if err := figure.WriteSVG(&vector); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"reserved, 64MiB, by address", "who holds 23MiB of it, wherever it lies", "longest free run, 20MiB",
		"camera (812)", "camera (812), display (455)", "display (455)", "no dma-buf",
	} {
		if !strings.Contains(vector.String(), want) {
			t.Errorf("no text %q", want)
		}
	}
}
