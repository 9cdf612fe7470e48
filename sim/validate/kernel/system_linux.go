package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"dmasim/allocator/dmaheap"
	"dmasim/allocator/kernel/buddy"
	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim/validate"
)

// SystemHeap is the system heap of this machine, with the trace of its page
// allocator.
type SystemHeap struct {
	heap    *dmaheap.Heap
	trace   *trace
	buffers []*dmaheap.Buffer
}

// pageEvents are all events by which free lists change.
var pageEvents = []string{
	"kmem/mm_page_alloc", "kmem/mm_page_alloc_zone_locked", "kmem/mm_page_free", "kmem/mm_page_free_batched", "kmem/mm_page_pcpu_drain",
}

// OpenSystemHeap opens the heap and the trace. It only works inside of a virtual
// machine: elsewhere others take and give back pages all the time.
func OpenSystemHeap() (*SystemHeap, error) {
	if !InsideVM(os.DirFS("/")) {
		return nil, ErrNotVM
	}
	heap, err := dmaheap.Open("system")
	if err != nil {
		return nil, err
	}
	t, err := startTrace(pageEvents...)
	if err != nil {
		return nil, errors.Join(err, heap.Close())
	}
	return &SystemHeap{heap: heap, trace: t}, nil
}

// State reads /proc.
func (h *SystemHeap) State() (*machine.State, mem.Size, error) {
	state, err := machine.ReadProc(os.DirFS("/proc"))
	if err != nil {
		return nil, 0, err
	}
	kilobytes, err := readNumber("/proc/sys/vm/min_free_kbytes")
	return state, mem.Size(kilobytes) * mem.KiB, err
}

// Alloc makes a buffer between two looks at the free lists.
func (h *SystemHeap) Alloc(bytes uint64) (a validate.Allocation, err error) {
	if err := h.trace.clear(); err != nil {
		return a, err
	}
	if a.Before, err = machine.ReadProc(os.DirFS("/proc")); err != nil {
		return a, err
	}
	buffer, err := h.heap.Alloc(bytes)
	if err == nil {
		h.buffers = append(h.buffers, buffer)
	}
	if a.Errno, err = errnoOf(err); err != nil {
		return a, err
	}
	if a.After, err = machine.ReadProc(os.DirFS("/proc")); err != nil {
		return a, err
	}
	text, err := h.trace.read()
	if err != nil {
		return a, err
	}
	return a, readTakes(&a, text)
}

// Free closes a buffer.
func (h *SystemHeap) Free(oldest bool) error {
	at := len(h.buffers) - 1
	if oldest {
		at = 0
	}
	buffer := h.buffers[at]
	h.buffers = append(h.buffers[:at], h.buffers[at+1:]...)
	return buffer.Close()
}

// Close gives everything back.
func (h *SystemHeap) Close() error {
	var failed error
	for _, b := range h.buffers {
		failed = errors.Join(failed, b.Close())
	}
	return errors.Join(failed, h.trace.stop(), h.heap.Close())
}

// event is a line of the trace.
type event struct {
	name   string
	fields map[string]string
}

func (e *event) number(key string) (uint64, error) {
	n, err := strconv.ParseUint(e.fields[key], 0, 64)
	if err != nil {
		return 0, fmt.Errorf("trace: %s: %s is %q", e.name, key, e.fields[key])
	}
	return n, nil
}

// parseEvent reads a line such as
//
//	init-1 [000] ..... 2.345678: mm_page_alloc: page=… pfn=0x2700 order=8 migratetype=0 gfp_flags=…
//
// and returns nil for one of another kind. Source: kernel/trace/trace_output.c,
// trace_print_lat_context and the events' print formats, Linux 6.12.
func parseEvent(line string) *event {
	at := strings.Index(line, ": ")
	if strings.HasPrefix(line, "#") || at < 0 {
		return nil
	}
	name, rest, found := strings.Cut(line[at+2:], ": ")
	if !found {
		return nil
	}
	e := &event{name: name, fields: map[string]string{}}
	for _, word := range strings.Fields(rest) {
		if key, value, found := strings.Cut(word, "="); found {
			e.fields[key] = value
		}
	}
	return e
}

// readTakes reads what happened between the two looks at the free lists.
func readTakes(a *validate.Allocation, text string) error {
	for _, line := range strings.Split(text, "\n") {
		e := parseEvent(line)
		if e == nil {
			continue
		}
		order, orderErr := e.number("order")
		if e.name != "mm_page_free_batched" && strings.HasPrefix(e.name, "mm_page") && orderErr != nil {
			return orderErr
		}
		direct := order > 3 && order != 9 // past the lists of the CPUs
		switch e.name {
		case "mm_page_alloc":
			if !isHeapFlags(e.fields["gfp_flags"]) {
				continue
			}
			pfn, err := e.number("pfn")
			if err != nil {
				return err
			}
			kind, err := e.number("migratetype")
			if err != nil {
				return err
			}
			a.Blocks = append(a.Blocks, validate.PageBlock{Zone: validate.ZoneOf(a.Before, pfn), Order: uint(order), Type: buddy.Type(kind)})
		case "mm_page_alloc_zone_locked":
			kind, err := e.number("migratetype")
			if err != nil {
				return err
			}
			movable := kind == uint64(buddy.Movable)
			if kind > uint64(buddy.Movable) || movable && order != 0 {
				a.Disturbed = true
			}
			a.Takes = append(a.Takes, validate.Take{Order: uint(order), Movable: movable})
		case "mm_page_pcpu_drain":
			a.Disturbed = true
		case "mm_page_free":
			a.Disturbed = a.Disturbed || direct
		}
	}
	return nil
}

// isHeapFlags reports whether pages were asked for as the system heap does: by
// GFP_HIGHUSER and zeroed, and not movable as those of processes are.
func isHeapFlags(flags string) bool {
	user := strings.Contains(flags, "GFP_HIGHUSER") || strings.Contains(flags, "__GFP_HIGHMEM")
	return user && strings.Contains(flags, "__GFP_ZERO") && !strings.Contains(flags, "MOVABLE")
}
