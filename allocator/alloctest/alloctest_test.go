package alloctest_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"dmasim/allocator"
	"dmasim/allocator/alloctest"
	"dmasim/mem"
)

// sortedFit is first fit over a sorted slice of live blocks: slow, short, and
// right unless a fault is asked for.
type sortedFit struct {
	fault   string
	granule uint64
	arena   mem.RangeSet
	live    []allocator.Block // by address
	serial  uint64            // of the last block that was handed out
	last    uint64            // end of the last block that was asked for
}

func newSortedFit(fault string) func(allocator.Config) (allocator.Strategy, error) {
	return func(cfg allocator.Config) (allocator.Strategy, error) {
		s := &sortedFit{fault: fault, granule: max(cfg.Granule, 1), arena: cfg.Usable()}
		if fault == "spans gaps" {
			s.arena = mem.RangeSet{s.arena.Hull()}
		}
		if fault == "leaves the arena" {
			s.arena[len(s.arena)-1].Hi += s.granule
		}
		return s, nil
	}
}

// made counts the blocks of all strategies with the fault "global state".
var made uint64

var garbage []byte

func (s *sortedFit) Alloc(req allocator.Request) (allocator.Block, bool) {
	high := req.Dir == allocator.High
	switch s.fault {
	case "ignores alignment":
		req.Align = 0
	case "ignores the window":
		req.Lo, req.Hi = 0, 0
	case "ignores the boundary":
		req.Boundary = 0
	case "ignores the rule":
		req.Rule = nil
	case "ignores the direction":
		high = false
	case "global state":
		made++
		high = high != (made/100%2 == 1)
	case "allocates":
		garbage = make([]byte, 16)
	case "panics":
		if req.Size > s.arena.Size() {
			panic("too large")
		}
	case "misses places":
		if req.Boundary != 0 && req.Align > 1 {
			return allocator.Block{}, false
		}
	}
	size := req.Size
	if over := size % s.granule; over != 0 && s.fault != "ignores the granule" {
		size += s.granule - over
	}
	if size < req.Size || (req.Size == 0 && s.fault != "serves nothing") {
		return allocator.Block{}, false
	}
	if s.fault != "ignores the granule" && !alignToBoth(&req, s.granule) {
		return allocator.Block{}, false
	}
	if s.fault == "a refusal moves it" {
		req.Lo = max(req.Lo, s.last)
		s.last = 0
	}
	if start, ok := s.lowest(&req, high); ok {
		if s.fault == "a refusal moves it" {
			s.last = start + size
		}
		if s.fault == "too short" && size > s.granule {
			size -= s.granule
		}
		s.serial++
		block := allocator.Block{Addr: start, Size: size, Ref: s.serial}
		if s.fault == "overlaps" && s.serial%8 == 0 {
			return block, true
		}
		at, _ := s.find(start)
		s.live = slices.Insert(s.live, at, block)
		return block, true
	}
	return allocator.Block{}, false
}

func (s *sortedFit) find(addr uint64) (int, bool) {
	for i, b := range s.live {
		if b.Addr >= addr {
			return i, b.Addr == addr
		}
	}
	return len(s.live), false
}

// lowest returns a place in the lowest hole that has one.
func (s *sortedFit) lowest(req *allocator.Request, high bool) (uint64, bool) {
	next := 0
	for _, r := range s.arena {
		for r.Lo < r.Hi {
			hole := r
			r.Lo = r.Hi
			if next < len(s.live) && s.live[next].Addr < r.Hi {
				hole.Hi = s.live[next].Addr
				r.Lo = hole.Hi + s.live[next].Size
				next++
			}
			if start, ok := req.Place(hole.Lo, hole.Hi, high); ok {
				return start, true
			}
		}
	}
	return 0, false
}

