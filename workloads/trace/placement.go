package trace

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"dmasim/workloads"
)

// Placement is one record of a placement trace: an allocation or a free of a
// slot. A slot is a small number that names a live block and is used again once
// the block is freed, so that a replay keeps its blocks in an array.
//
// Whoever replays a trace skips the free of a slot whose allocation it could
// not serve.
type Placement struct {
	Free  bool
	Slot  uint32
	Size  uint64 // bytes, at least 1; 0 in a free
	Align uint64 // bytes; 0 and 1: no constraint
	Limit uint64 // the block ends at or below this offset; 0: anywhere
}

// PlacementHeader is what the head of a binary placement trace says. A text
// trace has none.
type PlacementHeader struct {
	Records  uint64
	Slots    uint64 // every slot is less
	Unit     uint64 // bytes per unit of the sizes in the file
	Seed     uint64 // of the generator
	PeakLive uint64 // bytes
	MeanLive uint64 // bytes, after the ramp
	Pattern  uint64 // the order of frees: 0 at random, 1 oldest first
}

// Arena returns the size of an arena that the trace keeps busy, in bytes: the
// mean live bytes fill 85 % of it, in whole MiB. It is 0 without a mean.
func (h *PlacementHeader) Arena() uint64 {
	const percent, whole = 85, 1 << 20
	size := h.MeanLive/percent*100 + h.MeanLive%percent*100/percent
	return (size + whole - 1) / whole * whole
}

// What can be wrong with a placement trace, within a [PlacementError]. A trace
// that ends early is io.ErrUnexpectedEOF.
var (
	ErrNotPlacement     = errors.New("not a placement trace")
	ErrPlacementHeader  = errors.New("absurd header")
	ErrPlacementSyntax  = errors.New("malformed record")
	ErrPlacementState   = errors.New("record contradicts the ones before it")
	ErrPlacementTooLong = errors.New("more data than the header announces")
)

// PlacementError says where a placement trace is wrong.
type PlacementError struct {
	Text bool // Position is a line, else a record
	// Position counts from 1; 0 is the header.
	Position uint64
	Err      error
}

func (e *PlacementError) Error() string {
	switch {
	case e.Position == 0:
		return fmt.Sprintf("placement trace: header: %v", e.Err)
	case e.Text:
		return fmt.Sprintf("placement trace: line %d: %v", e.Position, e.Err)
	}
	return fmt.Sprintf("placement trace: record %d: %v", e.Position, e.Err)
}

func (e *PlacementError) Unwrap() error { return e.Err }

const (
	placementHeaderSize = 64
	// maxPlacementUnit keeps a product with a 32-bit count within 64 bits.
	maxPlacementUnit  = 1 << 32
	maxPlacementSlots = 1 << 31
	// placementBuffer bounds a line of a text trace, and is what a read asks for.
	placementBuffer = maxLine
)

// PlacementReader reads a placement trace record by record. It checks that each
// record makes sense after those before it: a slot that is allocated was free,
// one that is freed was live. For this it holds a bit per slot, in chunks that
// are made as slots appear: what the header claims costs nothing.
type PlacementReader struct {
	// Header is all zero for a text trace.
	Header PlacementHeader

	in     *bufio.Reader
	lines  *lineReader // of text; else nil
	record int         // bytes per record; 0 for text
	ahead  []byte      // whole records in the buffer of in
	taken  int         // bytes to discard once ahead is used up
	count  uint64
	live   slotSet
	err    error
}

// NewPlacementReader starts to read a placement trace in one of three forms,
// told apart by how they begin:
//
//   - binary, little endian, magic "DMATRC01" or "DMATRC02": a header of eight
//     64-bit words (magic, records, slots, unit, seed, peak live bytes, mean
//     live bytes, pattern), then records of 32-bit words: slot with bit 31 set
//     for a free, size and alignment in units, and in version 2 the limit;
//   - text: lines "a SLOT SIZE ALIGN [LIMIT]" in bytes and "f SLOT"; blank lines
//     and lines that begin with # are skipped, and every line is ended, so that
//     a torn file is noticed;
//   - either of them compressed with gzip or Zstandard.
//
// The error is a *PlacementError, or that of r.
func NewPlacementReader(r io.Reader) (*PlacementReader, error) {
	t := &PlacementReader{}
	var err error
	if t.in, err = decompressed(r); err != nil {
		return nil, t.fail(err)
	}
	magic, err := t.in.Peek(8)
	if err != nil && err != io.EOF {
		return nil, t.fail(err)
	}
	switch {
	case string(magic) == "DMATRC01":
		t.record = 12
	case string(magic) == "DMATRC02":
		t.record = 16
	case len(magic) > 0 && bytes.IndexByte([]byte("af#\r\n"), magic[0]) >= 0:
		t.lines = &lineReader{in: t.in}
		return t, nil
	default:
		return nil, t.fail(ErrNotPlacement)
	}
	if err := t.readHeader(); err != nil {
		return nil, t.fail(err)
	}
	return t, nil
}

