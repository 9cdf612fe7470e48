package report_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/recorder"

	"dmasim/devices/machine"
	"dmasim/devices/machine/devicetree"
	"dmasim/sim/report"
)

func treeOf(t *testing.T, name string) *machine.Description {
	t.Helper()
	data, err := os.ReadFile("../../devices/machine/devicetree/testdata/" + name + ".dtb")
	if err != nil {
		t.Fatal(err)
	}
	d, err := devicetree.Read(data, devicetree.Options{RAM: []devicetree.Bank{{Size: 1 << 30}, {Base: 0x200000000, HasBase: true, Size: 1 << 29}}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPhysicalMap looks for what the map must name, and for anything outside of it.
func TestPhysicalMap(t *testing.T) {
	for name, words := range map[string][]string{
		"pools":    {"default-pool 64MiB", "codec 8MiB", "zones", "no dma-ranges (2)", "0x40000000", "CMA area", "bounce pool"},
		"buses":    {"/soc (4)", "/soc/interconnect@11000 (1)", "by way of an IOMMU (1)", "RAM out of reach", "DMA"},
		"readings": {"DMA32", "/soc/bus (1)"},
	} {
		f, err := report.PhysicalMap(treeOf(t, name))
		if err != nil {
			t.Fatal(err)
		}
		var c recorder.Canvas
		width, height := f.DrawOn(&c)
		texts := map[string]bool{}
		for _, a := range c.Actions {
			switch a := a.(type) {
			case *recorder.FillString:
				texts[a.String] = true
				if a.Point.X < 0 || a.Point.X > width || a.Point.Y < 0 || a.Point.Y > height {
					t.Errorf("%s: %q at %v, outside of the figure", name, a.String, a.Point)
				}
				if end := a.Point.X + vg.Length(len(a.String))*2; end > width {
					t.Errorf("%s: %q runs out of the figure", name, a.String)
				}
			}
		}
		for _, word := range words {
			if !texts[word] {
				t.Errorf("%s: no %q in %v", name, word, texts)
			}
		}
		var first, second bytes.Buffer
		if err := f.WriteSVG(&first); err != nil {
			t.Fatal(err)
		}
		if err := f.WriteSVG(&second); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Errorf("%s: error %v, or drawn twice, not the same", name, err)
		}
	}
}

func TestPhysicalMapOfNothing(t *testing.T) {
	state, err := machine.ReadFile("meminfo", strings.NewReader("MemTotal: 1 kB\nMemFree: 1 kB\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := report.PhysicalMap(state.Describe()); err == nil {
		t.Error("a map of a machine whose memory is not known")
	}
}
