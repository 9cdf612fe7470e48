package validate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"dmasim/allocator"
	"dmasim/allocator/kernel/version"
	"dmasim/devices"
	"dmasim/mem"
	"dmasim/sim/heap"
	"dmasim/sim/physmem"
)

// CopyDevice is a device that copies pages from and to the memory of a machine, and
// that machine's system heap.
type CopyDevice interface {
	// Alloc makes one more buffer, the first of which is number 0, and tells of
	// which pieces of physical memory it consists, in the buffer's order.
	Alloc(bytes uint64) ([]mem.Range, error)
	// Store writes a number where a page of a buffer begins, and Load reads it, as
	// the processor does.
	Store(buffer int, page uint64, tag uint64) error
	Load(buffer int, page uint64) (uint64, error)
	// Fetch makes the device copy the page at an address into its own memory, and
	// Put makes it copy that back to the page at an address.
	Fetch(addr uint64) error
	Put(addr uint64) error
	// Memory reads what the machine says of its memory.
	Memory() (Memory, error)
}

// ReachMix says which buffers CompareReach makes.
type ReachMix struct {
	Buffers  int    // at least
	Device   string // its name
	Bits     uint8  // of an address that the device emits; it drops the others
	PageSize uint64
}

// Buffers of the system heap: most consist of one piece, one in piecesEvery of four.
const (
	reachBytes  = uint64(mem.MiB)
	piecesBytes = uint64(mem.MiB) + 18*uint64(mem.KiB)*4 // blocks of order 8, 4, 0 and 0 of pages of 4 KiB
	piecesEvery = 16
	acrossBytes = 4 * uint64(mem.MiB)
)

// CompareReach makes buffers of the system heap until some lie out of the reach of a
// device, and compares what the model says of each with what the device then does:
// whether it can use a page of each piece, or else whose memory it reads and writes
// in its place. A transfer copies a page of a piece to the device and from there to
// another page of the same buffer. Pages that the device would write to and that
// nobody's buffer has are somebody's memory in the machine: there a page that is in
// reach is written to instead, and only the reading is compared.
//
// How many buffers lie in reach before the first that does not is compared with
// what the model of such a machine gives away.
func CompareReach(ctx context.Context, mix ReachMix, device CopyDevice) (aspects []Aspect, notes []string, err error) {
	c := &reachComparison{mix: mix, device: device}
	line := uint64(1) << mix.Bits
	plan, err := devices.Merge(devices.Device{Name: mix.Device, AddressBits: mix.Bits, Beyond: devices.Truncate})
	if err != nil {
		return nil, nil, err
	}
	memory, err := device.Memory()
	if err != nil {
		return nil, nil, err
	}
	predicted, err := memory.inReach(line)
	if err != nil {
		return nil, nil, err
	}
	first, err := c.fill(ctx, line)
	if err != nil {
		return nil, nil, err
	}
	counts := Aspect{Name: mix.Device + " first out of reach"}
	if first >= 0 {
		within := fmt.Sprintf("%d, from %d to %d", predicted.count, predicted.least, predicted.most)
		found := fmt.Sprint(first)
		if predicted.least <= first && first <= predicted.most {
			notes = append(notes, fmt.Sprintf("%s: %d buffers in reach, then the first beyond 2^%d; the model gives %s", mix.Device, first, mix.Bits, within))
			found = within
		}
		counts.compare(step{1, 0, fmt.Sprintf("buffers of %v before one leaves the first %v", mem.Size(reachBytes), mem.Size(line))}, within, found)
	}
	if err := c.tag(); err != nil {
		return nil, nil, err
	}
	verdicts := Aspect{Name: mix.Device + " transfers"}
	var usable, stray, pieces, across int
	for i, b := range c.buffers {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		if i == c.safe.buffer {
			continue
		}
		for n, piece := range b.pieces {
			if n > 0 && n < len(b.pieces)-1 {
				continue // the first and the last piece tell of the others
			}
			s := step{verdicts.Operations + 1, 0, fmt.Sprintf("buffer %d, piece %d at %v", i, n, mem.Addr(piece.Lo))}
			reach := plan.Judge(piece.Lo, piece.Size()).Usable()
			model, kernel, err := c.transfer(i, n, reach)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", s.operation, err)
			}
			verdicts.compare(s, model, kernel)
			if reach {
				usable++
			} else {
				stray++
			}
		}
		if len(b.pieces) > 1 {
			pieces++
			if b.pieces[0].Lo < line != (b.pieces[len(b.pieces)-1].Lo < line) {
				across++
			}
		}
	}
	notes = append(notes, fmt.Sprintf("%s: %d buffers, %d of several pieces, %d across the line at 2^%d; %d transfers in reach, %d astray",
		mix.Device, len(c.buffers), pieces, across, mix.Bits, usable, stray))
	return []Aspect{counts, verdicts}, notes, nil
}

