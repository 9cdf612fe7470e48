package devices

import (
	"fmt"
	"math"
	"math/bits"

	"dmasim/allocator"
	"dmasim/mem"
)

// piecesShape is about buffers of several pieces.
var piecesShape = shape{
	key: "segment_min",
	check: func(d *Device) *FieldError {
		switch {
		case d.SegmentMax > 0 && d.SegmentMin > d.SegmentMax:
			return fail("segment_min", -1, "the shortest segment is longer than the longest, %s", d.SegmentMax)
		case d.SegmentMax > 0 && d.SegmentUnit > d.SegmentMax:
			return fail("segment_unit", -1, "the unit is longer than the longest segment, %s", d.SegmentMax)
		case d.SegmentUnit > 1 && d.Gap > 1:
			return fail("gap", -1, "a device with segment_unit cuts by that: want one of them")
		case d.SegmentMin > 1 && (d.SegmentUnit > 1 || d.Gap > 1):
			return fail("segment_min", -1, "a device that cuts by segment_unit or gap has no shortest segment: want one of them")
		case d.SegmentMax > 0 && d.Gap > d.SegmentMax:
			return fail("gap", -1, "no segment of at most %s reaches from one multiple to the next", d.SegmentMax)
		}
		return nil
	},
	tell: func(d *Device, t *teller) {
		if d.SegmentMin > 0 {
			t.add("segment_min", "", "at least %s in one segment", d.SegmentMin)
		}
		if d.SegmentMax > 0 {
			t.add("segment_max", "", "at most %s in one segment", d.SegmentMax)
		}
		if d.SegmentUnit > 1 {
			t.add("segment_unit", "", "every segment but the last is a multiple of %s", d.SegmentUnit)
		}
		if d.SegmentsMax > 0 {
			t.add("segments_max", "", "at most %s", segmentsText(d.SegmentsMax))
		}
		if d.Gap > 1 {
			t.add("gap", t.bus, "segments begin and end at multiples of %s, but for the ends of a buffer", d.Gap)
		}
		if d.Contiguous {
			t.add("contiguous", "", "a buffer is one piece")
		}
		if d.MapMax > 0 {
			t.add("map_max", "", "at most %s are mapped as one segment", d.MapMax)
		}
	},
	name: func(c *compiled) string {
		limits := ""
		for _, l := range []struct {
			what  string
			value mem.Size
		}{{"at least", c.SegmentMin}, {"at most", c.SegmentMax}, {"multiples of", c.SegmentUnit}, {"mapped at most", c.MapMax}} {
			if l.value > 0 {
				limits += fmt.Sprintf(", %s %s", l.what, l.value)
			}
		}
		switch {
		case c.oneSegment():
			limits += ", one"
		case c.SegmentsMax > 0:
			limits += fmt.Sprintf(", at most %d", c.SegmentsMax)
		}
		if limits == "" {
			return "segments (any)"
		}
		return "segments (" + limits[2:] + ")"
	},
}

func segmentsText(n uint64) string {
	if n == 1 {
		return "1 segment"
	}
	return fmt.Sprintf("%d segments", n)
}

// oneSegment reports whether the device takes one piece of memory only.
func (c *compiled) oneSegment() bool {
	return !c.translates() && (c.Contiguous || c.SegmentsMax == 1)
}

// JudgePieces says why the plan's devices cannot use a buffer of payload bytes
// that lies in several pieces, CPU-physical ranges in the order of its bytes:
// allocator.None if they can, Unreachable, or Segments. Nothing is allocated.
//
// Every piece that holds payload has to satisfy a device's reach, alignment and
// boundaries by itself, as if it were a buffer; padding, and what granularity
// rounds, follow the last byte of the payload only. Pieces behind that, such as
// guards, are not looked at. Pieces that hold less than the payload are
// Unreachable.
//
// Segments means that there are more pieces than the device takes, which are
// SegmentsMax, or one where the buffer is to be contiguous; or that one of them
// is too short, or begins or ends where none may. Pieces are counted as
// they are: that one lies behind the other helps nobody, since heaps don't merge
// them (system_heap_attach, Linux 6.12). A piece longer than SegmentMax, or than
// MapMax, is cut by the driver, at the last place where it may, and counts as
// often. Where an IOMMU always translates, it makes one piece of all
// (iommu_dma_map_sg), if they meet at multiples of its page; only SegmentMax cuts
// that.
func (p *Plan) JudgePieces(pieces []mem.Range, payload uint64) allocator.Cause {
	for i := range p.devices {
		if cause := p.devices[i].judgePieces(pieces, max(payload, 1)); cause != allocator.None {
			return cause
		}
	}
	return allocator.None
}

func (c *planned) judgePieces(pieces []mem.Range, payload uint64) allocator.Cause {
	segments, rest, met := uint64(0), payload, true
	first := true
	var before uint64 // end of the piece before
	for _, piece := range pieces {
		if rest == 0 {
			break
		}
		if piece.Empty() {
			continue
		}
		used := min(rest, piece.Size())
		rest -= used
		if !c.takes(piece.Lo, used, rest == 0) {
			return allocator.Unreachable
		}
		if c.translates() {
			met = met && (first || before%c.page == 0 && piece.Lo%c.page == 0)
		} else {
			bus := piece.Lo
			if c.Gap > 1 {
				bus = c.piece(piece.Lo).via.toBus(piece.Lo)
			}
			n, ok := c.cuts(bus, used, first, rest == 0)
			met = met && ok
			segments += n
		}
		first, before = false, piece.Lo+used
	}
	if rest > 0 {
		return allocator.Unreachable
	}
	if c.translates() {
		var ok bool
		segments, ok = c.cuts(0, payload, true, true)
		met = met && ok
	}
	if !met || segments > 1 && c.Contiguous || c.SegmentsMax > 0 && segments > c.SegmentsMax {
		return allocator.Segments
	}
	return allocator.None
}

// cuts returns how many segments bytes that lie one behind the other make, where
// a driver cuts them as late as it may; false if there is no way to cut them.
func (c *planned) cuts(start, size uint64, first, last bool) (segments uint64, ok bool) {
	longest := minLimit(uint64(c.SegmentMax), uint64(c.MapMax))
	gap, unit := max(uint64(c.Gap), 1), max(uint64(c.SegmentUnit), 1)
	if !first && start%gap != 0 || !last && ((start%gap+size%gap)%gap != 0 || size%unit != 0) {
		return 0, false
	}
	segments = 1
	if longest > 0 && size > longest {
		step := longest - longest%unit
		step -= step % gap
		head := step // of the first segment, which ends at a multiple
		if in := start % gap; in != 0 {
			head = (in + longest) / gap * gap
			if head <= in {
				return 0, false
			}
			head -= in
		}
		if step == 0 {
			return 0, false
		}
		rest := size - head
		segments = 2
		if rest > longest {
			segments += (rest-longest-1)/step + 1
		}
	}
	return segments, size/segments >= uint64(c.SegmentMin)
}

// takes reports whether a piece of a buffer obeys the rules for one place.
func (c *planned) takes(addr, size uint64, last bool) bool {
	rules, touched, whole := c.inner, size, size
	if last {
		rules = c.rules
		var over uint64
		if touched, over = bits.Add64(size, c.padding, 0); over != 0 {
			return false
		}
		var fits bool
		if whole, fits = c.sizing().size(touched); !fits {
			whole = math.MaxUint64
		}
	}
	order := min(bits.Len64(whole-1), len(rules)-1)
	return rules[order].Check(addr, touched, 0).Part == allocator.Kept
}