func (t *PlacementReader) readHeader() error {
	var raw [placementHeaderSize]byte
	if _, err := io.ReadFull(t.in, raw[:]); err != nil {
		return torn(err)
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(raw[8*i:]) }
	h := PlacementHeader{
		Records: word(1), Slots: word(2), Unit: word(3), Seed: word(4),
		PeakLive: word(5), MeanLive: word(6), Pattern: word(7),
	}
	switch {
	case h.Unit == 0 || h.Unit > maxPlacementUnit:
		return fmt.Errorf("%w: unit of %d bytes", ErrPlacementHeader, h.Unit)
	case h.Slots > maxPlacementSlots:
		return fmt.Errorf("%w: %d slots, more than 31 bits can number", ErrPlacementHeader, h.Slots)
	case h.Slots > h.Records:
		return fmt.Errorf("%w: %d slots for %d records", ErrPlacementHeader, h.Slots, h.Records)
	case h.MeanLive > h.PeakLive:
		return fmt.Errorf("%w: mean of %d live bytes above the peak of %d", ErrPlacementHeader, h.MeanLive, h.PeakLive)
	}
	t.Header = h
	return nil
}

// Next returns the next record, or false at the end of the trace or after an
// error; see [PlacementReader.Err].
func (t *PlacementReader) Next() (Placement, bool) {
	var ops [1]workloads.Op
	if t.read(ops[:]) == 0 {
		return Placement{}, false
	}
	op := &ops[0]
	return Placement{op.Kind == workloads.Free, uint32(op.Buffer), op.Size, op.Align, op.Limit}, true
}

// read writes the next records to ops, without their times, and returns how many:
// fewer than there is room for only at the end of the trace or after an error.
func (t *PlacementReader) read(ops []workloads.Op) int {
	n := 0
	for n < len(ops) && t.err == nil {
		parsed, err := t.parse(ops[n:])
		right := t.check(ops[n : n+parsed])
		n += right
		if right < parsed {
			t.count -= uint64(parsed - right - 1)
			err = t.wrong(&ops[n])
		}
		if err == io.EOF {
			t.err = err
		} else if err != nil {
			t.err = t.fail(err)
		}
	}
	return n
}

// parse reads a line, or as many binary records as there is room for and are in the
// buffer. It returns how many it was, or an error.
func (t *PlacementReader) parse(ops []workloads.Op) (int, error) {
	if t.lines != nil {
		if err := t.parseLine(&ops[0]); err != nil {
			return 0, err
		}
		return 1, nil
	}
	if len(t.ahead) == 0 {
		if err := t.readAhead(); err != nil {
			return 0, err
		}
	}
	ops = ops[:min(len(ops), len(t.ahead)/t.record)]
	raw, record, unit := t.ahead, t.record, t.Header.Unit
	for i := range ops {
		op := &ops[i] // field by field: a whole Op that is copied waits for its parts
		words := (*[12]byte)(raw)
		slot := binary.LittleEndian.Uint32(words[0:])
		op.Kind, op.Buffer, op.Client, op.Lifetime = workloads.Kind(slot>>31), uint64(slot&^(1<<31)), 0, 0
		op.Size = uint64(binary.LittleEndian.Uint32(words[4:])) * unit
		op.Align = uint64(binary.LittleEndian.Uint32(words[8:])) * unit
		op.Limit = 0
		if record == 16 {
			op.Limit = uint64(binary.LittleEndian.Uint32(raw[12:])) * unit
		}
		raw = raw[record:]
	}
	t.ahead = raw
	t.count += uint64(len(ops))
	return len(ops), nil
}

// check compares records with those before them and takes note of them. It returns
// how many are right. Which are frees is as good as random, so that a branch on it
// would be guessed wrong.
func (t *PlacementReader) check(ops []workloads.Op) int {
	slots := t.Header.Slots
	if t.lines != nil {
		slots = maxPlacementSlots
	}
	for i := range ops {
		op := &ops[i]
		slot, free := op.Buffer, uint64(op.Kind)
		if slot >= slots || (op.Size|op.Align|op.Limit)&-free != 0 || op.Size|free == 0 {
			return i
		}
		word := t.live.word(uint32(slot))
		now := *word ^ 1<<(slot&63)
		if now>>(slot&63)&1 == free {
			return i
		}
		*word = now
	}
	return len(ops)
}

// wrong says what check found.
func (t *PlacementReader) wrong(op *workloads.Op) error {
	free := op.Kind == workloads.Free
	switch {
	case t.lines == nil && op.Buffer >= t.Header.Slots:
		return fmt.Errorf("%w: slot %d of %d", ErrPlacementSyntax, op.Buffer, t.Header.Slots)
	case free && op.Size|op.Align|op.Limit != 0:
		return fmt.Errorf("%w: free of slot %d has a size, an alignment or a limit", ErrPlacementSyntax, op.Buffer)
	case !free && op.Size == 0:
		return fmt.Errorf("%w: slot %d has size 0", ErrPlacementSyntax, op.Buffer)
	case free:
		return fmt.Errorf("%w: free of slot %d, which is not live", ErrPlacementState, op.Buffer)
	}
	return fmt.Errorf("%w: allocation of slot %d, which is live", ErrPlacementState, op.Buffer)
}

