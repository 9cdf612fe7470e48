package kernel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing/fstest"

	"dmasim/allocator/dmaheap"
	"dmasim/allocator/kernel/buddy"
	"dmasim/devices/machine"
	"dmasim/mem"
	"dmasim/sim/physmem"
	"dmasim/sim/validate"
)

var errLostMarks = errors.New("the trace lost its marks: too much happened")

// SystemHeap is the system heap of this machine, with the trace of its page
// allocator.
type SystemHeap struct {
	heap    *dmaheap.Heap
	trace   *trace
	buffers map[string]*systemBuffer // by ID
	others  validate.Held            // of buffers that lived before
	marker  *os.File
	// Files are kept open, since opening and reading one the first time takes pages.
	files map[string]*os.File
	texts [2]map[string][]byte // before and after
}

type systemBuffer struct {
	*dmaheap.Buffer
	blocks []validate.PageBlock
}

// procFiles are what [machine.ReadProc] reads, the one that counts last: nothing
// may happen between it and the request.
var procFiles = []string{"meminfo", "iomem", "zoneinfo", "buddyinfo", "pagetypeinfo"}

// Marks in the trace: the free lists are looked at before the request and after it.
const (
	markBefore  = "dmasim before"
	markCounted = "dmasim counted"
	markAgain   = "dmasim again"
	markAfter   = "dmasim after"
)

const systemName = "system" // of the heap

const mostText = 64 << 10 // bytes of a file of /proc

// pageEvents are all events by which free lists change.
var pageEvents = []string{
	"kmem/mm_page_alloc", "kmem/mm_page_alloc_zone_locked", "kmem/mm_page_free", "kmem/mm_page_free_batched", "kmem/mm_page_pcpu_drain", "kmem/mm_page_alloc_extfrag",
}

// OpenSystemHeap opens the heap and the trace. It only works inside of a virtual
// machine: elsewhere others take and give back pages all the time.
func OpenSystemHeap() (*SystemHeap, error) {
	if !InsideVM(os.DirFS("/")) {
		return nil, ErrNotVM
	}
	heap, err := dmaheap.Open(systemName)
	if err != nil {
		return nil, err
	}
	t, err := startTrace(pageEvents...)
	if err != nil {
		return nil, errors.Join(err, heap.Close())
	}
	h := &SystemHeap{heap: heap, trace: t, buffers: map[string]*systemBuffer{}, files: map[string]*os.File{}}
	if err := t.enlarge(); err != nil {
		return nil, errors.Join(err, h.Stop())
	}
	if h.others, err = h.Live(); err != nil {
		return nil, errors.Join(err, h.Stop())
	}
	if h.marker, err = os.OpenFile(filepath.Join(t.folder, "trace_marker"), os.O_WRONLY, 0); err != nil {
		return nil, errors.Join(err, h.Stop())
	}
	for i := range h.texts {
		h.texts[i] = map[string][]byte{}
	}
	for _, name := range procFiles {
		if h.files[name], err = os.Open("/proc/" + name); err != nil {
			return nil, errors.Join(err, h.Stop())
		}
		for i := range h.texts {
			h.texts[i][name] = make([]byte, mostText)
		}
	}
	return h, nil
}

// read reads one file again.
func (h *SystemHeap) read(name string, into map[string][]byte) error {
	text := into[name][:mostText]
	n, err := h.files[name].ReadAt(text, 0)
	if err != nil && err != io.EOF {
		return err
	}
	if n == mostText {
		return fmt.Errorf("/proc/%s has more than %d bytes", name, mostText)
	}
	into[name] = text[:n]
	return nil
}

// parse makes a state of the texts of files.
func parse(texts map[string][]byte) (*machine.State, error) {
	files := fstest.MapFS{}
	for name, text := range texts {
		files[name] = &fstest.MapFile{Data: text}
	}
	return machine.ReadProc(files)
}

// Memory reads /proc, and where the CMA areas are.
func (h *SystemHeap) Memory() (validate.Memory, error) { return readMemory() }

