package explain

import (
	"time"

	"dmasim/allocator"
	"dmasim/mem"
)

// Explanation says why one request failed.
type Explanation struct {
	Variant string        `json:"variant,omitempty"`
	At      time.Duration `json:"at_ns"`
	Op      uint64        `json:"op,omitempty"` // the number of the event, from 1; 0 of a what-if

	Client    string   `json:"client,omitempty"` // who asked; "" of a what-if
	Devices   []string `json:"devices"`          // that are to share the buffer
	Heap      string   `json:"heap"`
	Kind      string   `json:"heap_kind"`
	Allocator string   `json:"allocator,omitempty"`
	Aware     bool     `json:"aware"`

	Payload mem.Size `json:"payload_bytes"`
	Reserve mem.Size `json:"reserve_bytes"` // with padding and rounding
	Padding mem.Size `json:"padding_bytes"`
	Align   mem.Size `json:"align_bytes"` // of the start; 0 or 1: any

	// Free, InReach and Largest are what the simulation counted at the failure.
	Free    mem.Size `json:"free_bytes"`
	InReach mem.Size `json:"free_in_reach_bytes"`
	Largest mem.Size `json:"largest_run_in_reach_bytes"`

	// Cause is allocator.None where the request would be served.
	Cause allocator.Cause `json:"cause"`
	// Place is where the request was or would be put, or where a legal place was
	// that the strategy did not take. Nil: nowhere.
	Place *Range `json:"place,omitempty"`
	// Verdict is the judge's of that place, where it is of no use.
	Verdict string `json:"verdict,omitempty"`

	Funnel   []Stage  `json:"funnel"`
	Holders  []Holder `json:"holders"`    // by bytes, the largest first
	InTheWay []Buffer `json:"in_the_way"` // the smallest set of buffers without which there is a place
	Changes  []Change `json:"changes"`
	Notes    []string `json:"notes"`

	Picture *Picture `json:"-"` // of an arena or a CMA area

	atMap bool // the heap had given the buffer, and a device could not map it
}

// Range is a range of addresses.
type Range struct {
	Lo mem.Addr `json:"lo"`
	Hi mem.Addr `json:"hi"`
}

func newRange(lo, size uint64) *Range { return &Range{mem.Addr(lo), mem.Addr(lo + size)} }

// Stage is a step of the funnel: how much there is for the request if only the
// rules up to here count.
type Stage struct {
	Name   string   `json:"name"`
	Bytes  mem.Size `json:"bytes"`
	Needed mem.Size `json:"needed_bytes"`
	Where  *Range   `json:"where,omitempty"`
	Note   string   `json:"note,omitempty"`
}

// Enough reports whether the stage leaves as much as is needed.
func (s *Stage) Enough() bool { return s.Bytes >= s.Needed }

// Holder is who holds memory of the heap or the machine.
type Holder struct {
	Name    string   `json:"name"`
	What    string   `json:"what"` // buffers, anonymous and so on
	Blocks  int      `json:"blocks"`
	Bytes   mem.Size `json:"bytes"`
	InReach mem.Size `json:"in_reach_bytes"` // of them where the request may lie
	// Needed says whether what it holds in reach had to lie there.
	Needed bool `json:"needed"`
}

// Buffer is one live buffer, or pages that are held in place.
type Buffer struct {
	Owner   string        `json:"owner"`
	What    string        `json:"what"` // buffer, or pages
	Addr    mem.Addr      `json:"addr"`
	Bytes   mem.Size      `json:"bytes"`
	Since   time.Duration `json:"since_ns"`
	Op      uint64        `json:"op,omitempty"` // the event that allocated it
	Devices []string      `json:"devices"`
	Needed  bool          `json:"needed"` // it could not have lain elsewhere
}

// Change is a smallest change that would have let the request succeed.
type Change struct {
	Kind    string   `json:"kind"`
	Text    string   `json:"text"`
	Bytes   mem.Size `json:"bytes,omitempty"`
	Place   *Range   `json:"place,omitempty"` // that the request has then
	Buffers []Buffer `json:"buffers,omitempty"`
	// Verified says that the change was applied to a copy of the state, and the
	// request had a legal place there.
	Verified bool `json:"verified"`
	// Served says whether the heap itself, with its strategy, served the request
	// after the change; nil: that was not tried.
	Served *bool `json:"served_by_heap,omitempty"`
}

// Kinds of changes.
const (
	FreeBuffers   = "free-buffers"   // the fewest of all
	FreeStrangers = "free-strangers" // the fewest that did not need the window
	WiderWindow   = "wider-window"
	LargerHeap    = "larger-heap"
	SmallerAlign  = "smaller-alignment"
	NoBoundary    = "no-boundary"
	SmallerBuffer = "smaller-buffer"
	OtherStrategy = "other-strategy"
	TellHeap      = "tell-heap"
	RaiseLimit    = "raise-limit"
	Permit        = "permit"
	Unpin         = "unpin"
)

// Picture is the memory of the heap at the failure, for drawing.
type Picture struct {
	Arena  mem.RangeSet
	Reach  mem.RangeSet // where the request may lie
	Blocks []Block      // by rising address
	Asked  uint64       // bytes
	Run    mem.Range    // the longest free run in reach
	Spot   mem.Range    // where the request fits after the change that is drawn
	Owners []string
}

// Block is a live block of the picture.
type Block struct {
	mem.Range
	Owner    int // index into Picture.Owners
	InTheWay bool
}
