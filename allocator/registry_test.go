package allocator_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dmasim/allocator"
	"dmasim/mem"
)

func ExampleNew() {
	arena := mem.NewRangeSet(mem.Range{Lo: 0x40000000, Hi: 0x80000000})
	s, err := allocator.New("best-fit", allocator.Config{Arena: arena, Granule: 4096})
	if err != nil {
		fmt.Println(err)
		return
	}
	// A device that reaches the first 256 MiB and wants 64 KiB alignment.
	block, ok := s.Alloc(allocator.Request{Size: 3_110_400, Align: 65536, Hi: 0x50000000})
	fmt.Println(mem.Addr(block.Addr), mem.Size(block.Size), ok)
	fmt.Println(s.Free(block), s.Free(block))
	// Output:
	// 0x40000000 3040KiB true
	// <nil> free 0x40000000+3040KiB: block is free already
}

// bump hands out memory once, upwards, and never takes it back.
type bump struct {
	next, end uint64
	live      allocator.Blocks
}

func (b *bump) Alloc(r allocator.Request) (allocator.Block, bool) {
	at, ok := r.Place(b.next, b.end, false)
	if !ok {
		return allocator.Block{}, false
	}
	b.next = at + r.Size
	return b.live.Add(at, r.Size), true
}

func (b *bump) Free(block allocator.Block) error { return b.live.Remove(block) }

// A program that registers a strategy in an init function and calls cli.Main
// has it in every command of dmasim.
func ExampleRegister() {
	allocator.Register(allocator.Spec{
		Name:    "bump",
		Summary: "memory handed out once",
		Honours: allocator.HonoursAll &^ allocator.HonoursDirection,
		New: func(cfg allocator.Config) (allocator.Strategy, error) {
			arena := cfg.Usable()[0]
			return &bump{next: arena.Lo, end: arena.Hi}, nil
		},
	})
	s, err := allocator.New("bump", allocator.Config{Arena: mem.NewRangeSet(mem.Range{Lo: 0, Hi: 100})})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, _ := s.Alloc(allocator.Request{Size: 10})
	second, _ := s.Alloc(allocator.Request{Size: 10, Align: 16})
	fmt.Println(first.Addr, second.Addr)
	// Output:
	// 0 16
}

func TestParse(t *testing.T) {
	spec, params, err := allocator.Parse("tlsf:second-level=16")
	if err != nil || spec.Name != "tlsf" || params["second-level"] != 16 {
		t.Errorf("got %s, %v, %v", spec.Name, params, err)
	}
	if _, defaults, _ := allocator.Parse("tlsf"); defaults["second-level"] != 32 {
		t.Errorf("defaults are %v", defaults)
	}
	for text, want := range map[string]error{
		"":                       allocator.ErrUnknownStrategy,
		"no-such":                allocator.ErrUnknownStrategy,
		"First-Fit":              allocator.ErrUnknownStrategy,
		"tlsf:":                  allocator.ErrParam,
		"tlsf:second-level":      allocator.ErrParam,
		"tlsf:second-level=":     allocator.ErrParam,
		"tlsf:second-level=-1":   allocator.ErrParam,
		"tlsf:second-level=1000": allocator.ErrParam,
		"tlsf:third-level=1":     allocator.ErrParam,
		"first-fit:x=1":          allocator.ErrParam,
	} {
		if _, _, err := allocator.Parse(text); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
	}
}

func TestNewRefusesAnArenaWithoutAGranule(t *testing.T) {
	for _, arena := range []mem.RangeSet{nil, mem.NewRangeSet(mem.Range{Lo: 1, Hi: 8191})} {
		if _, err := allocator.New("first-fit", allocator.Config{Arena: arena, Granule: 4096}); err == nil {
			t.Errorf("arena %v: no error", arena)
		}
	}
}

func TestRegistryIsSorted(t *testing.T) {
	names := allocator.Names()
	if !slices.IsSorted(names) {
		t.Errorf("names are not sorted: %v", names)
	}
	for _, name := range []string{"first-fit", "next-fit", "best-fit", "worst-fit", "last-fit", "buddy", "tlsf"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestCausesReadBackAsPrinted(t *testing.T) {
	for _, c := range allocator.Causes() {
		text, err := c.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got allocator.Cause
		if err := got.UnmarshalText(text); err != nil || got != c {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	if err := new(allocator.Cause).UnmarshalText([]byte("bad luck")); err == nil {
		t.Error("an unknown cause was read")
	}
	if n := len(allocator.Causes()); n != allocator.NumCauses-1 {
		t.Errorf("there are %d causes", n)
	}
	if allocator.Cause(200).String() != "cause(200)" {
		t.Error("an impossible cause has no name")
	}
}

func TestHonoursNames(t *testing.T) {
	if got := allocator.HonoursAll.String(); strings.Count(got, ",") != 4 {
		t.Errorf("got %q", got)
	}
	if got := allocator.Honours(0).String(); got != "nothing" {
		t.Errorf("got %q", got)
	}
}
