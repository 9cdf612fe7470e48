package pack

import (
	"cmp"
	"fmt"

	"github.com/google/btree"
)

// Defect says what is wrong with a packing.
type Defect string

// The defects.
const (
	WrongCount Defect = "there is not one offset for every buffer"
	Unaligned  Defect = "the offset is not a multiple of the alignment"
	TooHigh    Defect = "the end does not fit in 64 bits"
	Overlap    Defect = "it overlaps another buffer that lives at the same time"
)

// Violation is the error of [Check].
type Violation struct {
	Defect Defect
	Buffer int // the index of the buffer, or the number of offsets with WrongCount
	Other  int // with Overlap: the one it overlaps, which starts no later
}

// Error implements error.
func (v *Violation) Error() string {
	switch v.Defect {
	case WrongCount:
		return fmt.Sprintf("%s: %d offsets", v.Defect, v.Buffer)
	case Overlap:
		return fmt.Sprintf("buffer %d: %s: %d", v.Buffer, v.Defect, v.Other)
	}
	return fmt.Sprintf("buffer %d: %s", v.Buffer, v.Defect)
}

// Check looks for defects in a packing. It returns nil or the first
// [*Violation]: in the order of buffers for those that concern one, and if there
// are none of these, in the order of time for overlaps. A buffer that makes no
// sense (see [Load]) is an error of another type.
//
// It shares nothing with [Pack] but the order of starts and ends, and takes
// O(n log n).
func Check(buffers []Buffer, offsets []uint64) error {
	if err := validate(buffers); err != nil {
		return err
	}
	if len(offsets) != len(buffers) {
		return &Violation{Defect: WrongCount, Buffer: len(offsets)}
	}
	for i, b := range buffers {
		if b.Align > 1 && offsets[i]%b.Align != 0 {
			return &Violation{Defect: Unaligned, Buffer: i}
		}
		if offsets[i]+b.Size < offsets[i] {
			return &Violation{Defect: TooHigh, Buffer: i}
		}
	}
	const degree = 16
	live := btree.NewG(degree, func(i, j int32) bool {
		return cmp.Less(offsets[i], offsets[j])
	})
	for _, e := range sweep(buffers) {
		i := e.buffer
		if !e.start {
			live.Delete(i)
			continue
		}
		overlapped := int32(-1)
		live.DescendLessOrEqual(i, func(j int32) bool {
			if offsets[i] < offsets[j]+buffers[j].Size {
				overlapped = j
			}
			return false
		})
		live.AscendGreaterOrEqual(i, func(j int32) bool {
			if overlapped < 0 && offsets[j] < offsets[i]+buffers[i].Size {
				overlapped = j
			}
			return false
		})
		if overlapped >= 0 {
			return &Violation{Defect: Overlap, Buffer: int(i), Other: int(overlapped)}
		}
		live.ReplaceOrInsert(i)
	}
	return nil
}
