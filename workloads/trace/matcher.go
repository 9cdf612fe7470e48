package trace

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"dmasim/workloads"
)

// Bounds of what a reader holds in memory, whatever a file says.
const (
	maxLive     = 1 << 22 // buffers at a time
	maxHeaps    = 1 << 12 // names
	maxHeapName = 256     // bytes
)

var (
	errLive     = fmt.Errorf("more than %d buffers live at a time", maxLive)
	errHeaps    = fmt.Errorf("more than %d heaps", maxHeaps)
	errHeapName = fmt.Errorf("the name of the heap is longer than %d bytes", maxHeapName)
	errTime     = errors.New("the time does not fit in 64 bits of nanoseconds")
)

// bufferKey is what a recording knows a buffer by: in a heap, an address, an
// inode or the like.
type bufferKey struct {
	heap int // index into matcher.heaps
	id   uint64
}

// recordedBuffer is a buffer that lives.
type recordedBuffer struct {
	name, size uint64
	left       uint64 // bytes that are not free yet
}

// namedBuffer is the same in a format of our own.
type namedBuffer struct {
	size uint64
	heap int
}

// matcher makes events of what a recording says, matches frees with
// allocations, and counts what has no match.
type matcher struct {
	losses  Losses
	ready   []Event // from taken on: those to give out
	taken   int
	live    []table[recordedBuffer] // by heap, then by id
	lives   int                     // buffers in live
	named   table[namedBuffer]      // those of formats of our own, by name
	names   uint64                  // that were given to buffers
	heaps   []string
	skipped []bool // by heap: its events are not wanted
	indices map[string]int
	wanted  []string // names of heaps; none: all
	last    int      // the heap that was asked for last
	now     time.Duration
	began   bool
}

func newMatcher(wanted []string) *matcher {
	return &matcher{wanted: wanted, ready: make([]Event, 0, 2*batchEvents), indices: map[string]int{}, last: -1}
}

// heap returns the index of a heap.
func (m *matcher) heap(name []byte) (int, error) {
	if m.last >= 0 && m.heaps[m.last] == string(name) {
		return m.last, nil
	}
	i, ok := m.indices[string(name)]
	switch {
	case ok:
	case len(name) > maxHeapName:
		return 0, errHeapName
	case len(m.heaps) == maxHeaps:
		return 0, errHeaps
	default:
		i = len(m.heaps)
		m.heaps = append(m.heaps, string(name))
		m.skipped = append(m.skipped, len(m.wanted) > 0 && !slices.Contains(m.wanted, string(name)))
		m.live = append(m.live, table[recordedBuffer]{})
		m.indices[string(name)] = i
	}
	m.last = i
	return i, nil
}

// advance sets the time of what follows. Clocks of several processors may differ
// by a little: a time that is before the last one becomes that.
func (m *matcher) advance(at time.Duration) {
	if m.began && at < m.now {
		m.losses.TimesBack++
		return
	}
	m.now, m.began = at, true
}

// alloc is an allocation that was served. If a buffer of the same key lives, it
// was freed unseen.
func (m *matcher) alloc(key bufferKey, e *Event) error {
	if m.skipped[key.heap] {
		return nil
	}
	if e.Size == 0 {
		m.losses.UnknownSizes++
		return nil
	}
	live := &m.live[key.heap]
	if old := live.get(key.id); old != nil {
		m.losses.MissedFrees++
		m.free(key, old.left, 0)
	}
	if m.lives == maxLive {
		return errLive
	}
	e.At, e.Kind, e.Buffer, e.Heap = m.now, workloads.Alloc, m.names, m.heaps[key.heap]
	m.names++
	live.add(key.id, recordedBuffer{e.Buffer, e.Size, e.Size})
	m.lives++
	m.ready = append(m.ready, *e)
	return nil
}

// failed is an allocation that was not served.
func (m *matcher) failed(heap int, e *Event) {
	if m.skipped[heap] {
		return
	}
	if e.Size == 0 {
		m.losses.UnknownSizes++
		return
	}
	e.At, e.Kind, e.Failed, e.Buffer, e.Heap = m.now, workloads.Alloc, true, m.names, m.heaps[heap]
	m.names++
	m.ready = append(m.ready, *e)
}

// free is a free of so many bytes. A buffer whose key is a place may be freed in
// pieces, from its front on, as CMA's debugfs and drivers that split pages do; it
// is free when the last of them is. unit is then how many bytes a place has, else
// 0.
func (m *matcher) free(key bufferKey, size, unit uint64) {
	if m.skipped[key.heap] {
		return
	}
	live := &m.live[key.heap]
	b, ok := live.take(key.id)
	if !ok {
		m.losses.UnmatchedFrees++
		return
	}
	if size < b.left && unit > 0 {
		if rest := key.id + size/unit; live.get(rest) == nil {
			if b.left == b.size {
				m.losses.InPieces++
			}
			b.left -= size
			live.add(rest, b)
			return
		}
	}
	m.lives--
	if b.left != size {
		m.losses.OtherSizes++
	}
	m.ready = append(m.ready, Event{At: m.now, Kind: workloads.Free, Buffer: b.name, Size: b.size, Heap: m.heaps[key.heap]})
}

// unfreed returns how many buffers live.
func (m *matcher) unfreed() uint64 {
	n := uint64(m.lives)
	for _, b := range m.named.all() {
		if !m.skipped[b.heap] {
			n++
		}
	}
	return n
}

// draft returns room for the event after those that are ready, zeroed. It becomes one
// of them when it is accepted.
func (m *matcher) draft() *Event {
	n := len(m.ready)
	m.ready = append(m.ready, Event{})[:n]
	return &m.ready[:n+1][n]
}

// accept takes the draft of an event of a format of our own, in which what makes no
// sense is an error.
func (m *matcher) accept(e *Event, heapName []byte) error {
	heap, err := m.heap(heapName)
	if err != nil {
		return err
	}
	if e.At < m.now {
		return m.backward(e.At)
	}
	if e.Kind == workloads.Free {
		old, lives := m.named.take(e.Buffer)
		if !lives {
			return fmt.Errorf("free of buffer %d, which does not live", e.Buffer)
		}
		heap = old.heap
		*e = Event{At: e.At, Kind: workloads.Free, Buffer: e.Buffer, Size: old.size}
	} else {
		switch {
		case m.named.get(e.Buffer) != nil:
			return fmt.Errorf("allocation of buffer %d, which lives", e.Buffer)
		case e.Size == 0:
			return errors.New("allocation of no bytes")
		case e.Size > math.MaxInt64:
			return errors.New("size of 2^63 bytes or more")
		case e.Failed:
			e.Addr, e.Placed = 0, false
		case m.named.used == maxLive:
			return errLive
		default:
			m.named.add(e.Buffer, namedBuffer{e.Size, heap})
		}
	}
	m.now = e.At
	if !m.skipped[heap] {
		e.Heap = m.heaps[heap]
		m.ready = m.ready[:len(m.ready)+1]
	}
	return nil
}

func (m *matcher) backward(at time.Duration) error {
	return fmt.Errorf("the time %d is before that of an earlier event, %d", at, m.now)
}
