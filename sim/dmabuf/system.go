package dmabuf

import (
	"fmt"
	"time"
)

// System is a kernel's tables. It is made by [New] and used by one goroutine.
type System struct {
	// Now is the time, which the caller keeps.
	Now time.Duration

	processes   []process
	files       table[file]
	buffers     table[buffer]
	syncFiles   table[syncFile]
	mappings    table[mapping]
	messages    table[message]
	importers   table[importer]
	attachments table[attachment]
	fences      table[fence]
	waiters     table[waiter]
	contexts    []uint64 // the number of the last fence

	released []Buffer
	warnings []Warning
	scratch  []Fence
}

// New returns a system without processes.
func New() *System { return &System{} }

// Warning is what makes the kernel print a warning: a driver broke a rule.
type Warning struct {
	Buffer Buffer
	Text   string
}

func (s *System) warn(b Buffer, text string) { s.warnings = append(s.warnings, Warning{b, text}) }

// Warnings appends the warnings since the last call to dst.
func (s *System) Warnings(dst []Warning) []Warning {
	dst = append(dst, s.warnings...)
	s.warnings = s.warnings[:0]
	return dst
}

// Released appends to dst the buffers whose last reference went since the last
// call, in that order. Their numbers may be given to new buffers from now on.
func (s *System) Released(dst []Buffer) []Buffer {
	for _, b := range s.released {
		s.buffers.drop(uint32(b))
	}
	dst = append(dst, s.released...)
	s.released = s.released[:0]
	return dst
}

// table is a list of elements that are numbered from 0; numbers are used again.
type table[T any] struct {
	list []element[T]
	free []uint32
}

type element[T any] struct {
	value T
	live  bool
}

// add returns the number of an element that is not in use. Its value is what the
// element held last: slices in it can be used again.
func (t *table[T]) add() (uint32, *T) {
	if n := len(t.free); n > 0 {
		i := t.free[n-1]
		t.free = t.free[:n-1]
		t.list[i].live = true
		return i, &t.list[i].value
	}
	t.list = append(t.list, element[T]{live: true})
	i := len(t.list) - 1
	return uint32(i), &t.list[i].value
}

// get returns a live element, or nil.
func (t *table[T]) get(i uint32) *T {
	if uint64(i) >= uint64(len(t.list)) || !t.list[i].live {
		return nil
	}
	return &t.list[i].value
}

// at returns an element that is known to be live.
func (t *table[T]) at(i uint32) *T { return &t.list[i].value }

func (t *table[T]) drop(i uint32) {
	t.list[i].live = false
	t.free = append(t.free, i)
}

// all yields the live elements by number.
func (t *table[T]) all(yield func(uint32, *T) bool) {
	for i := range t.list {
		if t.list[i].live && !yield(uint32(i), &t.list[i].value) {
			return
		}
	}
}

// Check counts every reference anew and returns the first disagreement.
func (s *System) Check() error {
	files := make([]int32, len(s.files.list))
	for i := range s.processes {
		p := &s.processes[i]
		open := 0
		for fd, d := range p.descriptors {
			if !d.open {
				if fd < p.lowest {
					return fmt.Errorf("process %d: descriptor %d is free, below the lowest free one, %d", i, fd, p.lowest)
				}
				continue
			}
			open++
			if s.files.get(d.file) == nil {
				return fmt.Errorf("process %d: descriptor %d of a file that is not open", i, fd)
			}
			files[d.file]++
		}
		if open != p.open || (p.ended && open > 0) {
			return fmt.Errorf("process %d has %d descriptors open, not %d", i, open, p.open)
		}
	}
	holds := func(what string, i, file uint32) error {
		if s.files.get(file) == nil {
			return fmt.Errorf("%s %d of a file that is not open", what, i)
		}
		files[file]++
		return nil
	}
	for i, m := range s.mappings.all {
		if err := holds("mapping", i, m.file); err != nil {
			return err
		}
	}
	for i, m := range s.messages.all {
		if err := holds("message", i, m.file); err != nil {
			return err
		}
	}
	for i, m := range s.importers.all {
		if err := holds("importer", i, m.file); err != nil {
			return err
		}
	}
	fences := make([]int32, len(s.fences.list))
	for i, b := range s.buffers.all {
		for _, armed := range b.armed {
			if armed != NoFence {
				if err := holds("poll of buffer", i, b.file); err != nil {
					return err
				}
			}
		}
		for _, slot := range b.reservation {
			fences[slot.fence]++
		}
	}
	for _, f := range s.syncFiles.all {
		for _, fence := range f.fences {
			fences[fence]++
		}
	}
	for i, f := range s.files.all {
		if f.references != files[i] {
			return fmt.Errorf("file %d has %d references, not %d", i, files[i], f.references)
		}
	}
	for i, f := range s.fences.all {
		want := fences[i]
		if !f.signalled {
			want++
		}
		if f.references != want {
			return fmt.Errorf("fence %d has %d references, not %d", i, want, f.references)
		}
	}
	attached := make([]int32, len(s.buffers.list))
	mapped := make([]int32, len(s.buffers.list))
	for _, a := range s.attachments.all {
		attached[a.buffer]++
		if a.mapped {
			mapped[a.buffer]++
		}
	}
	bounced := make([]int32, len(s.buffers.list))
	for _, a := range s.attachments.all {
		if a.mapped && a.bounced {
			bounced[a.buffer]++
		}
	}
	for i, b := range s.buffers.all {
		for c := b.copies; c != 0; c = s.attachments.at(uint32(c - 1)).next {
			bounced[i]--
		}
		if bounced[i] != 0 {
			return fmt.Errorf("buffer %d has a wrong list of copies", i)
		}
		if b.attachments != attached[i] || b.mapped != mapped[i] {
			return fmt.Errorf("buffer %d has %d attachments, %d mapped, not %d and %d", i, attached[i], mapped[i], b.attachments, b.mapped)
		}
	}
	return nil
}
