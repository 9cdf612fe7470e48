package trace

import (
	"fmt"
	"math"
	"time"
)

// Part is one of the traces that [Merge] makes one of.
type Part struct {
	Reader *Reader
	Name   string        // begins the names of its heaps: NAME/HEAP; "": they stay
	Offset time.Duration // added to its clock
	// Rebase lets its clock begin at 0 with its first event, before Offset.
	Rebase bool
}

// Merge writes the events of several traces to w in the order of their times; at
// the same time, those of earlier parts come first. Buffers get new names, and the
// losses of all parts are summed. It closes w, and reads all parts at once. A part
// whose clock is before 0 then is an error.
func Merge(w Writer, parts []Part) error {
	m := merger{parts: make([]mergedPart, len(parts))}
	for i, p := range parts {
		m.parts[i] = mergedPart{Part: p, names: map[uint64]uint64{}, heaps: map[string]string{}}
		if err := m.parts[i].advance(); err != nil {
			return err
		}
	}
	for {
		first := -1
		for i := range m.parts {
			if p := &m.parts[i]; !p.ended && (first < 0 || p.event.At < m.parts[first].event.At) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		if err := m.write(w, &m.parts[first]); err != nil {
			return err
		}
	}
	var losses Losses
	for i := range m.parts {
		l := m.parts[i].Reader.Losses()
		losses.add(&l)
	}
	return w.Close(losses)
}

type merger struct {
	parts []mergedPart
	named uint64
}

type mergedPart struct {
	Part
	event Event // the next one
	began bool
	ended bool
	names map[uint64]uint64 // of live buffers
	heaps map[string]string
}

func (m *merger) write(w Writer, p *mergedPart) error {
	e := p.event
	if p.Name != "" {
		name, ok := p.heaps[e.Heap]
		if !ok {
			if name = p.Name; e.Heap != "" {
				name += "/" + e.Heap
			}
			p.heaps[e.Heap] = name
		}
		e.Heap = name
	}
	e.rename(p.names, &m.named)
	if err := w.Write(&e); err != nil {
		return err
	}
	return p.advance()
}

// advance reads the next event.
func (p *mergedPart) advance() error {
	if !p.Reader.Next(&p.event) {
		p.ended = true
		return p.Reader.Err()
	}
	if !p.began {
		p.began = true
		if p.Rebase {
			p.Offset -= p.event.At
		}
	}
	at := p.event.At + p.Offset
	switch {
	case p.Offset > 0 && p.event.At > math.MaxInt64-p.Offset:
		return fmt.Errorf("%s: %w", p.Name, errTime)
	case at < 0:
		return fmt.Errorf("%s: the offset %v puts an event %v before time 0", p.Name, p.Offset, -at)
	}
	p.event.At = at
	return nil
}
