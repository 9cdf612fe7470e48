//go:build linux

package kernel

import (
	"bufio"
	"os"
	"regexp"
	"testing"

	"dmasim/internal/shareddata"
	"dmasim/sim/validate"
)

// TestReadKill reads the log of a kernel whose memory dma-bufs used up.
func TestReadKill(t *testing.T) {
	f, err := os.Open(shareddata.Path(t, "dmesg", "system-heap-oom-192MiB-linux-6.12.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stamp := regexp.MustCompile(`^\[ *[\d.]+\] `)
	var lines []string
	for text := bufio.NewScanner(f); text.Scan(); {
		lines = append(lines, stamp.ReplaceAllString(text.Text(), ""))
	}
	var run validate.Exhaustion
	if err := readKill(&run, lines, 128, []uint64{1000, 400, 7000, 800, 0}); err != nil {
		t.Fatal(err)
	}
	if run.Victim != "hog" || len(run.Zones) != 2 || run.Zones[0] != (validate.ZoneAtKill{Name: "DMA", Free: 161}) || run.Zones[1].Free != 305 {
		t.Errorf("%+v", run)
	}
	want := []uint64{3024, 56, 180, 64, 1684} // KiB: 1006 pages, 114, 164+1631; 864 KiB; 421
	for i, n := range run.Needs {
		if n.Bytes != want[i]<<10 {
			t.Errorf("%s: %d bytes, want %d KiB", n.What, n.Bytes, want[i])
		}
	}
}