type reachComparison struct {
	mix     ReachMix
	device  CopyDevice
	buffers []reachBuffer
	pages   []ownedPage // by address
	safe    place       // a page in reach that nothing else uses
}

type reachBuffer struct {
	pieces []mem.Range
	pages  uint64
}

// place is a page of a buffer.
type place struct {
	buffer int
	page   uint64
}

// none is no page of any buffer.
var none = place{buffer: -1}

func (p place) String() string {
	if p == none {
		return "memory that is no buffer's"
	}
	return fmt.Sprintf("page %d of buffer %d", p.page, p.buffer)
}

// tag is what the page holds where it begins; the processor's zeros are nobody's.
func (p place) tag() uint64 { return 0x646d_6100_0000_0000 | uint64(p.buffer+1)<<20 | p.page }

type ownedPage struct {
	addr uint64
	place
}

// fill makes the buffers, and returns how many pieces of reachBytes came before the
// first that lies beyond the line, -1 if none does: as many as buffers of that size
// would have.
func (c *reachComparison) fill(ctx context.Context, line uint64) (first int, err error) {
	first = -1
	if err := c.alloc(reachBytes); err != nil { // for what must not go astray
		return 0, err
	}
	if c.buffers[0].pieces[0].Hi > line {
		return 0, fmt.Errorf("the first buffer already lies at %v: too little memory below %v is free", mem.Addr(c.buffers[0].pieces[0].Lo), mem.Addr(line))
	}
	simple, crossed := 1, false
	for len(c.buffers) <= c.mix.Buffers || first < 0 && len(c.buffers) < 4*c.mix.Buffers {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		top := c.buffers[len(c.buffers)-1].pieces[0].Hi
		size := reachBytes
		switch {
		case first >= 0 && len(c.buffers)%piecesEvery == 0:
			size = piecesBytes
		case !crossed && top < line && top+acrossBytes > line && top+reachBytes < line:
			size, crossed = acrossBytes, true
		}
		err := c.alloc(size)
		if errors.Is(err, ErrNoMemory) {
			break
		}
		if err != nil {
			return 0, err
		}
		for _, piece := range c.buffers[len(c.buffers)-1].pieces {
			if piece.Hi > line && first < 0 {
				first = simple
			}
			simple++
		}
	}
	if len(c.buffers) <= c.mix.Buffers {
		return 0, fmt.Errorf("memory for %d buffers, want %d: give the machine more memory", len(c.buffers)-1, c.mix.Buffers)
	}
	return first, nil
}

// ErrNoMemory is returned by a device whose heap has no more.
var ErrNoMemory = errors.New("no memory left")

func (c *reachComparison) alloc(bytes uint64) error {
	pieces, err := c.device.Alloc(bytes)
	if err != nil {
		return err
	}
	b := reachBuffer{pieces: pieces}
	for _, piece := range pieces {
		for addr := piece.Lo; addr < piece.Hi; addr += c.mix.PageSize {
			c.pages = append(c.pages, ownedPage{addr, place{len(c.buffers), b.pages}})
			b.pages++
		}
	}
	if want := (bytes + c.mix.PageSize - 1) / c.mix.PageSize; b.pages != want {
		return fmt.Errorf("the trace tells of %d pages of a buffer of %d", b.pages, want)
	}
	c.buffers = append(c.buffers, b)
	return nil
}

// tag writes into every page who it is.
func (c *reachComparison) tag() error {
	slices.SortFunc(c.pages, func(a, b ownedPage) int { return cmp.Compare(a.addr, b.addr) })
	for _, p := range c.pages {
		if err := c.device.Store(p.buffer, p.page, p.tag()); err != nil {
			return err
		}
	}
	return nil
}

