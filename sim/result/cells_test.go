package result

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dmasim/sim/metrics"
)

func TestCellsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.Custom(func(t *rapid.T) metrics.Cell {
			if rapid.Bool().Draw(t, "free") {
				return nobody
			}
			return metrics.Cell{Client: rapid.Int16Range(0, 3).Draw(t, "client"),
				Tone: rapid.Uint8Range(0, 1).Draw(t, "tone"), Fill: rapid.Uint8().Draw(t, "fill")}
		})
		cells := rapid.SliceOf(cell).Draw(t, "cells")
		text := formatCells(cells)
		got, err := appendCells(nil, text, len(cells), 4)
		if err != nil || !slices.Equal(got, cells) {
			t.Fatalf("%q reads as %v (%v), want %v", text, got, err, cells)
		}
	})
}

func FuzzCells(f *testing.F) {
	f.Add("12*. 3*0a255 0b17", 16)
	f.Add("2*1a0", 2)
	f.Add("-1*. 0c0", 1)
	f.Fuzz(func(t *testing.T, text string, rows int) {
		if rows < 0 || rows > 1<<12 {
			return
		}
		cells, err := appendCells(nil, text, rows, 2)
		if err != nil {
			return
		}
		if len(cells) != rows {
			t.Fatalf("%q: %d cells, want %d", text, len(cells), rows)
		}
		again, err := appendCells(nil, formatCells(cells), rows, 2)
		if err != nil || !slices.Equal(again, cells) {
			t.Fatalf("%q: %v prints and reads as %v (%v)", text, cells, again, err)
		}
	})
}

func TestSecondsReadBack(t *testing.T) {
	for text, d := range map[string]time.Duration{
		"0": 0, "1": time.Second, "0.000000001": 1, "-2.5": -2500 * time.Millisecond,
		"9223372036.854775807": 1<<63 - 1, "-9223372036.854775808": -1 << 63,
	} {
		if got := seconds(d); got != text {
			t.Errorf("seconds(%d) = %s, want %s", int64(d), got, text)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64().Draw(t, "ns"))
		if got, err := parseSeconds(seconds(d)); err != nil || got != d {
			t.Fatalf("%d prints %s, reads %d (%v)", d, seconds(d), got, err)
		}
	})
	for _, text := range []string{"", "1s", "1m", "1e3", "0x1", "01", "1.50", "+1"} {
		if d, err := parseSeconds(text); err == nil {
			t.Errorf("parseSeconds(%q) = %v, want an error", text, d)
		}
	}
}

// Where the new result cannot be moved into place, the old one is put back.
func TestSwapRestores(t *testing.T) {
	parent := t.TempDir()
	target, old := parent+"/out", parent+"/old"
	r := &Result{Manifest: NewManifest("old", 1)}
	if err := Write(t.Context(), target, r); err != nil {
		t.Fatal(err)
	}
	if err := swap(target, parent+"/absent", old); err == nil {
		t.Fatal("no error for a new result that is not there")
	}
	if got, err := Read(target); err != nil || got.Manifest.Scenario != "old" {
		t.Errorf("read %+v, %v", got, err)
	}
}
