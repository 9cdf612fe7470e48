package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"dmasim/allocator/dmaheap"
	"dmasim/mem"
	"dmasim/sim/validate"
)

// eduMachine is the edu device with the system heap.
type eduMachine struct {
	*Edu
	heap    *dmaheap.Heap
	trace   *trace
	buffers []mappedBuffer
}

type mappedBuffer struct {
	*dmaheap.Buffer
	*dmaheap.Mapping
}

func (b mappedBuffer) close() error { return errors.Join(b.Mapping.Close(), b.Buffer.Close()) }

func openEduMachine() (*eduMachine, error) {
	edu, err := OpenEdu()
	if err != nil {
		return nil, err
	}
	m := &eduMachine{Edu: edu}
	if m.heap, err = dmaheap.Open("system"); err != nil {
		return nil, errors.Join(err, m.close())
	}
	if m.trace, err = startTrace("kmem/mm_page_alloc"); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// Alloc makes a buffer and finds its pages in the trace.
func (m *eduMachine) Alloc(bytes uint64) ([]mem.Range, error) {
	if err := m.trace.clear(); err != nil {
		return nil, err
	}
	buffer, err := m.heap.Alloc(bytes)
	if errors.Is(err, unix.ENOMEM) {
		return nil, validate.ErrNoMemory
	}
	if err != nil {
		return nil, err
	}
	text, err := m.trace.read()
	if err != nil {
		return nil, errors.Join(err, buffer.Close())
	}
	pieces, err := readPieces(text)
	if err != nil {
		return nil, errors.Join(err, buffer.Close())
	}
	mapping, err := buffer.Map(dmaheap.Read | dmaheap.Write)
	if err != nil {
		return nil, errors.Join(err, buffer.Close())
	}
	m.buffers = append(m.buffers, mappedBuffer{buffer, mapping})
	return pieces, nil
}

// readPieces returns the blocks of pages that the system heap took, in order.
func readPieces(text string) ([]mem.Range, error) {
	var pieces []mem.Range
	for line := range strings.Lines(text) {
		e := parseEvent(line)
		if e == nil || e.name != "mm_page_alloc" || !isHeapFlags(e.fields["gfp_flags"]) {
			continue
		}
		pfn, err := e.number("pfn")
		order, orderErr := e.number("order")
		if err := errors.Join(err, orderErr); err != nil {
			return nil, err
		}
		lo := pfn * pageSize()
		pieces = append(pieces, mem.Range{Lo: lo, Hi: lo + pageSize()<<order})
	}
	return pieces, nil
}

// Store writes a number where a page of a buffer begins.
func (m *eduMachine) Store(buffer int, page, tag uint64) error {
	return m.buffers[buffer].Access(dmaheap.Write, func(bytes []byte) error {
		binary.LittleEndian.PutUint64(bytes[page*pageSize():], tag)
		return nil
	})
}

// Load reads it.
func (m *eduMachine) Load(buffer int, page uint64) (tag uint64, err error) {
	err = m.buffers[buffer].Access(dmaheap.Read, func(bytes []byte) error {
		tag = binary.LittleEndian.Uint64(bytes[page*pageSize():])
		return nil
	})
	return tag, err
}

// Memory reads /proc.
func (m *eduMachine) Memory() (validate.Memory, error) { return readMemory() }

func (m *eduMachine) close() error {
	failed := m.Edu.Close()
	for _, b := range m.buffers {
		failed = errors.Join(failed, b.close())
	}
	if m.trace != nil {
		failed = errors.Join(failed, m.trace.stop())
	}
	if m.heap != nil {
		failed = errors.Join(failed, m.heap.Close())
	}
	return failed
}

func runDevice(ctx context.Context, o *Options, r *Result) (err error) {
	m, err := openEduMachine()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	buffers := o.times(400)
	o.begin(fmt.Sprintf("edu, %d bits", o.Bits), buffers)
	aspects, notes, err := validate.CompareReach(ctx, validate.ReachMix{Buffers: buffers, Device: "edu", Bits: o.Bits, PageSize: pageSize()}, m)
	if err != nil {
		return err
	}
	r.Add(aspects...)
	r.Notes = append(r.Notes, notes...)
	return nil
}
