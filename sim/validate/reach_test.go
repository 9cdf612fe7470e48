package validate_test

import (
	"context"
	"strings"
	"testing"

	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim/validate"
)

// copier is a machine of 64 MiB whose heap gives rising addresses, with a device that
// copies the first 8 bytes of a page.
type copier struct {
	bits    uint8 // that the device emits
	next    uint64
	buffers [][]mem.Range
	memory  map[uint64]uint64 // by the address of a page
	own     uint64            // what the device holds
	refuse  bool              // to write
}

const (
	page = 4096
	end  = 64 << 20
)

func (c *copier) Alloc(bytes uint64) ([]mem.Range, error) {
	if c.next+bytes > end {
		return nil, validate.ErrNoMemory
	}
	var pieces []mem.Range
	for _, block := range []uint64{1 << 20, 64 << 10, page} {
		for ; bytes >= block; bytes -= block {
			pieces = append(pieces, mem.Range{Lo: c.next, Hi: c.next + block})
			c.next += block
		}
	}
	c.buffers = append(c.buffers, pieces)
	return pieces, nil
}

func (c *copier) at(buffer int, n uint64) uint64 {
	for _, piece := range c.buffers[buffer] {
		if n < piece.Size()/page {
			return piece.Lo + n*page
		}
		n -= piece.Size() / page
	}
	panic("no such page")
}

func (c *copier) Store(buffer int, n uint64, tag uint64) error {
	c.memory[c.at(buffer, n)] = tag
	return nil
}

func (c *copier) Load(buffer int, n uint64) (uint64, error) { return c.memory[c.at(buffer, n)], nil }

func (c *copier) Fetch(addr uint64) error {
	c.own = c.memory[addr&(1<<c.bits-1)]
	return nil
}

func (c *copier) Put(addr uint64) error {
	if !c.refuse {
		c.memory[addr&(1<<c.bits-1)] = c.own
	}
	return nil
}

func (c *copier) Memory() (validate.Memory, error) {
	zone := machine.ZoneState{Name: "DMA32", Start: 0, Spanned: end / page, Present: end / page, Managed: end / page}
	zone.Pages.Free = (end - c.next) / page
	s := &machine.State{PageSize: page, Zones: []machine.ZoneState{zone}}
	s.Memory.MemTotal, s.Memory.MemFree = end, mem.Size(end-c.next)
	return validate.Memory{State: s, MinFree: mem.MiB}, nil
}

func TestCompareReach(t *testing.T) {
	for _, test := range []struct {
		name   string
		bits   uint8
		start  uint64
		refuse bool
		agree  bool
	}{
		{"as its mask says", 25, 4 << 20, false, true},
		{"beyond the line there are others", 24, 12 << 20, false, true},
		{"reaches more than it should", 26, 4 << 20, false, false},
		{"reaches less", 23, 4 << 20, false, false},
		{"does not write", 25, 4 << 20, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &copier{bits: test.bits, next: test.start, memory: map[uint64]uint64{}, refuse: test.refuse}
			claimed := uint8(25)
			if test.agree {
				claimed = test.bits
			}
			aspects, notes, err := validate.CompareReach(context.Background(),
				validate.ReachMix{Buffers: 40, Device: "copier", Bits: claimed, PageSize: page}, c)
			if err != nil {
				t.Fatal(err)
			}
			transfers := aspects[1]
			if agree := transfers.First == nil; agree != test.agree || transfers.Operations < 40 {
				t.Errorf("%+v, first %+v\n%s", transfers, transfers.First, strings.Join(notes, "\n"))
			}
			if first := aspects[0]; first.Operations != 1 || first.Agreements != 1 {
				t.Errorf("%+v: %+v", first, first.First)
			}
		})
	}
}

// TestCompareReachNeedsRoom says what is wrong instead of comparing nothing.
func TestCompareReachNeedsRoom(t *testing.T) {
	for _, test := range []struct {
		start   uint64
		buffers int
		want    string
	}{{40 << 20, 10, "too little memory below"}, {4 << 20, 1000, "give the machine more memory"}} {
		c := &copier{bits: 25, next: test.start, memory: map[uint64]uint64{}}
		_, _, err := validate.CompareReach(context.Background(), validate.ReachMix{Buffers: test.buffers, Device: "copier", Bits: 25, PageSize: page}, c)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}