func readMemory() (m validate.Memory, err error) {
	if m.State, err = machine.ReadProc(os.DirFS("/proc")); err != nil {
		return m, err
	}
	kilobytes, err := readNumber("/proc/sys/vm/min_free_kbytes")
	if err != nil {
		return m, err
	}
	m.MinFree = mem.Size(kilobytes) * mem.KiB
	areas, err := os.ReadDir(cmaDebugfs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	for _, entry := range areas {
		base, err := readNumber(filepath.Join(cmaDebugfs, entry.Name(), "base_pfn"))
		count, countErr := readNumber(filepath.Join(cmaDebugfs, entry.Name(), "count"))
		if err := errors.Join(err, countErr); err != nil {
			return m, err
		}
		lo, page := base*pageSize(), pageSize()
		m.Areas = append(m.Areas, physmem.Area{Name: entry.Name(), Range: mem.Range{Lo: lo, Hi: lo + count*page}})
	}
	return m, nil
}

// Live returns what lives of the heap's buffers, less what lived before.
func (h *SystemHeap) Live() (held validate.Held, err error) {
	buffers, err := readBuffers()
	for _, b := range buffers {
		if b.Exporter == systemName {
			held.Buffers++
			held.Bytes += b.Size
		}
	}
	held.Buffers -= h.others.Buffers
	held.Bytes -= h.others.Bytes
	return held, err
}

// Alloc makes a buffer between two looks at the free lists.
func (h *SystemHeap) Alloc(id string, bytes uint64) (a validate.Allocation, err error) {
	if err := h.trace.clear(); err != nil {
		return a, err
	}
	before, after := h.texts[0], h.texts[1]
	counts := len(procFiles) - 1
	for _, name := range procFiles[:counts] {
		if err := h.read(name, before); err != nil {
			return a, err
		}
	}
	if err := h.count(before, markBefore, markCounted); err != nil {
		return a, err
	}
	buffer, allocErr := h.heap.Alloc(bytes)
	if err := h.count(after, markAgain, markAfter); err != nil {
		return a, err
	}
	for _, name := range procFiles[:counts] {
		if err := h.read(name, after); err != nil {
			return a, err
		}
	}
	kept := &systemBuffer{Buffer: buffer}
	if allocErr == nil {
		h.buffers[id] = kept
	}
	if a.Errno, err = errnoOf(allocErr); err != nil {
		return a, err
	}
	if a.Before, err = parse(before); err != nil {
		return a, err
	}
	if a.After, err = parse(after); err != nil {
		return a, err
	}
	text, err := h.trace.read()
	if err != nil {
		return a, err
	}
	err = readAllocation(&a, text)
	kept.blocks = a.Blocks
	return a, err
}

// count reads the file that counts what is free, between two marks.
func (h *SystemHeap) count(into map[string][]byte, from, to string) error {
	if _, err := h.marker.WriteString(from); err != nil {
		return err
	}
	if err := h.read(procFiles[len(procFiles)-1], into); err != nil {
		return err
	}
	_, err := h.marker.WriteString(to)
	return err
}

// Close closes a buffer. The heap gives its pages back before that returns.
func (h *SystemHeap) Close(id string) (c validate.Closing, err error) {
	buffer, ok := h.buffers[id]
	if !ok {
		return validate.Closing{Errno: "EBADF"}, nil
	}
	delete(h.buffers, id)
	if err := h.trace.clear(); err != nil {
		return c, err
	}
	if c.Errno, err = errnoOf(buffer.Buffer.Close()); err != nil {
		return c, err
	}
	text, err := h.trace.read()
	if err != nil {
		return c, err
	}
	c.Blocks, err = readFrees(buffer.blocks, text)
	return c, err
}

// Stop gives everything back.
func (h *SystemHeap) Stop() error {
	var failed error
	for _, b := range h.buffers {
		failed = errors.Join(failed, b.Close())
	}
	for _, f := range h.files {
		failed = errors.Join(failed, f.Close())
	}
	if h.marker != nil {
		failed = errors.Join(failed, h.marker.Close())
	}
	return errors.Join(failed, h.trace.stop(), h.heap.Close())
}

// event is a line of the trace.
type event struct {
	name, text string
	fields     map[string]string
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
	e := &event{name: name, text: rest, fields: map[string]string{}}
	for _, word := range strings.Fields(rest) {
		if key, value, found := strings.Cut(word, "="); found {
			e.fields[key] = value
		}
	}
	return e
}

// readAllocation reads what happened from the first look at the free lists to the
// second. What changes them while they are looked at may be in what was seen or not,
// so nothing can be predicted then.
func readAllocation(a *validate.Allocation, text string) error {
	var parts [3]string
	for i, mark := range []string{markBefore, markCounted, markAgain, markAfter} {
		part, rest, found := strings.Cut(text, mark)
		if !found {
			return errLostMarks
		}
		if i > 0 {
			parts[i-1] = part
		}
		text = rest
	}
	for _, part := range []string{parts[0], parts[2]} {
		var looking validate.Allocation
		if err := readTakes(&looking, part); err != nil {
			return err
		}
		a.Disturbed = a.Disturbed || looking.Disturbed || len(looking.Takes) > 0
	}
	return readTakes(a, parts[1])
}

// readTakes reads what was taken from the free lists, and the blocks of a buffer.
func readTakes(a *validate.Allocation, text string) error {
	last := "" // page frame taken
	for _, line := range strings.Split(text, "\n") {
		e := parseEvent(line)
		if e == nil {
			continue
		}
		take := func(orderKey, typeKey string) error {
			order, err := e.number(orderKey)
			if err != nil {
				return err
			}
			kind, err := e.number(typeKey)
			movable := kind == uint64(buddy.Movable)
			if kind > uint64(buddy.Movable) || movable && order != 0 {
				a.Disturbed = true
			}
			last = e.fields["pfn"]
			a.Takes = append(a.Takes, validate.Take{Order: uint(order), Movable: movable})
			return err
		}
		var err error
		switch e.name {
		case "mm_page_alloc":
			err = addBlock(a, e)
		case "mm_page_alloc_zone_locked":
			err = take("order", "migratetype")
		case "mm_page_alloc_extfrag":
			// Where a whole pageblock is claimed, or a block stolen, this event is
			// alone; else it follows that of the block.
			if e.fields["pfn"] != last {
				err = take("alloc_order", "alloc_migratetype")
			}
		case "mm_page_pcpu_drain":
			a.Disturbed = true
		case "mm_page_free":
			// Other orders go to the lists of the CPU.
			var order uint64
			order, err = e.number("order")
			a.Disturbed = a.Disturbed || order > 3 && order != 9
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addBlock adds a block of pages to those of the buffer, if it was for the heap.
func addBlock(a *validate.Allocation, e *event) error {
	if !isHeapFlags(e.fields["gfp_flags"]) {
		return nil
	}
	pfn, err := e.number("pfn")
	if err == nil && pfn == 0 { // there was none of this order
		return nil
	}
	order, orderErr := e.number("order")
	kind, kindErr := e.number("migratetype")
	a.Blocks = append(a.Blocks, validate.PageBlock{PFN: pfn, Zone: validate.ZoneOf(a.Before, pfn), Order: uint(order), Type: buddy.Type(kind)})
	return errors.Join(err, orderErr, kindErr)
}

// readFrees returns which blocks of a buffer were freed, in that order. The frees of
// other pages are in the trace too.
func readFrees(blocks []validate.PageBlock, text string) (freed []validate.PageBlock, err error) {
	at := map[uint64]validate.PageBlock{}
	for _, b := range blocks {
		at[b.PFN] = b
	}
	for _, line := range strings.Split(text, "\n") {
		e := parseEvent(line)
		if e == nil || e.name != "mm_page_free" {
			continue
		}
		pfn, err := e.number("pfn")
		order, orderErr := e.number("order")
		if err := errors.Join(err, orderErr); err != nil {
			return nil, err
		}
		if b, ok := at[pfn]; ok {
			delete(at, pfn) // the page may be taken, and freed, by another now
			b.Order = uint(order)
			freed = append(freed, b)
		}
	}
	return freed, nil
}

// isHeapFlags reports whether pages were asked for as the system heap does: by
// GFP_HIGHUSER and zeroed, and not movable as those of processes are.
func isHeapFlags(flags string) bool {
	user := strings.Contains(flags, "GFP_HIGHUSER") || strings.Contains(flags, "__GFP_HIGHMEM")
	return user && strings.Contains(flags, "__GFP_ZERO") && !strings.Contains(flags, "MOVABLE")
}
