package pack_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"dmasim/allocator/pack"
)

func TestCheck(t *testing.T) {
	buffers := []pack.Buffer{
		{Start: 0, End: 4, Size: 8, Align: 8},
		{Start: 2, End: 6, Size: 4},
		{Start: 4, End: 9, Size: 8, Align: 4},
	}
	tests := map[string]struct {
		offsets []uint64
		want    *pack.Violation
	}{
		"reuses what ended":   {[]uint64{0, 8, 0}, nil},
		"touches":             {[]uint64{8, 4, 8}, nil},
		"one too few":         {[]uint64{0, 8}, &pack.Violation{Defect: pack.WrongCount, Buffer: 2}},
		"unaligned":           {[]uint64{8, 0, 6}, &pack.Violation{Defect: pack.Unaligned, Buffer: 2}},
		"beyond 64 bits":      {[]uint64{0, 1<<64 - 3, 0}, &pack.Violation{Defect: pack.TooHigh, Buffer: 1}},
		"overlaps from below": {[]uint64{8, 6, 0}, &pack.Violation{Defect: pack.Overlap, Buffer: 1, Other: 0}},
		"overlaps from above": {[]uint64{0, 7, 12}, &pack.Violation{Defect: pack.Overlap, Buffer: 1, Other: 0}},
		"same place":          {[]uint64{16, 4, 4}, &pack.Violation{Defect: pack.Overlap, Buffer: 2, Other: 1}},
		"the first in time":   {[]uint64{0, 0, 0}, &pack.Violation{Defect: pack.Overlap, Buffer: 1, Other: 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := pack.Check(buffers, test.offsets)
			var got *pack.Violation
			if err != nil && !errors.As(err, &got) {
				t.Fatal(err)
			}
			if (got == nil) != (test.want == nil) || got != nil && *got != *test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestCheckAgainstAllPairs compares Check with a look at all pairs of buffers.
func TestCheckAgainstAllPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buffers := random(t)
		offsets := make([]uint64, len(buffers))
		sound := true
		for i := range buffers {
			buffers[i].Align = 1
			offsets[i] = rapid.Uint64Range(0, 20000).Draw(t, "offset")
		}
		overlap := func(i, j int) bool {
			a, b := buffers[i], buffers[j]
			return a.Start < b.End && b.Start < a.End &&
				offsets[i] < offsets[j]+b.Size && offsets[j] < offsets[i]+a.Size
		}
		for i := range buffers {
			for j := range i {
				sound = sound && !overlap(i, j)
			}
		}
		err := pack.Check(buffers, offsets)
		if (err == nil) != sound {
			t.Fatalf("sound: %v, but got %v", sound, err)
		}
		if v := (*pack.Violation)(nil); errors.As(err, &v) {
			if v.Defect != pack.Overlap || !overlap(v.Buffer, v.Other) || buffers[v.Other].Start > buffers[v.Buffer].Start {
				t.Fatalf("not the violation: %v", v)
			}
		}
	})
}