// at returns whose page an address is.
func (c *reachComparison) at(addr uint64) place {
	addr -= addr % c.mix.PageSize
	i, found := slices.BinarySearchFunc(c.pages, addr, func(p ownedPage, addr uint64) int { return cmp.Compare(p.addr, addr) })
	if !found {
		return none
	}
	return c.pages[i].place
}

// emitted is the address that the device puts on the bus.
func (c *reachComparison) emitted(addr uint64, reach bool) uint64 {
	if reach {
		return addr
	}
	return addr & (1<<c.mix.Bits - 1)
}

// transfer copies the first page of a piece to its last one, and says what the model
// expects of that, and what happened.
func (c *reachComparison) transfer(buffer, piece int, reach bool) (model, kernel string, err error) {
	r := c.buffers[buffer].pieces[piece]
	from, to := r.Lo, r.Hi-c.mix.PageSize
	source, target := c.at(c.emitted(from, reach)), c.at(c.emitted(to, reach))
	own := c.at(to)
	if target == none || to == from { // somebody's memory, which is left alone, or no other page
		to = c.buffers[c.safe.buffer].pieces[0].Lo
		target, own = c.safe, c.safe
	}
	before := map[place]uint64{target: 0, own: 0}
	for p := range before {
		if before[p], err = c.device.Load(p.buffer, p.page); err != nil {
			return "", "", err
		}
	}
	if err := errors.Join(c.device.Fetch(from), c.device.Put(to)); err != nil {
		return "", "", err
	}
	model = fmt.Sprintf("reads %v, writes %v", source, target)
	read, wrote := none, none
	for _, p := range []place{own, target} {
		tag, err := c.device.Load(p.buffer, p.page)
		if err != nil {
			return "", "", err
		}
		if tag != before[p] {
			wrote, read = p, placeOf(tag)
		}
	}
	kernel = fmt.Sprintf("reads %v, writes %v", read, wrote)
	// Everything as it was, for the next one.
	return model, kernel, errors.Join(c.device.Store(target.buffer, target.page, before[target]), c.device.Store(own.buffer, own.page, before[own]))
}

// placeOf returns whose tag it is.
func placeOf(tag uint64) place {
	p := place{int(tag>>20&0xfffff) - 1, tag & 0xfffff}
	if p.buffer < 0 || p.tag() != tag {
		return none
	}
	return p
}

// inReach is how many buffers a machine gives before one leaves a window.
type inReach struct{ count, least, most int }

// inReach predicts that. The model of a fresh machine, in which as much is in use as
// here, gives the count. Where that lies is not known, which bounds it: all of it
// below the line, or all beyond, where there is room.
func (s Memory) inReach(line uint64) (p inReach, err error) {
	page := uint64(s.PageSize)
	m, err := s.fresh()
	if err != nil {
		return p, err
	}
	used, err := m.AddOwner(physmem.OwnerConfig{Name: "kernel", Unkillable: true})
	if err != nil {
		return p, err
	}
	var below, inUse, room uint64 // bytes: of the zones below the line, in use anywhere, and of the zones beyond
	for _, z := range s.Zones {
		lo := uint64(z.Start) * page
		hi := lo + z.Spanned*page
		if z.Name != "DMA" { // the heap takes from it last
			below += min(hi, max(line, lo)) - lo
			room += hi - min(hi, max(line, lo))
			inUse += (z.Spanned - z.Pages.Free) * page
		}
	}
	if _, _, err := m.Populate(used, physmem.Kernel, (uint64(s.Memory.MemTotal)-uint64(s.Memory.MemFree))/page); err != nil {
		return p, err
	}
	p.least = int((below - min(below, inUse)) / reachBytes)
	p.most = int((below - (inUse - min(inUse, room))) / reachBytes)
	h := heap.NewPages(heap.PageConfig{Name: "system", Kind: heap.System, Memory: m, Kernel: version.Modelled, Clients: 1})
	owner, err := m.AddOwner(physmem.OwnerConfig{Name: "client"})
	if err != nil {
		return p, err
	}
	for ; ; p.count++ {
		b, failure, err := h.Alloc(0, owner, reachBytes)
		if err != nil {
			return p, err
		}
		if failure.Cause != allocator.None || slices.ContainsFunc(h.Extents(nil, b), func(r mem.Range) bool { return r.Hi > line }) {
			return p, nil
		}
	}
}