// Err returns the error that ended the trace, a *PlacementError or nil.
func (t *PlacementReader) Err() error {
	if t.err == io.EOF {
		return nil
	}
	return t.err
}

// fail adds the position to an error.
func (t *PlacementReader) fail(err error) error {
	return &PlacementError{Text: t.lines != nil, Position: t.count, Err: err}
}

// readAhead makes ahead hold at least one record. It returns io.EOF at the end, and
// ErrPlacementTooLong if that is not the end of the input as well.
func (t *PlacementReader) readAhead() error {
	if _, err := t.in.Discard(t.taken); err != nil {
		return err
	}
	t.taken = 0
	if t.count == t.Header.Records {
		if _, err := t.in.ReadByte(); err != nil {
			return err
		}
		t.count++
		return ErrPlacementTooLong
	}
	records := min(t.Header.Records-t.count, uint64(placementBuffer/t.record))
	raw, err := t.in.Peek(int(records) * t.record)
	whole := len(raw) / t.record * t.record
	if whole == 0 {
		t.count++
		return torn(err)
	}
	t.ahead, t.taken = raw[:whole], whole
	return nil
}

// parseLine reads the next line that holds a record.
func (t *PlacementReader) parseLine(op *workloads.Op) error {
	for {
		line, err := t.lines.next()
		if err == io.EOF && len(line) == 0 {
			return io.EOF
		}
		t.count++
		switch err {
		case nil:
		case io.EOF:
			return fmt.Errorf("%w: the last line has no end", io.ErrUnexpectedEOF)
		case bufio.ErrBufferFull:
			return fmt.Errorf("%w: line of more than %d bytes", ErrPlacementSyntax, placementBuffer)
		default:
			return err
		}
		end := len(line)
		for end > 0 && (line[end-1] == ' ' || line[end-1] == '\t' || line[end-1] == '\r') {
			end--
		}
		if end == 0 || line[0] == '#' {
			continue
		}
		if !parsePlacement(line[:end], op) {
			return syntax(line[:end])
		}
		return nil
	}
}

// parsePlacement reads a line without its end.
func parsePlacement(line []byte, op *workloads.Op) bool {
	var numbers [4]uint64
	n := 0
	for at := 1; at < len(line); n++ {
		if line[at] != ' ' || n == len(numbers) {
			return false
		}
		at++
		number, end := leadingDigits(line, at)
		if digits := end - at; digits == 0 {
			return false
		} else if digits > surelyFit {
			var err error
			if number, err = strconv.ParseUint(string(line[at:end]), 10, 64); err != nil {
				return false
			}
		}
		numbers[n], at = number, end
	}
	op.Buffer, op.Size, op.Align, op.Limit = numbers[0], numbers[1], numbers[2], numbers[3]
	op.Client, op.Lifetime = 0, 0
	switch {
	case n == 0 || numbers[0] >= maxPlacementSlots:
		return false
	case line[0] == 'a':
		op.Kind = workloads.Alloc
		return n >= 3
	case line[0] == 'f':
		op.Kind = workloads.Free
		return n == 1
	}
	return false
}

func syntax(line []byte) error {
	const shown = 80
	if len(line) > shown {
		line = line[:shown]
	}
	return fmt.Errorf("%w %q: want \"a SLOT SIZE ALIGN [LIMIT]\" or \"f SLOT\"", ErrPlacementSyntax, line)
}

// torn makes the end of the input in the middle of something an error.
func torn(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// slotSet is a set of slots: of low ones, which most traces have no others than, and
// of others in chunks that exist once one of their slots has been in the set.
type slotSet struct {
	low    [lowSlots / 64]uint64
	chunks []*slotChunk
}

const (
	lowSlots      = 1 << 16
	slotChunkBits = 12
)

type slotChunk [1 << slotChunkBits / 64]uint64

// word returns the word of 64 slots, by rising bit, that a slot is one of.
func (s *slotSet) word(slot uint32) *uint64 {
	if slot < lowSlots {
		return &s.low[slot/64]
	}
	return s.high(slot)
}

func (s *slotSet) high(slot uint32) *uint64 {
	i := int(slot >> slotChunkBits)
	if i >= len(s.chunks) || s.chunks[i] == nil {
		s.add(i)
	}
	return &s.chunks[i][slot%(1<<slotChunkBits)/64]
}

func (s *slotSet) add(i int) {
	if i >= len(s.chunks) {
		s.chunks = append(s.chunks, make([]*slotChunk, i+1-len(s.chunks))...)
	}
	s.chunks[i] = new(slotChunk)
}