func (s *sortedFit) Free(block allocator.Block) error {
	at, ok := s.find(block.Addr)
	if ok && s.fault == "frees by address" {
		block = s.live[at]
	}
	if ok && s.live[at] == block {
		if s.fault != "leaks" || s.serial%8 != 0 {
			s.live = slices.Delete(s.live, at, at+1)
		}
		return nil
	}
	reason := allocator.ErrForeign
	if block.Ref > 0 && block.Ref <= s.serial && !slices.ContainsFunc(s.live, func(b allocator.Block) bool { return b.Ref == block.Ref }) {
		reason = allocator.ErrDoubleFree
	}
	switch s.fault {
	case "frees twice":
		return nil
	case "another error":
		return reason
	case "names no block":
		block = allocator.Block{}
	case "calls all foreign":
		reason = allocator.ErrForeign
	case "calls all double":
		reason = allocator.ErrDoubleFree
	case "a refusal frees":
		s.live = s.live[:0]
	}
	return &allocator.FreeError{Block: block, Err: reason}
}

// alignToBoth makes the alignment of the request a multiple of the granule; it
// returns false if there is no legal start then.
func alignToBoth(req *allocator.Request, granule uint64) bool {
	a, b := max(req.Align, 1), granule
	for b != 0 {
		a, b = b, a%b
	}
	times := granule / a
	if align := max(req.Align, 1); align*times/times == align {
		req.Align = align * times
		return true
	}
	// Only address 0 is a multiple of both.
	if req.Lo > 0 || (req.Hi != 0 && req.Hi < req.Size) {
		return false
	}
	req.Align, req.Hi = 1, req.Size
	return true
}

const faultVariable = "DMASIM_ALLOCTEST_FAULT"

// TestSortedFit is the suite on a strategy without a fault. With the variable
// set it is the suite on a faulty one, for TestFaults.
func TestSortedFit(t *testing.T) {
	alloctest.Run(t, newSortedFit(os.Getenv(faultVariable)), alloctest.Honours(allocator.HonoursAll), alloctest.Exact())
}

// TestFaults makes faulty strategies and demands that the suite finds each of
// them and names the rule that is broken.
func TestFaults(t *testing.T) {
	for _, test := range []struct{ fault, rule string }{
		{"overlaps", "live blocks do not overlap"},
		{"too short", "a block is at least as large as was asked for"},
		{"serves nothing", "a request is for at least 1 byte"},
		{"leaves the arena", "a block lies in one range of the arena"},
		{"spans gaps", "a block lies in one range of the arena"},
		{"ignores the granule", "starts and ends at a multiple of the granule"},
		{"ignores alignment", "is no multiple of the alignment"},
		{"ignores the window", "is not in the window"},
		{"ignores the boundary", "crosses a boundary"},
		{"ignores the rule", "the rule"},
		{"ignores the direction", "serves from that end"},
		{"misses places", "an exact strategy serves every request for which there is a legal place"},
		{"leaks", "an exact strategy serves every request for which there is a legal place"},
		{"frees twice", "only a live block, as it was handed out, can be freed"},
		{"frees by address", "only a live block, as it was handed out, can be freed"},
		{"another error", "the error is an *allocator.FreeError"},
		{"names no block", "the error names the block"},
		{"calls all foreign", "the error wraps ErrDoubleFree"},
		{"calls all double", "the error wraps ErrDoubleFree"},
		{"a refusal frees", "a live block can be freed"},
		{"a refusal moves it", "a refused operation changes nothing"},
		{"global state", "the same operations give the same addresses"},
		{"panics", "panic"},
		{"allocates", "an operation allocates no memory"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			command := exec.Command(os.Args[0], "-test.run=^TestSortedFit$", "-rapid.seed=1", "-rapid.nofailfile", "-rapid.shrinktime=50ms")
			command.Env = append(os.Environ(), faultVariable+"="+test.fault)
			output, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(output), test.rule) {
				t.Errorf("want a failure with the text %q; got %v\n%s", test.rule, err, output)
			}
		})
	}
}
